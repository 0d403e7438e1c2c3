import { type SocketFamily, testSameAsNode, testSockets } from '@sheaf/ring/testing'
import { describe, it } from 'vitest'
import net from '../src/net'
import { loopback } from './support'

const family: SocketFamily = { net, place: () => ({ host: loopback, port: 0 }) }

testSockets('TCP', family, { describe, it })
testSameAsNode('TCP', family, { describe, it })
