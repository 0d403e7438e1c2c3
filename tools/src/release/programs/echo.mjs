import { connect, defaultRing, listen } from '@sheaf/tcp'

import { echo } from './exchange.cjs'

await echo({ connect, defaultRing, listen })
