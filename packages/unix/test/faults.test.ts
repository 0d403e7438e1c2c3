import type { PathAddress } from '@sheaf/ring'
import { testFaults } from '@sheaf/ring/testing'
import { describe, it } from 'vitest'
import { connect, listen, type UnixConnection } from '../src/index'

let names = 0
const unusedName = (): string => `\0sheaf-faults-${process.pid}-${++names}`

testFaults<UnixConnection>('Unix streams', {
  module: '@sheaf/unix',
  resets: false,
  listen: (handler, options) => listen({ path: unusedName(), ...options }, handler),
  connect: (listener, handler, options) =>
    connect({ path: (listener.address as PathAddress).path, ...options }, handler),
  listenOptions: () => ({ path: unusedName() }),
}, { describe, it })
