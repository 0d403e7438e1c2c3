import type { InternetAddress } from '@sheaf/ring'
import type { FaultFamily } from '@sheaf/ring/testing'
import { connect, listen, type TcpConnection } from '../src/index'
import { loopback } from './support'

/** How the suites of faults get at this adapter. */
export const faultFamily: FaultFamily<TcpConnection> = {
  module: '@sheaf/tcp',
  resets: true,
  listen: (handler, options) => listen({ host: loopback, port: 0, ...options }, handler),
  connect: (listener, handler, options) =>
    connect({ host: loopback, port: (listener.address as InternetAddress).port, ...options }, handler),
  listenOptions: () => ({ host: loopback, port: 0 }),
}
