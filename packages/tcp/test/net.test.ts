import { testSockets } from '@sheaf/ring/testing'
import { describe, it } from 'vitest'
import net from '../src/net'
import { loopback } from './support'

testSockets('TCP', { net, place: () => ({ host: loopback, port: 0 }) }, { describe, it })
