import { Duplex } from 'node:stream'
import type { Write } from '@sheaf/ring'
import { closedBeforeConnection, endedByPeer } from './errors'
import type { Socket } from './socket'
import type { WriteDone } from './socket-handle'

/** Writes when the socket is connected. The stream makes no other write until then. */
export function writeWhenConnected(
  socket: Socket,
  data: Uint8Array | string | readonly Write[],
  encoding: BufferEncoding | '',
  done: WriteDone,
  write: () => void,
): void {
  socket._pendingData = data
  socket._pendingEncoding = encoding
  const onClose = (): void => done(closedBeforeConnection())
  socket.once('connect', () => {
    socket.off('close', onClose)
    socket._pendingData = null
    socket._pendingEncoding = ''
    write()
  })
  socket.once('close', onClose)
}

/** Bytes of what waits for that. */
export function pendingBytes({ _pendingData: data, _pendingEncoding: encoding }: Socket): number {
  if (data === null) return 0
  return typeof data === 'string' || data instanceof Uint8Array ? byteLength(data, encoding) : totalBytes(data)
}

export function totalBytes(writes: readonly Write[]): number {
  let bytes = 0
  for (const { chunk, encoding } of writes) bytes += byteLength(chunk, encoding)
  return bytes
}

function byteLength(chunk: Uint8Array | string, encoding: string): number {
  return typeof chunk === 'string' ? Buffer.byteLength(chunk, encoding as BufferEncoding) : chunk.byteLength
}

/** The peer has ended, and so this side ends by itself: who writes on is told whose doing that was. */
export function refuseWritesAfterEnd(this: Socket): void {
  if (!this.allowHalfOpen) this.write = writeAfterEnd as Socket['write']
}

function writeAfterEnd(this: Socket, chunk: unknown, encoding?: unknown, callback?: unknown): boolean {
  if (!this.writableEnded) {
    return Duplex.prototype.write.call(this, chunk, encoding as BufferEncoding, callback as () => void)
  }
  const told = typeof encoding === 'function' ? encoding : callback
  const error = endedByPeer()
  if (typeof told === 'function') process.nextTick(told, error)
  this.destroy(error)
  return false
}
