import {
  type AcceptedSocket, adoptDescriptor, limits, type ListenerHandler, openSocket, type PathAddress, prepared, type Ring,
  type SocketKind, systemError,
} from '@sheaf/ring'
import { type DetailOptions, receiveCredentials } from './details'
import { RingUnixListener } from './listener'
import type { ListenAddressOptions } from './options'
import { bindFile } from './socket'
import type { SocketFile } from './socket-file'
import { decodeUnixAddress, unixAddressBytesMax, unixFamily } from './unix-address'

interface Bound {
  readonly fd: number
  readonly file: SocketFile | undefined
}

/** What a listener takes, whatever the connections. */
interface ListeningOptions extends ListenAddressOptions, DetailOptions {
  fd?: number
  backlog?: number
}

/** Listens with a socket of one kind. @param accept makes a connection of an accepted descriptor. */
export function listenOnRing(
  ring: Ring,
  kind: SocketKind,
  options: ListeningOptions,
  handler: Pick<ListenerHandler, 'acceptError'>,
  accept: (fd: number) => AcceptedSocket,
): RingUnixListener {
  const { fd, file }
    = options.fd === undefined ? listeningSocket(ring, kind, options) : adoptListening(ring, kind, options.fd, options)
  const address = prepared(ring, fd, () => boundAddress(ring, fd))
  return new RingUnixListener(ring, fd, address, handler, accept, file)
}

function listeningSocket(
  ring: Ring,
  kind: SocketKind,
  options: ListeningOptions,
): Bound {
  const path = options.path as string
  const fd = openSocket(ring, unixFamily, kind.type, 0)
  return prepared(ring, fd, () => {
    prepareCredentials(ring, fd, options)
    const file = bindFile(ring, fd, kind, path, options, 'listen')
    const result = ring.sockets.listen(fd, options.backlog ?? limits.backlog)
    if (result >= 0) return { fd, file }
    file?.remove()
    throw systemError(result, 'listen', path)
  })
}

function adoptListening(ring: Ring, kind: SocketKind, fd: number, options: ListeningOptions): Bound {
  adoptDescriptor(ring, fd, kind, 'listening')
  return prepared(ring, fd, () => {
    prepareCredentials(ring, fd, options)
    return { fd, file: undefined }
  })
}

/** Connections have it from their listener: what a peer sends before it is accepted comes with credentials, too. */
function prepareCredentials(ring: Ring, fd: number, options: DetailOptions): void {
  if (options.receiveCredentials === true) receiveCredentials(ring, fd)
}

function boundAddress(ring: Ring, fd: number): PathAddress {
  const bytes = new Uint8Array(unixAddressBytesMax)
  const length = ring.sockets.getsockname(fd, bytes)
  if (length < 0) throw systemError(length, 'getsockname')
  return decodeUnixAddress(bytes.subarray(0, length))
}
