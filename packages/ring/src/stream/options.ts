import { type BackendOptions, checkBackendOptions } from '../backend'
import { checkCallbacks, checkDescriptorOption, checkIntegerOption, checkObject, checkOption, checkSignalOption }
  from '../option-checks'

/** How a connection behaves, whatever its address family. */
export interface ConnectionOptions {
  /**
   * Keep sending possible after the peer has ended. Otherwise this side ends by itself, after what is queued. Default
   * false.
   */
  allowHalfOpen?: boolean
  /** `write` returns false from this many queued bytes on. Default 65536. */
  writableHighWaterMark?: number
  /**
   * Enter an async context of the connection's own for every call of the handler (`AsyncLocalStorage`). Default
   * false: handlers run in none, with no store, and what `enterWith` sets there other connections' handlers see too.
   */
  asyncContext?: boolean
}

/** What `listen`, `connect` and `adopt` have in common in every address family. */
export type StreamOptions = ConnectionOptions & BackendOptions

/** What every `listen` takes besides its address. */
export interface StreamListenOptions extends StreamOptions {
  /**
   * A listening socket that is there already. It belongs to the listener from then on. Of several processes that listen
   * on it so, the kernel wakes the same one first: others get a connection only when that has accepted.
   */
  fd?: number
  /**
   * Connections that may wait to be accepted, 1 to 2^31-1. Default 511; the system bounds it (`net.core.somaxconn`).
   */
  backlog?: number
  /** Closes the listener when aborted. */
  signal?: AbortSignal
}

/** What every `connect` takes besides its address. */
export interface StreamConnectOptions extends StreamOptions {
  /** Time that it may take in all, name resolution included, in ms, 1 to 2^31-1. Default: no bound. */
  timeout?: number
  /** Gives up connecting, or destroys the connection, when aborted. */
  signal?: AbortSignal
}

const longestTimeoutMs = 2 ** 31 - 1
const streamCallbacks = ['open', 'data', 'drain', 'end', 'close', 'acceptError'] as const

/** @throws TypeError, RangeError as Node would. */
export function checkStreamOptions(options: StreamOptions, handler: unknown): void {
  checkObject('options', options)
  checkCallbacks(handler, streamCallbacks)
  checkOption('allowHalfOpen', options.allowHalfOpen, 'boolean')
  checkOption('asyncContext', options.asyncContext, 'boolean')
  checkIntegerOption('writableHighWaterMark', options.writableHighWaterMark, 1, 2 ** 40)
  checkBackendOptions(options)
}

/** @throws TypeError, RangeError as Node would. */
export function checkStreamListenOptions(options: StreamListenOptions, handler: unknown): void {
  checkStreamOptions(options, handler)
  if (options.fd !== undefined) checkDescriptorOption(options.fd)
  checkIntegerOption('backlog', options.backlog, 1, 2 ** 31 - 1)
  checkSignalOption(options.signal)
}

/** @throws TypeError, RangeError as Node would. */
export function checkStreamConnectOptions(options: StreamConnectOptions, handler: unknown): void {
  checkStreamOptions(options, handler)
  checkIntegerOption('timeout', options.timeout, 1, longestTimeoutMs)
  checkSignalOption(options.signal)
}
