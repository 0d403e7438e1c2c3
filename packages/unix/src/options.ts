import {
  checkBackendOptions,
  checkCallbacks,
  checkDescriptorOption,
  checkIntegerOption,
  checkObject,
  checkOption,
  checkSignalOption,
  checkStreamConnectOptions,
  checkStreamListenOptions,
  checkStreamOptions,
  invalidArgumentType,
  invalidArgumentValue,
  type MessageSocketOptions,
  type Ring,
  type StreamConnectOptions,
  type StreamListenOptions,
  type StreamOptions,
} from '@sheaf/ring'
import type { DetailOptions } from './details'
import { isAbstract } from './unix-address'

/** The file that binding to a path makes. It goes when the socket closes, and when the process exits. */
export interface FileOptions {
  /**
   * Permissions of the socket file, 0 to 0o777, whatever the process's umask; they are in force before anybody can
   * connect, which takes the permission to write. Default: what the umask leaves of 0o777. Not for abstract names.
   */
  mode?: number
  /**
   * Replaces a socket file that nobody listens on any more, left behind by a process that was killed. To find out, the
   * socket is connected to: a living listener sees a connection that ends at once. Whatever else is at the path
   * (another kind of file, a socket that is alive) stays, and listening fails with `EADDRINUSE`. Default false.
   */
  removeStale?: boolean
  /** Leaves the file when the socket closes, and when the process exits. Default false. */
  keepFile?: boolean
}

/** What is listened with, whatever the connections. */
export interface ListenAddressOptions extends FileOptions {
  /**
   * Where to listen: a path of at most 107 bytes, or an abstract name: a NUL byte and at most 107 more, which is in no
   * file system and needs no permission. Required, but for `fd`, with which it must not be given.
   */
  path?: string
}

export interface ListenOptions extends StreamListenOptions, ListenAddressOptions, DetailOptions {}

export interface ConnectOptions extends StreamConnectOptions, DetailOptions {
  /** A path of at most 107 bytes, or an abstract name: a NUL byte and at most 107 more. */
  path: string
}

export interface AdoptOptions extends StreamOptions, DetailOptions {
  /** A connected Unix stream socket. It belongs to the connection from then on. */
  fd: number
}

export type SocketPairOptions = StreamOptions & DetailOptions

/** What `bind`, `listen`, `connect`, … of sockets that keep message boundaries have in common. */
export interface MessageOptions extends MessageSocketOptions, DetailOptions {
  /** Default: this thread's own, shared by all that name none. */
  ring?: Ring
}

/** @throws TypeError as Node would. */
function checkDetailOptions(options: DetailOptions): void {
  checkOption('receiveDescriptors', options.receiveDescriptors, 'boolean')
  checkOption('receiveCredentials', options.receiveCredentials, 'boolean')
}

/** @param name as the caller knows it. @throws TypeError if it is neither a path nor an abstract name. */
export function checkPath(name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string') throw invalidArgumentType(name, 'of type string', value)
  if (value === '') throw invalidArgumentValue(name, 'must not be empty', value)
  if (!isAbstract(value) && value.includes('\0')) {
    throw invalidArgumentValue(name, 'must be a string without null bytes, but for the first', value)
  }
}

/** @throws TypeError, RangeError as Node would. */
export function checkFileOptions(options: FileOptions & { path?: string }): void {
  checkIntegerOption('mode', options.mode, 0, 0o777)
  checkOption('removeStale', options.removeStale, 'boolean')
  checkOption('keepFile', options.keepFile, 'boolean')
  const hasFile = options.path !== undefined && !isAbstract(options.path)
  if (options.mode !== undefined && !hasFile) {
    throw invalidArgumentValue('options.mode', 'needs a socket file', options.mode)
  }
}

/** @throws TypeError, RangeError as Node would. */
export function checkListenAddress(options: ListenAddressOptions & { fd?: number }): void {
  if (options.fd === undefined) checkPath('options.path', options.path)
  else if (options.path !== undefined) {
    throw invalidArgumentValue('options.path', 'must not be given together with options.fd', options.path)
  }
  checkFileOptions(options)
}

/** @throws TypeError, RangeError as Node would. */
export function checkMessageOptions(
  options: MessageOptions & { signal?: AbortSignal },
  handler: unknown,
  callbacks: readonly string[],
): void {
  checkObject('options', options)
  checkCallbacks(handler, callbacks)
  checkIntegerOption('writableHighWaterMark', options.writableHighWaterMark, 1, 2 ** 40)
  checkDetailOptions(options)
  checkSignalOption(options.signal)
  checkBackendOptions(options)
}

/** @throws TypeError, RangeError as Node would. */
export function checkListenOptions(options: ListenOptions, handler: unknown): void {
  checkStreamListenOptions(options, handler)
  checkDetailOptions(options)
  checkListenAddress(options)
}

/** @throws TypeError, RangeError as Node would. */
export function checkConnectOptions(options: ConnectOptions, handler: unknown): void {
  checkStreamConnectOptions(options, handler)
  checkDetailOptions(options)
  checkPath('options.path', options.path)
}

/** @throws TypeError, RangeError as Node would. */
export function checkAdoptOptions(options: AdoptOptions, handler: unknown): void {
  checkStreamOptions(options, handler)
  checkDetailOptions(options)
  checkDescriptorOption(options.fd)
}

/** @throws TypeError, RangeError as Node would. */
export function checkPairOptions(options: SocketPairOptions, handler: unknown, otherHandler: unknown): void {
  checkStreamOptions(options, handler)
  checkStreamOptions(options, otherHandler)
  checkDetailOptions(options)
}
