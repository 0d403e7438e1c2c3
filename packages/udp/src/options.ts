import type { LookupAddress, LookupAllOptions } from 'node:dns'
import {
  type BackendOptions,
  checkBackendOptions,
  checkCallbacks,
  checkIntegerOption,
  checkObject,
  checkOption,
  checkSignalOption,
  familyOf,
  invalidAddress,
  invalidArgumentValue,
  type MessageSocketOptions,
  typeAndValue,
} from '@sheaf/ring'

/**
 * Whether sent datagrams may be fragmented (`IP_MTU_DISCOVER`): `off` never forbids it; `want`, the system's default,
 * goes by what is known of the path; `do` always forbids it (a datagram larger than the path takes fails with
 * `EMSGSIZE`); `probe` forbids it and does not heed what is known of the path.
 */
export type PathMtuDiscovery = 'off' | 'want' | 'do' | 'probe'

/** What `bind` and `connect` have in common. */
export interface UdpOptions extends MessageSocketOptions, BackendOptions {
  /**
   * Several sockets may have the address, the last of which gets what is sent to it (`SO_REUSEADDR`). Default false.
   */
  reuseAddress?: boolean
  /** Shares the port with other sockets that say so, of this user (`SO_REUSEPORT`). Default false. */
  reusePort?: boolean
  /** May send to broadcast addresses. Default false. */
  broadcast?: boolean
  /** Hops that what is sent may take, 1 to 255. */
  timeToLive?: number
  /** Type of service (IPv4), traffic class (IPv6) of what is sent, 0 to 255; the lowest two bits are ECN. */
  typeOfService?: number
  /** Size of the kernel's send buffer in bytes. The kernel doubles what is set, and bounds it (`net.core.wmem_max`). */
  sendBufferBytes?: number
  /**
   * Size of the kernel's receive buffer in bytes. The kernel doubles what is set, and bounds it (`net.core.rmem_max`).
   */
  receiveBufferBytes?: number
  pathMtuDiscovery?: PathMtuDiscovery
  /** Tells `details.localAddress` and `details.interfaceIndex` of each datagram. Default false. */
  packetInfo?: boolean
  /** Tells `details.timestampUs` of each datagram. Default false. */
  timestamps?: boolean
  /** Tells `details.dropped` as soon as the socket has lost a datagram for want of room. Default false. */
  dropCounter?: boolean
  /** Tells `details.typeOfService` of each datagram. Default false. */
  receiveTypeOfService?: boolean
  /** Lets the kernel coalesce datagrams on receipt (`UDP_GRO`); they are told one by one all the same. Default true. */
  coalesce?: boolean
  /** Closes the socket when aborted, sending what is queued before. */
  signal?: AbortSignal
}

export interface BindOptions extends UdpOptions {
  /**
   * Address or host name. Default `::`, which takes IPv4 as well, or `0.0.0.0` where there is no IPv6 or the family is
   * 4.
   */
  host?: string
  /** 0 to 65535; 0, the default, has the system choose. */
  port?: number
  /** The family that a host name, or no host, stands for: 4 or 6; 0, the default, is either. */
  family?: 0 | 4 | 6
  /** An IPv6 socket takes no IPv4. Default false. */
  ipv6Only?: boolean
}

/** Node's resolver, or another of its shape. */
export type Lookup = (
  hostname: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

export interface ConnectOptions extends UdpOptions {
  /** Address or host name; the first address of a name is used. Default `localhost`. */
  host?: string
  /** 1 to 65535. */
  port: number
  /** Resolve the host to this family only: 4 or 6; 0, the default, is both. */
  family?: 0 | 4 | 6
  /** Send from this address. */
  localAddress?: string
  /** Send from this port, 0 to 65535. */
  localPort?: number
  /** Default `dns.lookup`. */
  lookup?: Lookup
}

/** `ERR_SOCKET_BAD_PORT`, worded as Node words it. */
export function checkPort(name: string, value: unknown, allowZero: boolean): asserts value is number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= (allowZero ? 0 : 1) && value <= 65535) return
  const range = `${allowZero ? '>=' : '>'} 0 and < 65536`
  throw Object.assign(new RangeError(`${name} should be ${range}. Received ${typeAndValue(value)}.`), {
    code: 'ERR_SOCKET_BAD_PORT',
  })
}

const booleans = [
  'reuseAddress', 'reusePort', 'broadcast', 'packetInfo', 'timestamps', 'dropCounter', 'receiveTypeOfService',
  'coalesce',
] as const

export const pathMtuDiscoveries: readonly PathMtuDiscovery[] = ['off', 'want', 'do', 'probe']

function checkCommon(options: UdpOptions & { family?: unknown }, handler: unknown): void {
  checkObject('options', options)
  checkCallbacks(handler, ['message', 'messages', 'drain', 'error', 'close'])
  for (const name of booleans) checkOption(name, options[name], 'boolean')
  checkIntegerOption('writableHighWaterMark', options.writableHighWaterMark, 1, 2 ** 40)
  checkIntegerOption('timeToLive', options.timeToLive, 1, 255)
  checkIntegerOption('typeOfService', options.typeOfService, 0, 255)
  checkIntegerOption('sendBufferBytes', options.sendBufferBytes, 1, 2 ** 30)
  checkIntegerOption('receiveBufferBytes', options.receiveBufferBytes, 1, 2 ** 30)
  const { pathMtuDiscovery, family } = options
  if (pathMtuDiscovery !== undefined && !pathMtuDiscoveries.includes(pathMtuDiscovery)) {
    const choices = `must be one of: ${pathMtuDiscoveries.join(', ')}`
    throw invalidArgumentValue('options.pathMtuDiscovery', choices, pathMtuDiscovery)
  }
  if (family !== undefined && family !== 0 && family !== 4 && family !== 6) {
    throw invalidArgumentValue('options.family', 'must be one of: 0, 4, 6', family)
  }
  checkBackendOptions(options)
  checkSignalOption(options.signal)
}

/** @throws TypeError, RangeError as Node would. */
export function checkBindOptions(options: BindOptions, handler: unknown): void {
  checkCommon(options, handler)
  checkOption('host', options.host, 'string')
  checkOption('ipv6Only', options.ipv6Only, 'boolean')
  if (options.port !== undefined) checkPort('options.port', options.port, true)
}

/** @throws TypeError, RangeError as Node would. */
export function checkConnectOptions(options: ConnectOptions, handler: unknown): void {
  checkCommon(options, handler)
  checkOption('host', options.host, 'string')
  checkPort('options.port', options.port, false)
  checkOption('localAddress', options.localAddress, 'string')
  if (options.localAddress !== undefined && familyOf(options.localAddress) === undefined) {
    throw invalidAddress(options.localAddress)
  }
  if (options.localPort !== undefined) checkPort('options.localPort', options.localPort, true)
  checkOption('lookup', options.lookup, 'function')
}
