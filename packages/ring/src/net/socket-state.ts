import type { ConnectAttempts } from './connect-attempts'
import { IdleTimer } from './idle-timer'
import { isOnReadOptions, ReadBuffer } from './read-buffer'
import type { Socket } from './socket'
import type { SocketHandle } from './socket-handle'
import type { SocketOptions } from './socket-options'

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

export function newState(socket: Socket, options: SocketOptions): SocketState {
  return {
    handle: null,
    attempts: undefined,
    idle: new IdleTimer(socket),
    queuedAtTimeout: 0,
    readBuffer: isOnReadOptions(options.onread) ? new ReadBuffer(options.onread, socket) : undefined,
    receiver: undefined,
    shown: undefined,
    boundPath: undefined,
    noDelay: Boolean(options.noDelay),
    keepAlive: Boolean(options.keepAlive),
    keepAliveDelaySeconds: Math.trunc((options.keepAliveInitialDelay ?? 0) / 1000),
    keepAliveIntervalSeconds: undefined,
    keepAliveProbes: undefined,
    typeOfService: options.typeOfService,
    bytesRead: 0,
    bytesWritten: 0,
  }
}

/** @param own undefined for one of Node's. */
export function setState(socket: Socket, own: SocketState | undefined): void {
  ;(socket as unknown as { [state]: SocketState | undefined })[state] = own
}
