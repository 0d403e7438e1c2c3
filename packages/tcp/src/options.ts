import type { LookupAddress, LookupAllOptions } from 'node:dns'
import {
  checkDescriptorOption,
  checkInteger,
  checkOption,
  checkStreamConnectOptions,
  checkStreamListenOptions,
  checkStreamOptions,
  familyOf,
  invalidAddress,
  invalidArgumentType,
  invalidArgumentValue,
  type StreamConnectOptions,
  type StreamListenOptions,
  type StreamOptions,
  typeAndValue,
} from '@sheaf/ring'
import type { KeepAlive } from './transport'

/** What `listen`, `connect` and `adopt` have in common. */
export interface TcpOptions extends StreamOptions {
  /**
   * Switches Nagle's algorithm off. Default true: what is written in one turn of the event loop leaves together anyway,
   * so Nagle would only add delay. (`node:net` has it on by default.)
   */
  noDelay?: boolean
  /** Default false. */
  keepAlive?: boolean | KeepAlive
}

export interface ListenOptions extends TcpOptions, StreamListenOptions {
  /** Address or host name. Default `::`, which takes IPv4 as well, or `0.0.0.0` where there is no IPv6. */
  host?: string
  /** 0 to 65535; 0 has the system choose. Required, but for `fd`, with which it means nothing. */
  port?: number
  /** Shares the port with other sockets that say so, of this user (`SO_REUSEPORT`). Default false. */
  reusePort?: boolean
  /** An IPv6 listener takes no IPv4. Default false. */
  ipv6Only?: boolean
}

/** Node's resolver, or another of its shape. */
export type Lookup = (
  hostname: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

export interface ConnectOptions extends TcpOptions, StreamConnectOptions {
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
  /** Default `dns.lookup`. */
  lookup?: Lookup
}

export interface AdoptOptions extends TcpOptions {
  /** A TCP socket, connected or reset by its peer. It belongs to the connection from then on. */
  fd: number
}

/** `ERR_SOCKET_BAD_PORT`, worded as Node words it. */
function checkPort(name: string, value: unknown): void {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 65535) return
  throw Object.assign(new RangeError(`options.${name} should be >= 0 and < 65536. Received ${typeAndValue(value)}.`), {
    code: 'ERR_SOCKET_BAD_PORT',
  })
}

/** @param name what it is called where it is given. @throws TypeError, RangeError */
export function checkKeepAlive(keepAlive: unknown, name: string): void {
  if (typeof keepAlive === 'boolean') return
  if (typeof keepAlive !== 'object' || keepAlive === null) {
    throw invalidArgumentType(name, 'of type boolean or object', keepAlive)
  }
  for (const [timer, max] of keepAliveMax) {
    const value = (keepAlive as KeepAlive)[timer]
    if (value !== undefined) checkInteger(`${name}.${timer}`, value, 1, max)
  }
}

const keepAliveMax = [['idleSeconds', 32767], ['intervalSeconds', 32767], ['probes', 127]] as const

function checkTcpOptions(options: TcpOptions): void {
  checkOption('noDelay', options.noDelay, 'boolean')
  if (options.keepAlive !== undefined) checkKeepAlive(options.keepAlive, 'options.keepAlive')
}

/** @throws TypeError, RangeError as Node would. */
export function checkListenOptions(options: ListenOptions, handler: unknown): void {
  checkStreamListenOptions(options, handler)
  checkTcpOptions(options)
  checkOption('host', options.host, 'string')
  if (options.fd === undefined) checkPort('port', options.port)
  checkOption('reusePort', options.reusePort, 'boolean')
  checkOption('ipv6Only', options.ipv6Only, 'boolean')
}

/** @throws TypeError, RangeError as Node would. */
export function checkConnectOptions(options: ConnectOptions, handler: unknown): void {
  checkStreamConnectOptions(options, handler)
  checkTcpOptions(options)
  checkOption('host', options.host, 'string')
  checkPort('port', options.port)
  checkOption('localAddress', options.localAddress, 'string')
  if (options.localAddress !== undefined && familyOf(options.localAddress) === undefined) {
    throw invalidAddress(options.localAddress)
  }
  if (options.localPort !== undefined) checkPort('localPort', options.localPort)
  if (options.family !== undefined && ![0, 4, 6].includes(options.family)) {
    throw invalidArgumentValue('options.family', 'must be one of: 0, 4, 6', options.family)
  }
  checkOption('lookup', options.lookup, 'function')
}

/** @throws TypeError, RangeError as Node would. */
export function checkAdoptOptions(options: AdoptOptions, handler: unknown): void {
  checkStreamOptions(options, handler)
  checkTcpOptions(options)
  checkDescriptorOption(options.fd)
}
