import {
  defaultRing, encodeSocketAddress, familyOf, internetFamily, systemError, type SocketCalls, zoneIndex,
} from '@sheaf/ring'
import { bufferSizeError } from './errors'

/*
 * The options that `node:dgram` can set. What counts as an address, which option of the two families is meant, and
 * which errors are found before the kernel is asked, is as in libuv (`src/unix/udp.c`).
 */

const badDescriptor = -9
const invalid = -22

const enum Level {
  Ip = 0,
  Socket = 1,
  Ipv6 = 41,
}

interface PairedOption {
  readonly call: string
  readonly ipv4: number
  readonly ipv6: number
  readonly min: number
  readonly max: number
}

export const hops: PairedOption = { call: 'setTTL', ipv4: 2, ipv6: 16, min: 1, max: 255 }
export const multicastHops: PairedOption = { call: 'setMulticastTTL', ipv4: 33, ipv6: 18, min: 0, max: 255 }
export const multicastLoopback: PairedOption = {
  call: 'setMulticastLoopback', ipv4: 34, ipv6: 19, min: -Infinity, max: Infinity,
}

/** A descriptor, which there is not before binding, and what is needed to speak of it. */
export interface Descriptor {
  readonly sockets: SocketCalls
  readonly fd: number
  readonly ipv6: boolean
}

function set(
  descriptor: Descriptor | undefined,
  call: string,
  level: Level,
  name: number,
  value: Int32Array | Uint8Array,
): void {
  const bytes = value instanceof Uint8Array ? value : new Uint8Array(value.buffer)
  const result = descriptor?.sockets.setsockopt(descriptor.fd, level, name, bytes) ?? badDescriptor
  if (result < 0) throw systemError(result, call)
}

/** @throws SystemError `EBADF` before binding, `EINVAL` for a value out of range. */
export function setPairedOption(descriptor: Descriptor | undefined, option: PairedOption, value: number): void {
  const { call, ipv4, ipv6, min, max } = option
  // As Node's C++ takes any number, `NaN` too.
  const word = Int32Array.of(value)
  if (word[0] < min || word[0] > max) throw systemError(invalid, call)
  const family = descriptor?.ipv6 === true
  set(descriptor, call, family ? Level.Ipv6 : Level.Ip, family ? ipv6 : ipv4, word)
}

export function setBroadcast(descriptor: Descriptor | undefined, enabled: boolean): void {
  set(descriptor, 'setBroadcast', Level.Socket, 6, Int32Array.of(enabled ? 1 : 0))
}

export const enum BufferOption {
  Send = 7,
  Receive = 8,
}

const bufferCall = { [BufferOption.Send]: 'uv_send_buffer_size', [BufferOption.Receive]: 'uv_recv_buffer_size' }

/** @param sizeBytes 0 to ask for it. @throws `ERR_SOCKET_BUFFER_SIZE` */
export function bufferSize(descriptor: Descriptor | undefined, option: BufferOption, sizeBytes: number): number {
  const value = Int32Array.of(sizeBytes)
  const bytes = new Uint8Array(value.buffer)
  let result = sizeBytes > 0x7fffffff ? invalid : badDescriptor
  if (result === badDescriptor && descriptor !== undefined) {
    const { sockets, fd } = descriptor
    result = sizeBytes === 0
      ? sockets.getsockopt(fd, Level.Socket, option, bytes)
      : sockets.setsockopt(fd, Level.Socket, option, bytes)
  }
  if (result < 0) throw bufferSizeError(result, bufferCall[option])
  return value[0]
}

/** The `sockaddr` of an address that may have a zone; one of no interface is taken for none. */
function socketAddress(address: string): Uint8Array | undefined {
  return familyOf(address) === undefined ? undefined : encodeSocketAddress(address, 0, interfaceIndex)
}

/** The index of an interface, or 0, which is none. */
export function interfaceIndex(name: string): number {
  return Math.max(0, zoneIndex(defaultRing().sockets, name))
}

const isIpv4 = (name: Uint8Array): boolean => name[0] === internetFamily
const ipv4Of = (name: Uint8Array): Uint8Array => name.subarray(4, 8)
const ipv6Of = (name: Uint8Array): Uint8Array => name.subarray(8, 24)
const scopeOf = (name: Uint8Array): Uint8Array => name.subarray(24, 28)

export function setMulticastInterface(descriptor: Descriptor | undefined, address: string): void {
  const call = 'setMulticastInterface'
  const name = socketAddress(address)
  if (name === undefined) throw systemError(invalid, call)
  if (isIpv4(name)) set(descriptor, call, Level.Ip, 32, ipv4Of(name))
  else set(descriptor, call, Level.Ipv6, 17, scopeOf(name))
}

/** Numbers of the options that join and leave a group, by family, with a source and without. */
export interface Membership {
  readonly call: string
  readonly ipv4: number
  readonly ipv6: number
}

export const membership = {
  join: { call: 'addMembership', ipv4: 35, ipv6: 20 },
  leave: { call: 'dropMembership', ipv4: 36, ipv6: 21 },
  joinSource: { call: 'addSourceSpecificMembership', ipv4: 39, ipv6: 46 },
  leaveSource: { call: 'dropSourceSpecificMembership', ipv4: 40, ipv6: 47 },
} as const satisfies Record<string, Membership>

/** @param open gives the descriptor, bound to any address if it was not bound: `node:dgram` does that here. */
export function changeMembership(
  open: (ipv6: boolean) => Descriptor,
  option: Membership,
  group: string,
  on: string | undefined,
): void {
  const { call } = option
  const name = socketAddress(group)
  if (name === undefined) throw systemError(invalid, call)
  const descriptor = open(!isIpv4(name))
  const through = on === undefined ? undefined : socketAddress(on)
  if (on !== undefined && through === undefined) throw systemError(invalid, call)
  if (isIpv4(name)) {
    if (through !== undefined && !isIpv4(through)) throw systemError(invalid, call)
    // `struct ip_mreq`: the group, the interface's address.
    set(descriptor, call, Level.Ip, option.ipv4, Buffer.concat([ipv4Of(name), ipv4Of(through ?? unspecified)]))
  } else {
    if (through !== undefined && isIpv4(through)) throw systemError(invalid, call)
    // `struct ipv6_mreq`: the group, the interface's index.
    set(descriptor, call, Level.Ipv6, option.ipv6, Buffer.concat([ipv6Of(name), scopeOf(through ?? unspecified)]))
  }
}

export function changeSourceMembership(
  open: (ipv6: boolean) => Descriptor,
  option: Membership,
  source: string,
  group: string,
  on: string | undefined,
): void {
  const { call } = option
  const name = socketAddress(group)
  const from = socketAddress(source)
  const through = on === undefined ? undefined : socketAddress(on)
  const isInvalid = name === undefined || from === undefined || isIpv4(name) !== isIpv4(from)
    || (on !== undefined && (through === undefined || isIpv4(through) !== isIpv4(name)))
  if (isInvalid) throw systemError(invalid, call)
  const descriptor = open(!isIpv4(name))
  if (isIpv4(name)) {
    // `struct ip_mreq_source`: the group, the interface's address, the source.
    const value = Buffer.concat([ipv4Of(name), ipv4Of(through ?? unspecified), ipv4Of(from)])
    set(descriptor, call, Level.Ip, option.ipv4, value)
  } else {
    // `struct group_source_req`: the interface's index, then two `struct sockaddr_storage`.
    const value = Buffer.alloc(8 + 2 * 128)
    value.set(scopeOf(through ?? unspecified))
    value.set(name, 8)
    value.set(from, 8 + 128)
    set(descriptor, call, Level.Ipv6, option.ipv6, value)
  }
}

/** Neither family's: all its parts are 0. */
const unspecified = new Uint8Array(28)
