import { lookup } from 'node:dns/promises'
import {
  adoptDescriptor,
  copyOptions,
  limits,
  type InternetAddress,
  type ListenerHandler,
  prepared,
  type Ring,
  ringFor,
  type NodeStreamListener,
  StreamListener,
  systemError,
  throwIfAborted,
} from '@sheaf/ring'
import { RingTcpConnection } from './connection'
import { listenOnNode, listenOnNodeDescriptor } from './node-sockets'
import { checkListenOptions, type ListenOptions } from './options'
import { applyStreamOptions, bindSocket, openTcpSocket, tcpSocket } from './socket'
import { decodeSocketAddress, familyOf, internet6Family, socketAddressBytesMax } from './socket-address'
import { setOption } from './socket-options'
import type { TcpConnection, TcpListener } from './transport'

/**
 * Listens for TCP connections; each is told to `handler`.
 * @returns when connections are accepted. Rejects with `TypeError` or `RangeError` for bad options, with what Node's
 *   `server.listen` fails with (`EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`, `ENOTFOUND`, …), with `ERR_SHEAF_UNAVAILABLE`
 *   where `backend` wants io_uring and there is none, with an `AbortError` if `signal` is aborted already.
 */
export async function listen(options: ListenOptions, handler: ListenerHandler<TcpConnection>): Promise<TcpListener> {
  const own = copyOptions<ListenOptions>(options)
  checkListenOptions(own, handler)
  const { signal } = own
  throwIfAborted(signal)
  const ring = ringFor(own)
  const listener = ring === undefined
    ? await nodeListener(own, handler)
    : await ringListener(ring, own, handler)
  listener.closeOnAbort(signal)
  return listener as TcpListener
}

function nodeListener(options: ListenOptions, handler: ListenerHandler<TcpConnection>): Promise<NodeStreamListener> {
  const { fd } = options
  if (fd !== undefined) return listenOnNodeDescriptor(fd, options, handler)
  return atLocalAddress(options.host, (address) => listenOnNode(address, options, handler))
}

async function ringListener(
  ring: Ring,
  options: ListenOptions,
  handler: ListenerHandler<TcpConnection>,
): Promise<StreamListener> {
  const accept = (accepted: number): RingTcpConnection => new RingTcpConnection(ring, accepted, handler, options)
  const listenOn = (fd: number): StreamListener =>
    new StreamListener(ring, fd, boundAddress(ring, fd), handler, accept)
  if (options.fd !== undefined) return listenOn(adoptListening(ring, options.fd))
  return atLocalAddress(options.host, (address) => {
    // It may have been closed while the name was looked up.
    ring.assertOpen()
    return listenOn(bindAndListen(ring, address, options))
  })
}

/** Listens at the address of `host`; without one at all, those of IPv4 alone where there is no IPv6. */
async function atLocalAddress<T>(host: string | undefined, listenAt: (address: string) => T | Promise<T>): Promise<T> {
  if (host !== undefined && host !== '') {
    return listenAt(familyOf(host) === undefined ? (await lookup(host)).address : host)
  }
  try {
    return await listenAt('::')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL') throw error
    return listenAt('0.0.0.0')
  }
}

function bindAndListen(ring: Ring, address: string, options: ListenOptions): number {
  const port = options.port ?? 0
  const fd = openTcpSocket(ring, address)
  return prepared(ring, fd, () => {
    setOption(ring.sockets, fd, 'reuseAddress', 1)
    if (options.reusePort === true) setOption(ring.sockets, fd, 'reusePort', 1)
    if (familyOf(address) === internet6Family) {
      setOption(ring.sockets, fd, 'ipv6Only', options.ipv6Only === true ? 1 : 0)
    }
    applyStreamOptions(ring, fd, options)
    bindSocket(ring, fd, address, port, 'listen')
    const result = ring.sockets.listen(fd, options.backlog ?? limits.backlog)
    if (result < 0) throw systemError(result, 'listen', address, port)
    return fd
  })
}

function adoptListening(ring: Ring, fd: number): number {
  adoptDescriptor(ring, fd, tcpSocket, 'listening')
  return fd
}

function boundAddress(ring: Ring, fd: number): InternetAddress {
  const bytes = new Uint8Array(socketAddressBytesMax)
  const length = ring.sockets.getsockname(fd, bytes)
  const address = length < 0 ? undefined : decodeSocketAddress(bytes.subarray(0, length))
  if (address !== undefined) return address
  ring.sockets.close(fd)
  throw systemError(length, 'getsockname')
}
