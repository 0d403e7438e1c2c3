import type { ConnectAttempts } from './connect-attempts'
import type { IdleTimer } from './idle-timer'
import type { ReadBuffer } from './read-buffer'
import type { SocketHandle } from './socket-handle'

/** What is given what a connection receives, in place of its socket's stream. */
export interface Receiver {
  /** @returns whether anybody else was told. */
  received(chunk: Uint8Array): boolean
  ended(): void
  /** The connection has failed. @returns false if that is the socket's business. */
  failed(error: Error): boolean
  /** The connection is about to be closed. What is written now still leaves. */
  closing(): void
}

/** What a socket has besides what Node's have as properties. */
export interface SocketState {
  handle: SocketHandle | null
  attempts: ConnectAttempts | undefined
  readonly idle: IdleTimer
  /** Bytes that were waiting when the time was up last. */
  queuedAtTimeout: number
  readBuffer: ReadBuffer | undefined
  receiver: Receiver | undefined
  /** What is in `_handle` instead of the handle, until the socket is closed. */
  shown: object | undefined
  /** Of a socket whose handle is bound already (`net.BoundSocket`): its path, and that is empty for TCP. */
  boundPath: string | undefined
  noDelay: boolean
  keepAlive: boolean
  keepAliveDelaySeconds: number
  keepAliveIntervalSeconds: number | undefined
  keepAliveProbes: number | undefined
  /** As set last. */
  typeOfService: number | undefined
  /** Counts that outlive the handle. */
  bytesRead: number
  bytesWritten: number
}

/** Where a socket has it. */
export const state = Symbol('state')
