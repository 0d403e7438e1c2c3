import { networkInterfaces } from 'node:os'
import {
  decodeSocketAddress, encodeSocketAddress, familyOf, internetFamily, invalidAddress, invalidArgumentType, type Ring,
  systemError, zoneIndex,
} from '@sheaf/ring'

export const noSuchDevice = -19
const internetLevel = 0
const internet6Level = 41
const multicastInterface = [32, 17] as const

/** `MCAST_*`: joining and leaving, the same for IPv4 and IPv6. */
export const enum MembershipOption {
  JoinGroup = 42,
  LeaveGroup = 45,
  JoinSourceGroup = 46,
  LeaveSourceGroup = 47,
}

/** `IP_*_MEMBERSHIP`: those of IPv4 that are told the interface by an address of it. */
const optionByAddress = {
  [MembershipOption.JoinGroup]: 35,
  [MembershipOption.LeaveGroup]: 36,
  [MembershipOption.JoinSourceGroup]: 39,
  [MembershipOption.LeaveSourceGroup]: 40,
} as const

const noZone = (): number => 0

/** `struct group_req`, `struct group_source_req`: the interface, then one or two `sockaddr_storage`. */
const storageBytes = 128
const groupOffsetBytes = 8

/** Joins or leaves a group. @param source in a source-specific one. @throws SystemError of `setsockopt`. */
export function changeMembership(
  ring: Ring,
  fd: number,
  option: MembershipOption,
  group: string,
  source: string | undefined,
  networkInterface: string | undefined,
): void {
  checkGroupAddress('group', group)
  if (source !== undefined) checkGroupAddress('source', source)
  if (networkInterface !== undefined) checkInterface(networkInterface)
  const addresses = [group, networkInterface, source].filter((address) => address !== undefined)
  let result: number
  if (networkInterface !== undefined && addresses.every(isIPv4)) {
    const bytes = Buffer.concat(addresses.map(ipv4Bytes))
    result = ring.sockets.setsockopt(fd, internetLevel, optionByAddress[option], bytes)
  } else {
    const level = group.includes(':') ? internet6Level : internetLevel
    result = ring.sockets.setsockopt(fd, level, option, groupRequest(ring, group, source, networkInterface))
  }
  if (result < 0) throw systemError(result, source === undefined ? membershipCall(option) : sourceCall(option))
}

function groupRequest(
  ring: Ring,
  group: string,
  source: string | undefined,
  networkInterface: string | undefined,
): Uint8Array {
  const bytes = new Uint8Array(groupOffsetBytes + storageBytes * (source === undefined ? 1 : 2))
  const index = networkInterface === undefined ? 0 : interfaceIndex(ring, networkInterface)
  new DataView(bytes.buffer).setUint32(0, index, true)
  bytes.set(encodeSocketAddress(group, 0, noZone), groupOffsetBytes)
  if (source !== undefined) bytes.set(encodeSocketAddress(source, 0, noZone), groupOffsetBytes + storageBytes)
  return bytes
}

/** Names of the calls in the errors of `node:dgram`. */
function membershipCall(option: MembershipOption): string {
  return option === MembershipOption.JoinGroup ? 'addMembership' : 'dropMembership'
}

function sourceCall(option: MembershipOption): string {
  return option === MembershipOption.JoinSourceGroup ? 'addSourceSpecificMembership' : 'dropSourceSpecificMembership'
}

/** Sets the interface by which multicast leaves. @throws SystemError of `setsockopt`. */
export function setMulticastInterface(ring: Ring, fd: number, ipv6: boolean, networkInterface: string): void {
  checkInterface(networkInterface)
  const [option4, option6] = multicastInterface
  // The kernel finds it by that whatever its state.
  const byAddress = !ipv6 && isIPv4(networkInterface)
  const index = byAddress ? 0 : interfaceIndex(ring, networkInterface)
  // IPv4 takes a `struct ip_mreqn`: the address of a group, which it does not heed, that of the interface, the index.
  const value4 = new Uint8Array(Int32Array.of(0, 0, index).buffer)
  if (byAddress) value4.set(ipv4Bytes(networkInterface), 4)
  const value6 = new Uint8Array(Int32Array.of(index).buffer)
  const result4 = ring.sockets.setsockopt(fd, internetLevel, option4, value4)
  // An IPv6-only socket need not have that of IPv4.
  const result = ipv6 ? ring.sockets.setsockopt(fd, internet6Level, option6, value6) : result4
  if (result < 0) throw systemError(result, 'setMulticastInterface')
}

/** @param networkInterface its name, an address of it, or a scoped address like `::%eth0`. */
function interfaceIndex(ring: Ring, networkInterface: string): number {
  const zoneAt = networkInterface.indexOf('%')
  const isName = familyOf(networkInterface) === undefined
  const name = isName || zoneAt !== -1 ? networkInterface.slice(zoneAt + 1) : interfaceWith(networkInterface)
  if (name === undefined) throw systemError(noSuchDevice, 'if_nametoindex', networkInterface)
  const index = zoneIndex(ring.sockets, name)
  if (index < 0) throw systemError(index, 'if_nametoindex', networkInterface)
  return index
}

/** The name of the interface with an address, if it is running: others Node does not tell of. */
export function interfaceWith(address: string): string | undefined {
  // As Node writes it.
  const wanted = decodeSocketAddress(encodeSocketAddress(address, 0, noZone))?.address
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (addresses?.some((info) => info.address === wanted) === true) return name
  }
  return undefined
}

function isIPv4(address: string): boolean {
  return familyOf(address) === internetFamily
}

function ipv4Bytes(address: string): Uint8Array {
  return encodeSocketAddress(address, 0, noZone).subarray(4, 8)
}

/** @throws TypeError */
export function checkInterface(networkInterface: unknown): void {
  if (typeof networkInterface === 'string') return
  throw invalidArgumentType('networkInterface', 'of type string', networkInterface)
}

export function checkGroupAddress(name: string, address: string): void {
  if (typeof address !== 'string') throw invalidArgumentType(name, 'of type string', address)
  if (familyOf(address) === undefined) throw invalidAddress(address)
}
