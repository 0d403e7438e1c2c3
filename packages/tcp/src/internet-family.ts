import {
  decodeSocketAddress, type InternetAddress, type Ring, socketAddressBytesMax, StreamListener, type StreamConnection,
  type SystemError, systemError,
} from '@sheaf/ring'
import type { AddressFamily, Endpoint, ListenRequest } from '@sheaf/ring/net'
import { RingTcpConnection } from './connection'
import { openTcpSocket, socketAddress } from './socket'
import { setOption } from './socket-options'

/** What `node:net` sets besides the delay. */
const keepAliveIntervalSeconds = 1
const keepAliveProbes = 10
/** The most that the kernel takes. */
const keepAliveIdleSecondsMax = 32767

/** TCP over IPv4 and IPv6, for `net.Socket` and `net.Server`. */
export const internetFamily: AddressFamily = {
  kind: 'tcp',

  open: (ring, { address }) => errnoOf(() => openTcpSocket(ring, address)),

  bind: (ring, fd, endpoint) => errnoOf(() => {
    setOption(ring.sockets, fd, 'reuseAddress', 1)
    return ring.sockets.bind(fd, encode(ring, endpoint))
  }),

  encode,

  connection: (ring, fd, handler, options) => new RingTcpConnection(ring, fd, handler, options),

  listen(ring, request, handler, accept) {
    const fd = errnoOf(() => openTcpSocket(ring, request.address))
    if (fd < 0) return fd
    const result = errnoOf(() => bindAndListen(ring, fd, request))
    if (result >= 0) return new StreamListener(ring, fd, boundAddress(ring, fd), handler, accept)
    ring.sockets.close(fd)
    return result
  },

  listener: (ring, fd, handler, accept) => new StreamListener(ring, fd, boundAddress(ring, fd), handler, accept),

  name: nameOf,

  setNoDelay(connection, enabled) {
    setOption(connection.ring.sockets, connection.fd, 'noDelay', enabled ? 1 : 0)
  },

  setKeepAlive({ ring: { sockets }, fd }: StreamConnection, enabled, { initialSeconds, intervalSeconds, probes }) {
    setOption(sockets, fd, 'keepAlive', enabled ? 1 : 0)
    if (!enabled || initialSeconds <= 0) return
    setOption(sockets, fd, 'keepAliveIdle', Math.min(initialSeconds, keepAliveIdleSecondsMax))
    setOption(sockets, fd, 'keepAliveInterval', intervalSeconds ?? keepAliveIntervalSeconds)
    setOption(sockets, fd, 'keepAliveProbes', probes ?? keepAliveProbes)
  },

  typeOfService: (connection, value) => errnoOf(() => {
    if (!(connection instanceof RingTcpConnection)) return 0
    if (value !== undefined) connection.setTypeOfService(value)
    return connection.typeOfService
  }),
}

function encode(ring: Ring, { address, port }: Endpoint): Uint8Array {
  return socketAddress(ring, address, port)
}

function bindAndListen(ring: Ring, fd: number, request: ListenRequest): number {
  const { sockets } = ring
  setOption(sockets, fd, 'reuseAddress', 1)
  if (request.reusePort) setOption(sockets, fd, 'reusePort', 1)
  if (request.version === 6) setOption(sockets, fd, 'ipv6Only', request.ipv6Only ? 1 : 0)
  const bound = sockets.bind(fd, encode(ring, request))
  return bound < 0 ? bound : sockets.listen(fd, request.backlog)
}

function nameOf(ring: Ring, fd: number, call: 'getsockname' | 'getpeername'): InternetAddress | number {
  const bytes = new Uint8Array(socketAddressBytesMax)
  const length = ring.sockets[call](fd, bytes)
  return length < 0 ? length : decodeSocketAddress(bytes.subarray(0, length)) ?? noAddress
}

/** `ENOTCONN` */
const noAddress = -107

function boundAddress(ring: Ring, fd: number): InternetAddress {
  const name = nameOf(ring, fd, 'getsockname')
  if (typeof name === 'number') throw systemError(name, 'getsockname')
  return name
}

/** @returns the result of `call`, or what its SystemError was made of. */
function errnoOf(call: () => number): number {
  try {
    return call()
  } catch (error) {
    return (error as SystemError).errno
  }
}
