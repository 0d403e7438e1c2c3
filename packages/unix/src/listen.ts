import {
  adoptDescriptor, limits, type ListenerHandler, openSocket, type PathAddress, prepared, type Ring, ringFor,
  systemError,
} from '@sheaf/ring'
import { RingUnixConnection } from './connection'
import { RingUnixListener } from './listener'
import { listenOnNode } from './node-sockets'
import { checkListenOptions, type ListenOptions } from './options'
import { bindSocket, unixStreamSocket } from './socket'
import { SocketFile } from './socket-file'
import type { UnixConnection, UnixListener } from './transport'
import { decodeUnixAddress, isAbstract, unixAddressBytesMax } from './unix-address'

interface Bound {
  readonly fd: number
  readonly file: SocketFile | undefined
}

/**
 * Listens for connections on a path or an abstract name; each is told to `handler`.
 * @returns when connections are accepted. Rejects with `TypeError` or `RangeError` for bad options; with what Node's
 *   `server.listen` fails with (`EADDRINUSE`, `EACCES`, …; `ENOENT` for a directory that is not there, which Node calls
 *   `EACCES`); with `EINVAL` for a path that is too long; with `ERR_SHEAF_UNAVAILABLE` where `backend` wants
 *   io_uring and there is none; with an `AbortError` if `signal` is aborted already.
 */
export async function listen(options: ListenOptions, handler: ListenerHandler<UnixConnection>): Promise<UnixListener> {
  checkListenOptions(options, handler)
  options.signal?.throwIfAborted()
  const ring = ringFor(options)
  const listener = ring === undefined ? await listenOnNode(options, handler) : listenOnRing(ring, options, handler)
  listener.closeOnAbort(options.signal)
  return listener
}

function listenOnRing(ring: Ring, options: ListenOptions, handler: ListenerHandler<UnixConnection>): RingUnixListener {
  const { fd, file } = options.fd === undefined ? listeningSocket(ring, options) : adoptListening(ring, options.fd)
  const address = prepared(ring, fd, () => boundAddress(ring, fd))
  const accept = (accepted: number): RingUnixConnection => new RingUnixConnection(ring, accepted, handler, options)
  return new RingUnixListener(ring, fd, address, handler, accept, file)
}

function listeningSocket(ring: Ring, options: ListenOptions): Bound {
  const path = options.path as string
  const fd = openSocket(ring, unixStreamSocket.domain, unixStreamSocket.type, 0)
  return prepared(ring, fd, () => {
    const file = isAbstract(path) ? undefined : new SocketFile(path)
    if (file === undefined) bindSocket(ring, fd, path)
    else file.bind(ring, fd, options.mode, options.removeStale ?? false)
    const result = ring.sockets.listen(fd, options.backlog ?? limits.backlog)
    if (result >= 0) return { fd, file }
    file?.remove()
    throw systemError(result, 'listen', path)
  })
}

function adoptListening(ring: Ring, fd: number): Bound {
  adoptDescriptor(ring, fd, unixStreamSocket, 'listening')
  return { fd, file: undefined }
}

function boundAddress(ring: Ring, fd: number): PathAddress {
  const bytes = new Uint8Array(unixAddressBytesMax)
  const length = ring.sockets.getsockname(fd, bytes)
  if (length < 0) throw systemError(length, 'getsockname')
  return decodeUnixAddress(bytes.subarray(0, length))
}
