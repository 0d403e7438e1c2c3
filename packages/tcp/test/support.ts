import { createRing, type Ring, type RingOptions } from '@sheaf/ring'
import { onTestFinished } from 'vitest'
import {
  connect,
  type ConnectOptions,
  listen,
  type ListenerHandler,
  type ListenOptions,
  type StreamHandler,
  type TcpConnection,
  type TcpListener,
} from '../src/index'

export const loopback = '127.0.0.1'

/** A ring for one test, closed when it is over; that nothing was left in it is part of every test. */
export function testRing(options?: RingOptions): Ring {
  const ring = createRing(options)
  onTestFinished(() => {
    ring.close()
  })
  return ring
}

/** A listener on a free loopback port, closed when the test is over. */
export async function server(
  ring: Ring,
  handler: ListenerHandler<TcpConnection>,
  options: Partial<ListenOptions> = {},
): Promise<TcpListener> {
  const listener = await listen({ host: loopback, port: 0, ring, ...options }, handler)
  onTestFinished(() => listener.close())
  return listener
}

export function client(
  ring: Ring,
  listener: TcpListener,
  handler: StreamHandler<TcpConnection>,
  options: Partial<ConnectOptions> = {},
): Promise<TcpConnection> {
  return connect({ host: listener.address.address, port: listener.address.port, ring, ...options }, handler)
}

/** Descriptors of this process. */
export {
  echo, openDescriptors, ownedDescriptors, pattern, Random, Received, sha, uncaughtDuring, until, untilIdle, Writer,
} from '@sheaf/ring/testing'
