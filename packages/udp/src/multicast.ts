import { networkInterfaces } from 'node:os'
import {
  encodeSocketAddress, familyOf, invalidAddress, invalidArgumentType, type Ring, systemError, zoneIndex,
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
  const noZone = (): number => 0
  checkGroupAddress('group', group)
  if (source !== undefined) checkGroupAddress('source', source)
  const bytes = new Uint8Array(groupOffsetBytes + storageBytes * (source === undefined ? 1 : 2))
  const index = networkInterface === undefined ? 0 : interfaceIndex(ring, networkInterface)
  new DataView(bytes.buffer).setUint32(0, index, true)
  bytes.set(encodeSocketAddress(group, 0, noZone), groupOffsetBytes)
  if (source !== undefined) bytes.set(encodeSocketAddress(source, 0, noZone), groupOffsetBytes + storageBytes)
  const level = group.includes(':') ? internet6Level : internetLevel
  const result = ring.sockets.setsockopt(fd, level, option, bytes)
  if (result < 0) throw systemError(result, source === undefined ? membershipCall(option) : sourceCall(option))
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
  const index = interfaceIndex(ring, networkInterface)
  const [option4, option6] = multicastInterface
  // IPv4 takes a `struct ip_mreqn`: two addresses, of which neither is needed, and the index.
  const value4 = new Uint8Array(Int32Array.of(0, 0, index).buffer)
  const value6 = new Uint8Array(Int32Array.of(index).buffer)
  const result4 = ring.sockets.setsockopt(fd, internetLevel, option4, value4)
  // An IPv6-only socket need not have that of IPv4.
  const result = ipv6 ? ring.sockets.setsockopt(fd, internet6Level, option6, value6) : result4
  if (result < 0) throw systemError(result, 'setMulticastInterface')
}

/** @param networkInterface its name, an address of it, or a scoped address like `::%eth0`. */
function interfaceIndex(ring: Ring, networkInterface: string): number {
  if (typeof networkInterface !== 'string') {
    throw invalidArgumentType('networkInterface', 'of type string', networkInterface)
  }
  const zoneAt = networkInterface.indexOf('%')
  const isName = familyOf(networkInterface) === undefined
  const name = isName || zoneAt !== -1 ? networkInterface.slice(zoneAt + 1) : interfaceWith(networkInterface)
  if (name === undefined) throw systemError(noSuchDevice, 'if_nametoindex', networkInterface)
  const index = zoneIndex(ring.sockets, name)
  if (index < 0) throw systemError(index, 'if_nametoindex', networkInterface)
  return index
}

export function interfaceWith(address: string): string | undefined {
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (addresses?.some((info) => info.address === address) === true) return name
  }
  return undefined
}

export function checkGroupAddress(name: string, address: string): void {
  if (typeof address !== 'string') throw invalidArgumentType(name, 'of type string', address)
  if (familyOf(address) === undefined) throw invalidAddress(address)
}
