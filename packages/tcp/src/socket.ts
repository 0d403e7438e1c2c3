import { openSocket, type Ring, type SocketKind, systemError } from '@sheaf/ring'
import type { TcpOptions } from './options'
import { encodeSocketAddress, familyOf, zoneIndex } from './socket-address'
import { setOption } from './socket-options'

/** IPv4 or IPv6. */
export const tcpSocket = { name: 'TCP socket', type: 1, protocol: 6 } as const satisfies SocketKind

/**
 * A new TCP socket for addresses of the family of `address`. @throws SystemError `EMFILE`, `EAFNOSUPPORT`, … of
 * `socket`.
 */
export function openTcpSocket(ring: Ring, address: string): number {
  return openSocket(ring, familyOf(address) as number, tcpSocket.type, tcpSocket.protocol)
}

/** @throws SystemError `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES` … of `syscall`. */
export function bindSocket(ring: Ring, fd: number, address: string, port: number, syscall: string): void {
  const result = ring.sockets.bind(fd, socketAddress(ring, address, port))
  if (result < 0) throw systemError(result, syscall, address, port)
}

/** The `sockaddr` of an address in text form. @throws SystemError `ENODEV` for a zone that is no interface. */
export function socketAddress(ring: Ring, address: string, port: number): Uint8Array {
  return encodeSocketAddress(address, port, (zone) => {
    const index = zoneIndex(ring.sockets, zone)
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
