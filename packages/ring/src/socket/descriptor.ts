import type { SocketCalls } from '@sheaf/native'
import { invalidArgumentValue, systemError } from '../errors'
import { socketAddressBytesMax } from '../internet/socket-address'
import type { Ring } from '../ring'
import { commonSocketOption, getSocketOption, type SocketOption } from './socket-option'

/** A new socket. @throws SystemError `EMFILE`, `EAFNOSUPPORT`, … of `socket`. */
export function openSocket(ring: Ring, domain: number, type: number, protocol: number): number {
  const fd = ring.sockets.socket(domain, type, protocol)
  if (fd < 0) throw systemError(fd, 'socket')
  return fd
}

/** Runs `prepare` on a descriptor, which is closed if that fails. */
export function prepared<T>(ring: Ring, fd: number, prepare: () => T): T {
  try {
    return prepare()
  } catch (error) {
    ring.sockets.close(fd)
    throw error
  }
}

/** What a descriptor that somebody else made must be. */
export interface SocketKind {
  /** As a message says it: `TCP socket`. */
  readonly name: string
  readonly type: number
  readonly domain?: number
  readonly protocol?: number
}

const tcpInfo: SocketOption = [6, 11]
/** Up to `tcpi_segs_in`. */
const tcpInfoBytes = 144
const segmentsReceivedAt = 140
/** `TCP_CLOSE` */
const closed = 7

/**
 * Whether a stream socket is connected or has been: one that its peer has reset has that to tell still, and what had
 * come before.
 */
export function hasBeenConnected(sockets: SocketCalls, fd: number): boolean {
  if (sockets.getpeername(fd, new Uint8Array(socketAddressBytesMax)) >= 0) return true
  // TCP has forgotten the peer then, and is in the state that a new socket is in.
  const info = new Uint8Array(tcpInfoBytes)
  return sockets.getsockopt(fd, ...tcpInfo, info) === tcpInfoBytes && info[0] === closed
    && new DataView(info.buffer).getUint32(segmentsReceivedAt, true) > 0
}

/**
 * Checks that somebody else's descriptor is what it should be. Whether it blocks is all the same to io_uring.
 * @param state `connected`: or was, until its peer reset it; `any`: connected or not.
 * @throws TypeError `ERR_INVALID_ARG_VALUE` if it is no such socket; SystemError `EBADF`.
 */
export function adoptDescriptor(
  ring: Ring,
  fd: number,
  kind: SocketKind,
  state: 'listening' | 'connected' | 'any',
): void {
  const { sockets } = ring
  if (!fits(sockets, fd, kind, state === 'listening')
    || (state === 'connected' && !hasBeenConnected(sockets, fd))) {
    throw invalidArgumentValue('options.fd', `must be a ${state === 'any' ? '' : `${state} `}${kind.name}`, fd)
  }
}

function fits(sockets: SocketCalls, fd: number, kind: SocketKind, listening: boolean): boolean {
  const { type, domain, protocol, acceptsConnections } = commonSocketOption
  try {
    return getSocketOption(sockets, fd, type) === kind.type
      && (kind.domain === undefined || getSocketOption(sockets, fd, domain) === kind.domain)
      && (kind.protocol === undefined || getSocketOption(sockets, fd, protocol) === kind.protocol)
      && (getSocketOption(sockets, fd, acceptsConnections) === 1) === listening
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOTSOCK') throw error
    return false
  }
}
