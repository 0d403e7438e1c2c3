import type { Ring } from '@sheaf/ring'
import { SocketHandle } from './socket-handle'

/** A handle of Node's own: of a socket or server that was made by `node:net`, or received from another process. */
export interface ForeignHandle {
  readonly fd: number
  close(): void
}

/** Whether `value` is a handle with a descriptor, and none of Sheaf's. */
export function isForeignHandle(value: unknown): value is ForeignHandle {
  if (typeof value !== 'object' || value === null || value instanceof SocketHandle) return false
  const { fd, close } = value as Partial<ForeignHandle>
  return typeof fd === 'number' && fd >= 0 && typeof close === 'function'
}

/**
 * Takes the socket out of a handle, which is closed: two would compete for its data.
 * @returns a descriptor; or `-errno`, and the handle is as it was.
 */
export function takeDescriptor(ring: Ring, handle: ForeignHandle): number {
  const fd = ring.sockets.dup(handle.fd)
  if (fd >= 0) handle.close()
  return fd
}
