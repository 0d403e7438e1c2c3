import { type Ring, setSocketOption, type SocketOption } from '@sheaf/ring'
import { coalesce, keepCoalescing } from './coalescing'
import { pathMtuDiscoveries, type UdpOptions } from './options'

/** Options of the socket, whatever its family. */
export const socketOption = {
  reuseAddress: [1, 2],
  broadcast: [1, 6],
  sendBufferBytes: [1, 7],
  receiveBufferBytes: [1, 8],
  reusePort: [1, 15],
  timestamps: [1, 35],
  dropCounter: [1, 40],
  ipv6Only: [41, 26],
} as const satisfies Record<string, SocketOption>

/** Options that IPv4 and IPv6 have each their own of. */
const pairedOption = {
  timeToLive: [[0, 2], [41, 16]],
  typeOfService: [[0, 1], [41, 67]],
  packetInfo: [[0, 8], [41, 49]],
  receiveTypeOfService: [[0, 13], [41, 66]],
  pathMtuDiscovery: [[0, 10], [41, 23]],
  multicastTimeToLive: [[0, 33], [41, 18]],
  multicastLoopback: [[0, 34], [41, 19]],
} as const satisfies Record<string, readonly [ipv4: SocketOption, ipv6: SocketOption]>

export type PairedOptionName = keyof typeof pairedOption

/**
 * Sets an option of the socket's family; on an IPv6 socket also that of IPv4, whose datagrams it may send and receive.
 * @throws SystemError of `setsockopt`.
 */
export function setPairedOption(ring: Ring, fd: number, ipv6: boolean, name: PairedOptionName, value: number): void {
  const [option4, option6] = pairedOption[name]
  if (!ipv6) {
    setSocketOption(ring.sockets, fd, option4, value)
    return
  }
  setSocketOption(ring.sockets, fd, option6, value)
  const bytes = new Uint8Array(Int32Array.of(value).buffer)
  // An IPv6-only socket need not have it. With both sockets' packet info set, IPv4 datagrams would tell it twice.
  if (name !== 'packetInfo') ring.sockets.setsockopt(fd, option4[0], option4[1], bytes)
}

/** What must be set before binding, or may be set any time. */
export function applyOptions(ring: Ring, fd: number, ipv6: boolean, options: UdpOptions): void {
  const { sockets, capabilities } = ring
  for (const name of ['reuseAddress', 'reusePort', 'broadcast', 'timestamps', 'dropCounter'] as const) {
    if (options[name] === true) setSocketOption(sockets, fd, socketOption[name], 1)
  }
  for (const name of ['sendBufferBytes', 'receiveBufferBytes'] as const) {
    const value = options[name]
    if (value !== undefined) setSocketOption(sockets, fd, socketOption[name], value)
  }
  for (const name of ['packetInfo', 'receiveTypeOfService'] as const) {
    if (options[name] === true) setPairedOption(ring, fd, ipv6, name, 1)
  }
  for (const name of ['timeToLive', 'typeOfService'] as const) {
    const value = options[name]
    if (value !== undefined) setPairedOption(ring, fd, ipv6, name, value)
  }
  const { pathMtuDiscovery } = options
  if (pathMtuDiscovery !== undefined) {
    setPairedOption(ring, fd, ipv6, 'pathMtuDiscovery', pathMtuDiscoveries.indexOf(pathMtuDiscovery))
  }
  if (options.coalesce !== false && capabilities.coalescedReceive.enabled) {
    keepCoalescing(ring)
    setSocketOption(sockets, fd, coalesce, 1)
  }
}
