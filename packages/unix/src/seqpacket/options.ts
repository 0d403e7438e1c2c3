import { checkDescriptorOption, checkIntegerOption, checkOption, type MessageConnectionOptions } from '@sheaf/ring'
import {
  checkListenAddress, checkMessageOptions, checkPath, type ListenAddressOptions, type MessageOptions,
} from '../options'

/** What all seqpacket connections take. */
export interface SeqpacketOptions extends MessageOptions, MessageConnectionOptions {}

export interface ListenOptions extends SeqpacketOptions, ListenAddressOptions {
  /** A listening socket that is there already. It belongs to the listener from then on. */
  fd?: number
  /**
   * Connections that may wait to be accepted, 1 to 2^31-1. Default 511; the system bounds it (`net.core.somaxconn`).
   */
  backlog?: number
  /** Closes the listener when aborted. */
  signal?: AbortSignal
}

export interface ConnectOptions extends SeqpacketOptions {
  /** A path of at most 107 bytes, or an abstract name: a NUL byte and at most 107 more. */
  path: string
  /** Time that it may take, in ms, 1 to 2^31-1. Default: no bound. */
  timeout?: number
  /** Gives up connecting, or destroys the connection, when aborted. */
  signal?: AbortSignal
}

export interface AdoptOptions extends SeqpacketOptions {
  /** A connected Unix seqpacket socket. It belongs to the connection from then on. */
  fd: number
}

const connectionCallbacks = ['open', 'message', 'messages', 'drain', 'error', 'end', 'close'] as const
const listenerCallbacks = [...connectionCallbacks, 'acceptError'] as const
const intMax = 2 ** 31 - 1

/** @throws TypeError, RangeError as Node would. */
export function checkSeqpacketOptions(options: SeqpacketOptions, handler: unknown): void {
  checkMessageOptions(options, handler, connectionCallbacks)
  checkOption('allowHalfOpen', options.allowHalfOpen, 'boolean')
}

/** @throws TypeError, RangeError as Node would. */
export function checkListenOptions(options: ListenOptions, handler: unknown): void {
  checkMessageOptions(options, handler, listenerCallbacks)
  checkOption('allowHalfOpen', options.allowHalfOpen, 'boolean')
  if (options.fd !== undefined) checkDescriptorOption(options.fd)
  checkIntegerOption('backlog', options.backlog, 1, intMax)
  checkListenAddress(options)
}

/** @throws TypeError, RangeError as Node would. */
export function checkConnectOptions(options: ConnectOptions, handler: unknown): void {
  checkSeqpacketOptions(options, handler)
  checkIntegerOption('timeout', options.timeout, 1, intMax)
  checkPath('options.path', options.path)
}

/** @throws TypeError, RangeError as Node would. */
export function checkAdoptOptions(options: AdoptOptions, handler: unknown): void {
  checkSeqpacketOptions(options, handler)
  checkDescriptorOption(options.fd)
}
