import {
  checkDescriptorOption,
  checkIntegerOption,
  checkOption,
  checkStreamConnectOptions,
  checkStreamListenOptions,
  checkStreamOptions,
  invalidArgumentType,
  invalidArgumentValue,
  type StreamConnectOptions,
  type StreamListenOptions,
  type StreamOptions,
} from '@sheaf/ring'
import { isAbstract } from './unix-address'

export interface ListenOptions extends StreamListenOptions {
  /**
   * Where to listen: a path of at most 107 bytes, or an abstract name: a NUL byte and at most 107 more, which is in no
   * file system and needs no permission. Not with `fd`.
   */
  path?: string
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
}

export interface ConnectOptions extends StreamConnectOptions {
  /** A path of at most 107 bytes, or an abstract name: a NUL byte and at most 107 more. */
  path: string
}

export interface AdoptOptions extends StreamOptions {
  /** A connected Unix stream socket. It belongs to the connection from then on. */
  fd: number
}

export type SocketPairOptions = StreamOptions

function checkPath(value: unknown): void {
  if (typeof value !== 'string') throw invalidArgumentType('options.path', 'of type string', value)
  if (value === '') throw invalidArgumentValue('options.path', 'must not be empty', value)
  if (!isAbstract(value) && value.includes('\0')) {
    throw invalidArgumentValue('options.path', 'must be a string without null bytes, but for the first', value)
  }
}

/** @throws TypeError, RangeError as Node would. */
export function checkListenOptions(options: ListenOptions, handler: unknown): void {
  checkStreamListenOptions(options, handler)
  checkIntegerOption('mode', options.mode, 0, 0o777)
  checkOption('removeStale', options.removeStale, 'boolean')
  if (options.fd === undefined) checkPath(options.path)
  else if (options.path !== undefined) {
    throw invalidArgumentValue('options.path', 'must not be given together with options.fd', options.path)
  }
  const hasFile = options.path !== undefined && !isAbstract(options.path)
  if (options.mode !== undefined && !hasFile) {
    throw invalidArgumentValue('options.mode', 'needs a socket file', options.mode)
  }
}

/** @throws TypeError, RangeError as Node would. */
export function checkConnectOptions(options: ConnectOptions, handler: unknown): void {
  checkStreamConnectOptions(options, handler)
  checkPath(options.path)
}

/** @throws TypeError, RangeError as Node would. */
export function checkAdoptOptions(options: AdoptOptions, handler: unknown): void {
  checkStreamOptions(options, handler)
  checkDescriptorOption(options.fd)
}

/** @throws TypeError, RangeError as Node would. */
export function checkPairOptions(options: SocketPairOptions, handler: unknown, otherHandler: unknown): void {
  checkStreamOptions(options, handler)
  checkStreamOptions(options, otherHandler)
}
