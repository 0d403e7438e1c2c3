import { defaultRing, setSocketOption, type SocketOption, type SystemError } from '@sheaf/ring'
import { Errno } from '../abi'
import type { AddressFamily, ListenRequest } from './address-family'
import { familyOfKind } from './families'

const reuseAddress: SocketOption = [1, 2]
const reusePort: SocketOption = [1, 15]
const ipv6Only: SocketOption = [41, 26]

export interface HeldPort {
  readonly port: number
  release(): void
}

/**
 * Holds a port that nobody has, where requests are for any, until workers have agreed on one. Who listened there would
 * be dealt connections by the kernel; who is only bound is in nobody's way, whoever that is.
 * @returns `-errno` if there is none.
 */
export function holdPort(requests: readonly ListenRequest[]): HeldPort | number {
  const fd = bindFirst(requests, [reuseAddress, reusePort], 0)
  if (fd < 0) return fd
  return { port: portOf(fd), release: () => defaultRing().sockets.close(fd) }
}

/** Ports that are tried, of those that others may have. */
const triesMax = 64

/**
 * Whether the kernel would refuse one port to both, if neither were shared: of a port that nobody has, if it refuses
 * the second while the first is there, and grants it by itself.
 */
export function overlap(first: readonly ListenRequest[], second: readonly ListenRequest[]): boolean {
  for (let tries = 0; tries < triesMax; tries++) {
    const holder = bindFirst(first, [], 0)
    if (holder < 0) return false
    const port = portOf(holder)
    const beside = tryBinding(second, port)
    defaultRing().sockets.close(holder)
    if (beside !== -Errno.EADDRINUSE) return false
    if (tryBinding(second, port) === 0) return true
  }
  return false
}

/** @returns 0 or `-errno`. */
function tryBinding(requests: readonly ListenRequest[], port: number): number {
  const fd = bindFirst(requests, [], port)
  return fd < 0 ? fd : defaultRing().sockets.close(fd)
}

function portOf(fd: number): number {
  const name = familyOfKind('tcp')?.name(defaultRing(), fd, 'getsockname')
  return typeof name === 'object' ? name.port ?? 0 : 0
}

/** @returns a descriptor that is bound as the first of the requests asks that can be done, or `-errno`. */
function bindFirst(requests: readonly ListenRequest[], options: readonly SocketOption[], port: number): number {
  const family = familyOfKind('tcp')
  if (family === undefined) return -Errno.EINVAL
  let result = 0
  for (const request of requests) {
    result = bind(family, { ...request, port }, options)
    if (result >= 0 || result === -Errno.EADDRINUSE) break
  }
  return result
}

function bind(family: AddressFamily, request: ListenRequest, options: readonly SocketOption[]): number {
  const ring = defaultRing()
  const fd = family.open(ring, request)
  if (fd < 0) return fd
  let result: number
  try {
    for (const option of options) setSocketOption(ring.sockets, fd, option, 1)
    if (request.version === 6) setSocketOption(ring.sockets, fd, ipv6Only, request.ipv6Only ? 1 : 0)
    result = ring.sockets.bind(fd, family.encode(ring, request))
  } catch (error) {
    result = (error as SystemError).errno
  }
  if (result >= 0) return fd
  ring.sockets.close(fd)
  return result
}
