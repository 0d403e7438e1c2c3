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
  const fd = bindFirst(requests, [reuseAddress, reusePort])
  if (fd < 0) return fd
  return { port: portOf(fd), release: () => defaultRing().sockets.close(fd) }
}

function portOf(fd: number): number {
  const name = familyOfKind('tcp')?.name(defaultRing(), fd, 'getsockname')
  return typeof name === 'object' ? name.port ?? 0 : 0
}

/** @returns a descriptor that is bound as the first of the requests asks that can be done, or `-errno`. */
function bindFirst(requests: readonly ListenRequest[], options: readonly SocketOption[]): number {
  const family = familyOfKind('tcp')
  if (family === undefined) return -Errno.EINVAL
  let result = 0
  for (const request of requests) {
    result = bind(family, request, options)
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
