import { lookup as systemLookup } from 'node:dns'
import {
  defaultRing,
  encodeSocketAddress,
  familyOf,
  internet6Family,
  openSocket,
  prepared,
  type Ring,
  setSocketOption,
  systemError,
} from '@sheaf/ring'
import {
  type BindOptions, checkBindOptions, checkConnectOptions, type ConnectOptions, type Lookup, type UdpOptions,
} from './options'
import { type UdpHandler, UdpSocket } from './socket'
import { applyOptions, socketOption } from './socket-options'

const datagramType = 2
const udpProtocol = 17

/**
 * Binds a UDP socket; what arrives is told to `handler`.
 * @returns when it is bound. Rejects with `TypeError` or `RangeError` for bad options; with what `dgram`'s `bind` fails
 *   with (`EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`, `ENOTFOUND`, …); with `ERR_SHEAF_UNAVAILABLE` where there is no
 *   io_uring; with an `AbortError` if `signal` is aborted already.
 */
export async function bind(options: BindOptions, handler: UdpHandler): Promise<UdpSocket> {
  checkBindOptions(options, handler)
  const { host, family = 0, port = 0, signal } = options
  signal?.throwIfAborted()
  const ring = options.ring ?? defaultRing()
  if (host !== undefined && host !== '') {
    const address = await resolve(host, family, systemLookup)
    signal?.throwIfAborted()
    return bindTo(ring, address, port, options, handler)
  }
  if (family === 4) return bindTo(ring, '0.0.0.0', port, options, handler)
  try {
    return bindTo(ring, '::', port, options, handler)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (family === 6 || (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL')) throw error
    return bindTo(ring, '0.0.0.0', port, options, handler)
  }
}

/**
 * Makes a UDP socket that sends to, and receives from, one peer only. Nothing is exchanged with it by that.
 * @returns when the name is resolved. Rejects as {@link bind} does, and with what `dgram`'s `connect` fails with
 *   (`ENETUNREACH`, `EACCES`, …).
 */
export async function connect(options: ConnectOptions, handler: UdpHandler): Promise<UdpSocket> {
  checkConnectOptions(options, handler)
  const { host, family = 0, port, lookup, localAddress, localPort, signal } = options
  signal?.throwIfAborted()
  const ring = options.ring ?? defaultRing()
  const name = host === undefined || host === '' ? 'localhost' : host
  const address = await resolve(name, family, lookup ?? systemLookup)
  signal?.throwIfAborted()
  const ipv6 = familyOf(address) === internet6Family
  const fd = open(ring, address, options)
  return prepared(ring, fd, () => {
    if (localAddress !== undefined || localPort !== undefined) {
      bindDescriptor(ring, fd, localAddress ?? (ipv6 ? '::' : '0.0.0.0'), localPort ?? 0)
    }
    const result = ring.sockets.connect(fd, encode(ring, address, port))
    if (result < 0) throw systemError(result, 'connect', address, port)
    return started(new UdpSocket(ring, fd, ipv6, true, handler, options), signal)
  })
}

function bindTo(ring: Ring, address: string, port: number, options: BindOptions, handler: UdpHandler): UdpSocket {
  const ipv6 = familyOf(address) === internet6Family
  const fd = open(ring, address, options)
  return prepared(ring, fd, () => {
    if (ipv6) setSocketOption(ring.sockets, fd, socketOption.ipv6Only, options.ipv6Only === true ? 1 : 0)
    bindDescriptor(ring, fd, address, port)
    return started(new UdpSocket(ring, fd, ipv6, false, handler, options), options.signal)
  })
}

function open(ring: Ring, address: string, options: UdpOptions): number {
  ring.assertOpen()
  const family = familyOf(address) as number
  const fd = openSocket(ring, family, datagramType, udpProtocol)
  return prepared(ring, fd, () => {
    applyOptions(ring, fd, family === internet6Family, options)
    return fd
  })
}

function bindDescriptor(ring: Ring, fd: number, address: string, port: number): void {
  const result = ring.sockets.bind(fd, encode(ring, address, port))
  if (result < 0) throw systemError(result, 'bind', address, port)
}

/** The `sockaddr` of an address in text form. @throws SystemError `ENODEV` for a zone that is no interface. */
function encode(ring: Ring, address: string, port: number): Uint8Array {
  return encodeSocketAddress(address, port, (zone) => {
    const index = ring.sockets.interfaceIndex(zone)
    if (index < 0) throw systemError(index, 'if_nametoindex', address)
    return index
  })
}

function started(socket: UdpSocket, signal: AbortSignal | undefined): UdpSocket {
  if (signal === undefined) return socket
  const abort = (): void => socket.close()
  signal.addEventListener('abort', abort, { once: true })
  socket.onClosed = () => {
    signal.removeEventListener('abort', abort)
  }
  return socket
}

function resolve(host: string, family: 0 | 4 | 6, lookup: Lookup): Promise<string> {
  if (familyOf(host) !== undefined) return Promise.resolve(host)
  return new Promise((settle, reject) => {
    lookup(host, { all: true, family }, (error, found) => {
      if (error) reject(error)
      else settle(found[0].address)
    })
  })
}
