import type { Server as NodeServer, Socket as NodeSocket } from 'node:net'
import { defaultRing, stockNet } from '@sheaf/ring'
import { Errno } from '../abi'
import { callError } from './errors'
import { ListenHandle } from './listen-handle'
import { nodeSocket } from './node-handle'
import type { Server } from './server'
import { handleOf, type Socket } from './socket'

/** What Node's own code knows about a socket beside its handle, and does away with when it sends it. */
interface WithParser {
  parser?: unknown
  _httpMessage?: unknown
}

/** What Node's own code sets when a socket is a child's too. */
type WithReading = Socket & { readableFlowing: boolean, readonly _readableState: { reading: boolean } }

/**
 * What `send` of a child process or of `process` is to be given in place of a socket or server of Sheaf's: Node's own,
 * on the same connection or listener. A socket has let go of its connection then, as Node's have when they are sent: it
 * is neither ended nor closed, and what was written before leaves.
 *
 * If the program has yet to be told of something that has been received, or there is no descriptor to be had, the
 * connection is closed, as it may be on the way as well: whoever is sent it finds that there is none, and nobody takes
 * what is left of it for the whole.
 * @param sendable what the program sends, a server's `_handle` too; returned as it is if it is none of Sheaf's.
 * @throws SystemError `EBADF` of a socket that is not connected.
 */
export function handOver(sendable: unknown): unknown {
  if (typeof sendable !== 'object' || sendable === null) return sendable
  if (sendable instanceof ListenHandle) return sendable.share()
  if ('_handle' in sendable && sendable._handle instanceof ListenHandle) return shareServer(sendable as Server)
  return handleOf(sendable) === null ? sendable : releaseSocket(sendable as Socket)
}

/**
 * What `send` is to be given in place of a socket of Sheaf's that is to stay open here: Node's own on the same
 * connection, to be destroyed when it has been sent. What was written before leaves.
 * @returns undefined for anything else. @throws SystemError `EBADF`, `EMFILE`.
 */
export function copyToSend(sendable: unknown): NodeSocket | undefined {
  const handle = typeof sendable === 'object' && sendable !== null ? handleOf(sendable) : null
  if (handle === null) return undefined
  const copy = nodeSocketOf(handle.duplicate())
  return Object.assign(copy, { server: (sendable as Socket).server })
}

/**
 * The descriptor of a socket or server of Sheaf's, for a child process that is to have it too, as Node's may be among
 * its `stdio`. @returns undefined for anything else.
 */
export function lentDescriptor(value: unknown): number | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if ('_handle' in value && value._handle instanceof ListenHandle) return value._handle.fd
  const handle = handleOf(value)
  if (handle === null) return undefined
  const socket = value as WithReading
  socket.pause()
  // Another `resume` has it read, as with Node's.
  socket.readableFlowing = false
  socket._readableState.reading = false
  return handle.lend()
}

function shareServer(server: Server): NodeServer {
  const shared = new stockNet.Server()
  ;(shared as unknown as { _handle: unknown })._handle = (server._handle as ListenHandle).share()
  return shared
}

function nodeSocketOf(fd: number): NodeSocket {
  if (fd < 0) throw callError(fd, 'dup')
  return nodeSocket(defaultRing(), fd)
}

function releaseSocket(socket: Socket): NodeSocket | undefined {
  const fd = handleOf(socket)?.release() ?? -Errno.EBADF
  if (fd < 0 && fd !== -Errno.EBADF) {
    socket.destroy()
    return undefined
  }
  const sent = nodeSocketOf(fd)
  const { parser, _httpMessage } = socket as WithParser
  Object.assign(sent, { server: socket.server, parser, _httpMessage })
  socket._handle = null
  if (parser !== undefined) Object.assign(socket, { parser: null, _httpMessage: null })
  socket.setTimeout(0)
  return sent
}
