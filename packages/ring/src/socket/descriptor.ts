import type { SocketCalls } from '@sheaf/native'
import { invalidArgumentValue, systemError } from '../errors'
import type { Ring } from '../ring'
import { commonSocketOption, getSocketOption } from './socket-option'

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

/**
 * Checks that somebody else's descriptor is what it should be. Whether it blocks is all the same to io_uring.
 * @param state `any`: connected or not.
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
    || (state === 'connected' && sockets.getpeername(fd, new Uint8Array(128)) < 0)) {
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
