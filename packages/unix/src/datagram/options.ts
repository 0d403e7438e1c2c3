import { checkDescriptorOption, checkIntegerOption, checkOption } from '@sheaf/ring'
import { checkFileOptions, checkMessageOptions, checkPath, type FileOptions, type MessageOptions } from '../options'

/** What all datagram sockets take. */
export interface DatagramOptions extends MessageOptions {
  /**
   * Size of the kernel's send buffer in bytes, which the kernel doubles, and bounds (`net.core.wmem_max`). It bounds
   * the largest datagram, and what receivers have not read yet.
   */
  sendBufferBytes?: number
  /** Closes the socket when aborted. */
  signal?: AbortSignal
}

export interface BindOptions extends DatagramOptions, FileOptions {
  /** Where to receive: a path of at most 107 bytes, or an abstract name: a NUL byte and at most 107 more. */
  path: string
}

export interface ConnectOptions extends DatagramOptions {
  /** The peer: a path, or an abstract name. */
  path: string
  /** Where the peer's answers go: a path, or an abstract name, to bind to. Default: unnamed, which gets none. */
  localPath?: string
}

export interface AdoptOptions extends DatagramOptions {
  /** A Unix datagram socket, named and connected or not. It belongs to the new one from then on; its file does not. */
  fd: number
}

const datagramCallbacks = ['message', 'messages', 'drain', 'error', 'close'] as const

/** @throws TypeError, RangeError as Node would. */
export function checkDatagramOptions(options: DatagramOptions, handler: unknown): void {
  checkMessageOptions(options, handler, datagramCallbacks)
  checkIntegerOption('sendBufferBytes', options.sendBufferBytes, 1, 2 ** 30)
}

/** @throws TypeError, RangeError as Node would. */
export function checkBindOptions(options: BindOptions, handler: unknown): void {
  checkDatagramOptions(options, handler)
  checkPath('options.path', options.path)
  checkFileOptions(options)
}

/** @throws TypeError, RangeError as Node would. */
export function checkConnectOptions(options: ConnectOptions, handler: unknown): void {
  checkDatagramOptions(options, handler)
  checkPath('options.path', options.path)
  checkOption('localPath', options.localPath, 'string')
  if (options.localPath !== undefined) checkPath('options.localPath', options.localPath)
}

/** @throws TypeError, RangeError as Node would. */
export function checkAdoptOptions(options: AdoptOptions, handler: unknown): void {
  checkDatagramOptions(options, handler)
  checkDescriptorOption(options.fd)
}
