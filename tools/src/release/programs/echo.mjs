import { connect, listen } from '@sheaf/tcp'

import { echo } from './exchange.cjs'

await echo({ connect, listen })
