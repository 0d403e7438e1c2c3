import type { InternetAddress } from '@sheaf/ring'
import { testFaults } from '@sheaf/ring/testing'
import { describe, it } from 'vitest'
import { connect, listen, type TcpConnection } from '../src/index'
import { loopback } from './support'

testFaults<TcpConnection>('TCP', {
  module: '@sheaf/tcp',
  resets: true,
  listen: (handler, options) => listen({ host: loopback, port: 0, ...options }, handler),
  connect: (listener, handler, options) =>
    connect({ host: loopback, port: (listener.address as InternetAddress).port, ...options }, handler),
  listenOptions: () => ({ host: loopback, port: 0 }),
}, { describe, it })
