import type { PathAddress } from '@sheaf/ring'
import type { FaultFamily } from '@sheaf/ring/testing'
import { connect, listen, type UnixConnection } from '../src/index'

let names = 0
const unusedName = (): string => `\0sheaf-faults-${process.pid}-${++names}`

/** How the suites of faults get at this adapter. */
export const faultFamily: FaultFamily<UnixConnection> = {
  module: '@sheaf/unix',
  resets: false,
  listen: (handler, options) => listen({ path: unusedName(), ...options }, handler),
  connect: (listener, handler, options) =>
    connect({ path: (listener.address as PathAddress).path, ...options }, handler),
  listenOptions: () => ({ path: unusedName() }),
}
