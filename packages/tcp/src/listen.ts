import { lookup } from 'node:dns/promises'
import {
  adoptDescriptor,
  defaultRing,
  limits,
  type InternetAddress,
  type Listener,
  type ListenerHandler,
  prepared,
  type Ring,
  StreamListener,
  systemError,
} from '@sheaf/ring'
import { TcpConnection } from './connection'
import { checkListenOptions, type ListenOptions } from './options'
import { applyStreamOptions, bindSocket, openTcpSocket, tcpSocket } from './socket'
import { decodeSocketAddress, familyOf, internet6Family, socketAddressBytesMax } from './socket-address'
import { setOption } from './socket-options'

/** A listening TCP socket. */
export interface TcpListener extends Listener {
  readonly address: InternetAddress
}

/**
 * Listens for TCP connections; each is told to `handler`.
 * @returns when connections are accepted. Rejects with `TypeError` or `RangeError` for bad options, with what Node's
 *   `server.listen` fails with (`EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`, `ENOTFOUND`, …), with `ERR_SHEAF_UNAVAILABLE`
 *   where there is no io_uring, with an `AbortError` if `signal` is aborted already.
 */
export async function listen(options: ListenOptions, handler: ListenerHandler<TcpConnection>): Promise<TcpListener> {
  checkListenOptions(options, handler)
  const { signal } = options
  signal?.throwIfAborted()
  const ring = options.ring ?? defaultRing()
  ring.assertOpen()
  const fd = options.fd === undefined ? await listeningSocket(ring, options) : adoptListening(ring, options.fd)
  const listener = new StreamListener(
    ring,
    fd,
    boundAddress(ring, fd),
    handler,
    (accepted) => new TcpConnection(ring, accepted, handler, options),
  )
  listener.closeOnAbort(signal)
  return listener as TcpListener
}

async function listeningSocket(ring: Ring, options: ListenOptions): Promise<number> {
  const { host } = options
  if (host !== undefined && host !== '') {
    const address = familyOf(host) === undefined ? (await lookup(host)).address : host
    return bindAndListen(ring, address, options)
  }
  try {
    return bindAndListen(ring, '::', options)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL') throw error
    return bindAndListen(ring, '0.0.0.0', options)
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
