import { isIPv4, isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { SocketCalls } from '@sheaf/native'
import type { InternetAddress } from '../transport'

/** `AF_INET` and `AF_INET6` on Linux. */
export const internetFamily = 2
export const internet6Family = 10

const socketAddressBytes = 16
const socketAddress6Bytes = 28
/** The larger of the two. */
export const socketAddressBytesMax = socketAddress6Bytes

/** Turns the zone of a scoped IPv6 address (`fe80::1%eth0`) into an interface index. */
export type ZoneLookup = (zone: string) => number

/**
 * The family that an address in text form belongs to, or undefined if it is none. Zones are names of interfaces: that
 * one has `_` (`docker_gwbridge`) makes it none for Node. What is no text is none.
 */
export function familyOf(address: unknown): number | undefined {
  if (typeof address !== 'string') return undefined
  if (isIPv4(address)) return internetFamily
  const zoneAt = address.indexOf('%')
  const numeric = zoneAt === -1 || zoneAt === address.length - 1 ? address : address.slice(0, zoneAt)
  return isIPv6(numeric) ? internet6Family : undefined
}

/**
 * The index of the interface that a zone means: its name, which may be all digits, or else the index itself.
 * @returns `-errno` if there is none such.
 */
export function zoneIndex(sockets: SocketCalls, zone: string): number {
  const index = sockets.interfaceIndex(zone)
  return index < 0 && /^\d+$/.test(zone) ? Number(zone) : index
}

/** Writes `sockaddr_in` or `sockaddr_in6`. @param address in text form, checked before. */
export function encodeSocketAddress(address: string, port: number, zone: ZoneLookup): Uint8Array {
  const family = familyOf(address)
  const bytes = new Uint8Array(family === internetFamily ? socketAddressBytes : socketAddress6Bytes)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, family as number, true)
  view.setUint16(2, port)
  if (family === internetFamily) {
    address.split('.').forEach((part, index) => {
      bytes[4 + index] = Number(part)
    })
    return bytes
  }
  const zoneAt = address.indexOf('%')
  const numeric = zoneAt === -1 ? address : address.slice(0, zoneAt)
  parseGroups(numeric).forEach((group, index) => {
    view.setUint16(8 + index * 2, group)
  })
  if (zoneAt !== -1) view.setUint32(24, zone(address.slice(zoneAt + 1)), true)
  return bytes
}

/** Reads `sockaddr_in` or `sockaddr_in6`, or undefined if `bytes` is neither. */
export function decodeSocketAddress(bytes: Uint8Array): InternetAddress | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.byteLength < socketAddressBytes) return undefined
  const family = view.getUint16(0, true)
  const port = view.getUint16(2)
  if (family === internetFamily) return { address: bytes.subarray(4, 8).join('.'), family: 'IPv4', port }
  if (family !== internet6Family || bytes.byteLength < socketAddress6Bytes) return undefined
  const scope = view.getUint32(24, true)
  const groups: number[] = []
  for (let offset = 8; offset < 24; offset += 2) groups.push(view.getUint16(offset))
  const address = formatGroups(groups)
  return { address: scope === 0 ? address : `${address}%${interfaceName(scope)}`, family: 'IPv6', port }
}

/** The name of an interface that has an IPv6 address; its index, if there is none. */
function interfaceName(index: number): string | number {
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (addresses?.some((info) => info.family === 'IPv6' && info.scopeid === index) === true) return name
  }
  return index
}

/** The eight groups of a valid IPv6 address. */
function parseGroups(address: string): number[] {
  const side = (text: string): number[] =>
    text === ''
      ? []
      : text.split(':').flatMap((group) => {
          if (!group.includes('.')) return [Number.parseInt(group, 16)]
          const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number)
          return [(a << 8) | b, (c << 8) | d]
        })
  const [before, ...after] = address.split('::')
  const head = side(before)
  if (after.length === 0) return head
  const tail = side(after[0])
  return [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail]
}

/** As RFC 5952 and `inet_ntop` write it: the longest run of zeros shortened, IPv4 addresses in it with their dots. */
function formatGroups(groups: number[]): string {
  if (groups.slice(0, 5).every((group) => group === 0)) {
    const ipv4 = [groups[6] >> 8, groups[6] & 255, groups[7] >> 8, groups[7] & 255].join('.')
    if (groups[5] === 0xffff) return `::ffff:${ipv4}`
    if (groups[5] === 0 && groups[6] !== 0) return `::${ipv4}`
  }
  let best = { start: -1, length: 1 }
  for (let start = 0; start < 8; start++) {
    let length = 0
    while (start + length < 8 && groups[start + length] === 0) length++
    if (length > best.length) best = { start, length }
  }
  const text = (part: number[]): string => part.map((group) => group.toString(16)).join(':')
  if (best.start === -1) return text(groups)
  return `${text(groups.slice(0, best.start))}::${text(groups.slice(best.start + best.length))}`
}
