import type { InternetAddress } from '@sheaf/ring'
import { testStreams } from '@sheaf/ring/testing'
import { describe, it } from 'vitest'
import { connect, listen, type TcpConnection } from '../src/index'
import { loopback } from './support'

testStreams<TcpConnection>('TCP', {
  listen: (handler, options) => listen({ host: loopback, port: 0, ...options }, handler),
  connect: (listener, handler, options) =>
    connect({ host: loopback, port: (listener.address as InternetAddress).port, ...options }, handler),
}, { describe, it })
