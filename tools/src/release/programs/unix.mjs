import { connect, defaultRing, listen } from '@sheaf/unix'

import { echo } from './exchange.cjs'

await echo({ connect, defaultRing, listen }, `\0sheaf-rehearsal-${process.pid}`)
