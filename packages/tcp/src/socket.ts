import { invalidArgumentValue, type Ring, systemError } from '@sheaf/ring'
import type { TcpOptions } from './options'
import { encodeSocketAddress, familyOf } from './socket-address'
import { getOption, setOption } from './socket-options'

const streamType = 1
const tcpProtocol = 6

/**
 * A new TCP socket for addresses of the family of `address`. @throws SystemError `EMFILE`, `EAFNOSUPPORT`, … of
 * `socket`.
 */
export function openSocket(ring: Ring, address: string): number {
  const fd = ring.sockets.socket(familyOf(address) as number, streamType, tcpProtocol)
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

/** @throws SystemError `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES` … of `syscall`. */
export function bindSocket(ring: Ring, fd: number, address: string, port: number, syscall: string): void {
  const result = ring.sockets.bind(fd, socketAddress(ring, address, port))
  if (result < 0) throw systemError(result, syscall, address, port)
}

/** The `sockaddr` of an address in text form. @throws SystemError `ENODEV` for a zone that is no interface. */
export function socketAddress(ring: Ring, address: string, port: number): Uint8Array {
  return encodeSocketAddress(address, port, (zone) => {
    const index = ring.sockets.interfaceIndex(zone)
    if (index < 0) throw systemError(index, 'if_nametoindex', address)
    return index
  })
}

/** Options that accepted sockets inherit from the one that listens. */
export function applyStreamOptions(ring: Ring, fd: number, options: TcpOptions): void {
  const { sockets } = ring
  if (options.noDelay ?? true) setOption(sockets, fd, 'noDelay', 1)
  const { keepAlive } = options
  if (keepAlive === undefined || keepAlive === false) return
  setOption(sockets, fd, 'keepAlive', 1)
  if (keepAlive === true) return
  if (keepAlive.idleSeconds !== undefined) setOption(sockets, fd, 'keepAliveIdle', keepAlive.idleSeconds)
  if (keepAlive.intervalSeconds !== undefined) setOption(sockets, fd, 'keepAliveInterval', keepAlive.intervalSeconds)
  if (keepAlive.probes !== undefined) setOption(sockets, fd, 'keepAliveProbes', keepAlive.probes)
}

/**
 * Checks that somebody else's descriptor is a TCP socket, and puts it in blocking mode: io_uring would answer `EAGAIN`
 * for another instead of waiting.
 * @throws TypeError `ERR_INVALID_ARG_VALUE` if it is no such socket; SystemError `EBADF`.
 */
export function adoptDescriptor(ring: Ring, fd: number, listening: boolean): void {
  const { sockets } = ring
  const what = listening ? 'must be a listening TCP socket' : 'must be a connected TCP socket'
  let fits: boolean
  try {
    fits
      = getOption(sockets, fd, 'type') === streamType
        && getOption(sockets, fd, 'protocol') === tcpProtocol
        && (getOption(sockets, fd, 'acceptsConnections') === 1) === listening
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOTSOCK') throw error
    fits = false
  }
  if (!fits) throw invalidArgumentValue('options.fd', what, fd)
  if (!listening) {
    const peer = sockets.getpeername(fd, new Uint8Array(128))
    if (peer < 0) throw invalidArgumentValue('options.fd', what, fd)
  }
  const result = sockets.setBlocking(fd, true)
  if (result < 0) throw systemError(result, 'fcntl')
}
