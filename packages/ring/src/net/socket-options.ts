import type { BlockList } from 'node:net'
import type { DuplexOptions } from 'node:stream'
import { defaultRing } from '@sheaf/ring'
import { kindOfBound } from './bound-socket'
import { checkInt32, checkKeepAliveDelay, checkTypeOfService, notSupported } from './errors'
import { familyOfKind, kindOfDescriptor } from './families'
import { isForeignHandle } from './foreign-handle'
import { SocketHandle } from './socket-handle'

export interface SocketOptions extends DuplexOptions {
  readable?: boolean
  fd?: number
  handle?: unknown
  onread?: unknown
  noDelay?: boolean
  keepAlive?: boolean
  keepAliveInitialDelay?: number
  typeOfService?: number
  blockList?: BlockList
  /** Of a connection that was accepted: it does not receive before `resume`. */
  pauseOnCreate?: boolean
  /** It does not receive before somebody reads. */
  manualStart?: boolean
}

/** Completes what is given. @throws as Node does. */
export function checkOptions(options: SocketOptions): void {
  if (options.typeOfService !== undefined) checkTypeOfService('options.typeOfService', options.typeOfService)
  if (options.objectMode) throw notSupported('options.objectMode', options.objectMode)
  for (const name of ['readableObjectMode', 'writableObjectMode'] as const) {
    if (options[name]) throw notSupported(`options.${name}`, options[name])
  }
  options.keepAliveInitialDelay = checkKeepAliveDelay(options.keepAliveInitialDelay)
}

/**
 * Whether the descriptor or handle is left to Node, being no socket of a family that is there: a FIFO, a terminal, a
 * handle of JavaScript. @throws as Node does if there can be no socket of it.
 */
export function isNodes(options: SocketOptions): boolean {
  const { fd, handle } = options
  if (handle instanceof SocketHandle) return false
  if (handle === undefined) checkInt32('fd', fd, 0)
  const boundKind = kindOfBound(handle)
  if (boundKind !== undefined) return familyOfKind(boundKind) === undefined
  const descriptor = isForeignHandle(handle) ? handle.fd : fd
  const kind = descriptor === undefined ? undefined : kindOfDescriptor(defaultRing(), descriptor)
  return kind === undefined || familyOfKind(kind) === undefined
}
