import type { LookupAddress, LookupAllOptions } from 'node:dns'
import { type ConnectionOptions, invalidArgumentType, invalidArgumentValue, outOfRange, Ring } from '@sheaf/ring'
import { isIP } from 'node:net'
import type { KeepAlive } from './connection'

/** What `listen`, `connect` and `adopt` have in common. */
export interface TcpOptions extends ConnectionOptions {
  /** Default: this thread's own, shared by all that name none. */
  ring?: Ring
  /**
   * Switches Nagle's algorithm off. Default true: what is written in one turn of the event loop leaves together anyway,
   * so Nagle would only add delay. (`node:net` has it on by default.)
   */
  noDelay?: boolean
  /** Default false. */
  keepAlive?: boolean | KeepAlive
}

export interface ListenOptions extends TcpOptions {
  /** Address or host name. Default `::`, which takes IPv4 as well, or `0.0.0.0` where there is no IPv6. */
  host?: string
  /** 0 to 65535; 0 has the system choose. Not with `fd`. */
  port?: number
  /** A listening socket that is there already. It belongs to the listener from then on. */
  fd?: number
  /**
   * Connections that may wait to be accepted, 1 to 2^31-1. Default 511; the system bounds it (`net.core.somaxconn`).
   */
  backlog?: number
  /** Shares the port with other sockets that say so, of this user (`SO_REUSEPORT`). Default false. */
  reusePort?: boolean
  /** An IPv6 listener takes no IPv4. Default false. */
  ipv6Only?: boolean
  /** Closes the listener when aborted. */
  signal?: AbortSignal
}

/** Node's resolver, or another of its shape. */
export type Lookup = (
  hostname: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

export interface ConnectOptions extends TcpOptions {
  /** Address or host name; each address of a name is tried in the resolver's order. Default `localhost`. */
  host?: string
  /** 0 to 65535. */
  port: number
  /** Connect from this address. */
  localAddress?: string
  /** Connect from this port, 0 to 65535. */
  localPort?: number
  /** Resolve the host to this family only: 4 or 6; 0, the default, is both. */
  family?: 0 | 4 | 6
  /** Time that resolving and connecting may take together, in ms, 1 to 2^31-1. Default: as long as the system tries. */
  timeout?: number
  /** Gives up connecting, or destroys the connection, when aborted. */
  signal?: AbortSignal
  /** Default `dns.lookup`. */
  lookup?: Lookup
}

export interface AdoptOptions extends TcpOptions {
  /** A connected TCP socket. It belongs to the connection from then on. */
  fd: number
}

const optionName = (name: string): string => `options.${name}`

function check(name: string, value: unknown, type: 'boolean' | 'string' | 'function'): void {
  if (value === undefined || typeof value === type) return
  throw invalidArgumentType(optionName(name), `of type ${type}`, value)
}

function checkNumber(name: string, value: unknown, min: number, max: number): void {
  if (value === undefined) return
  if (typeof value !== 'number') throw invalidArgumentType(optionName(name), 'of type number', value)
  if (!Number.isInteger(value) || value < min || value > max) {
    throw outOfRange(optionName(name), `an integer >= ${min} and <= ${max}`, value)
  }
}

/** `ERR_SOCKET_BAD_PORT`, worded as Node words it. */
function checkPort(name: string, value: unknown): void {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 65535) return
  const received = typeof value === 'string' ? `type string ('${value}')` : `type ${typeof value} (${String(value)})`
  throw Object.assign(new RangeError(`${optionName(name)} should be >= 0 and < 65536. Received ${received}.`), {
    code: 'ERR_SOCKET_BAD_PORT',
  })
}

function checkObject(name: string, value: unknown): void {
  if (typeof value !== 'object' || value === null) throw invalidArgumentType(name, 'of type object', value)
}

function checkCommon(options: TcpOptions, handler: unknown): void {
  checkObject('options', options)
  checkObject('handler', handler)
  const callbacks = handler as Record<string, unknown>
  for (const name of ['open', 'data', 'drain', 'end', 'close', 'acceptError']) {
    const callback = callbacks[name]
    if (callback !== undefined && typeof callback !== 'function') {
      throw invalidArgumentType(`handler.${name}`, 'of type function', callback)
    }
  }
  check('noDelay', options.noDelay, 'boolean')
  check('allowHalfOpen', options.allowHalfOpen, 'boolean')
  check('asyncContext', options.asyncContext, 'boolean')
  checkNumber('writableHighWaterMark', options.writableHighWaterMark, 1, 2 ** 40)
  if (options.ring !== undefined && !(options.ring instanceof Ring)) {
    throw invalidArgumentType(optionName('ring'), 'an instance of Ring', options.ring)
  }
  const { keepAlive } = options
  if (typeof keepAlive === 'object') {
    checkObject('options.keepAlive', keepAlive)
    checkNumber('keepAlive.idleSeconds', keepAlive.idleSeconds, 1, 32767)
    checkNumber('keepAlive.intervalSeconds', keepAlive.intervalSeconds, 1, 32767)
    checkNumber('keepAlive.probes', keepAlive.probes, 1, 127)
  } else {
    check('keepAlive', keepAlive, 'boolean')
  }
}

function checkSignal(signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalidArgumentType(optionName('signal'), 'an instance of AbortSignal', signal)
  }
}

/** @throws TypeError, RangeError as Node would. */
export function checkListenOptions(options: ListenOptions, handler: unknown): void {
  checkCommon(options, handler)
  check('host', options.host, 'string')
  if (options.fd === undefined) checkPort('port', options.port)
  else checkNumber('fd', options.fd, 0, 2 ** 31 - 1)
  checkNumber('backlog', options.backlog, 1, 2 ** 31 - 1)
  check('reusePort', options.reusePort, 'boolean')
  check('ipv6Only', options.ipv6Only, 'boolean')
  checkSignal(options.signal)
}

/** @throws TypeError, RangeError as Node would. */
export function checkConnectOptions(options: ConnectOptions, handler: unknown): void {
  checkCommon(options, handler)
  check('host', options.host, 'string')
  checkPort('port', options.port)
  check('localAddress', options.localAddress, 'string')
  if (options.localAddress !== undefined && isIP(options.localAddress) === 0) {
    const error = new TypeError(`Invalid IP address: ${options.localAddress}`)
    throw Object.assign(error, { code: 'ERR_INVALID_IP_ADDRESS' })
  }
  if (options.localPort !== undefined) checkPort('localPort', options.localPort)
  if (options.family !== undefined && ![0, 4, 6].includes(options.family)) {
    throw invalidArgumentValue(optionName('family'), 'must be one of: 0, 4, 6', options.family)
  }
  checkNumber('timeout', options.timeout, 1, 2 ** 31 - 1)
  check('lookup', options.lookup, 'function')
  checkSignal(options.signal)
}

/** @throws TypeError, RangeError as Node would. */
export function checkAdoptOptions(options: AdoptOptions, handler: unknown): void {
  checkCommon(options, handler)
  if (typeof options.fd !== 'number') throw invalidArgumentType(optionName('fd'), 'of type number', options.fd)
  checkNumber('fd', options.fd, 0, 2 ** 31 - 1)
}
