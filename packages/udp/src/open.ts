import { lookup as systemLookup } from 'node:dns'
import {
  copyOptions,
  familyOf,
  internet6Family,
  lookUp,
  openSocket,
  prepared,
  type Ring,
  ringFor,
  setSocketOption,
  systemError,
  throwIfAborted,
} from '@sheaf/ring'
import {
  type BindOptions, checkBindOptions, checkConnectOptions, type ConnectOptions, type UdpOptions,
} from './options'
import { socketAddress } from './destinations'
import { type NodeUdpSocket } from './node-socket'
import { bindOnNode, connectOnNode } from './node-sockets'
import { RingUdpSocket } from './socket'
import { applyOptions, socketOption } from './socket-options'
import type { UdpHandler, UdpSocket } from './transport'

const datagramType = 2
const udpProtocol = 17

/**
 * Binds a UDP socket; what arrives is told to `handler`.
 * @returns when it is bound. Rejects with `TypeError` or `RangeError` for bad options; with what `dgram`'s `bind` fails
 *   with (`EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`, `ENOTFOUND`, …); with `ERR_SHEAF_UNAVAILABLE` where `backend`
 *   wants io_uring and there is none; with an `AbortError` if `signal` is aborted already.
 */
export async function bind(options: BindOptions, handler: UdpHandler): Promise<UdpSocket> {
  const own = copyOptions<BindOptions>(options)
  checkBindOptions(own, handler)
  const { host, family = 0, port = 0, signal } = own
  throwIfAborted(signal)
  const ring = ringFor(own)
  const bindAt = async (address: string): Promise<UdpSocket> =>
    started(ring === undefined
      ? await bindOnNode(address, port, own, handler)
      : bindOnRing(ring, address, port, own, handler), signal)
  if (host !== undefined && host !== '') {
    const [address] = await lookUp(host, family, systemLookup)
    throwIfAborted(signal)
    return bindAt(address)
  }
  if (family === 4) return bindAt('0.0.0.0')
  try {
    return await bindAt('::')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (family === 6 || (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL')) throw error
    return bindAt('0.0.0.0')
  }
}

/**
 * Makes a UDP socket that sends to, and receives from, one peer only. Nothing is exchanged with it by that.
 * @returns when the name is resolved. Rejects as {@link bind} does, and with what `dgram`'s `connect` fails with
 *   (`ENETUNREACH`, `EACCES`, …).
 */
export async function connect(options: ConnectOptions, handler: UdpHandler): Promise<UdpSocket> {
  const own = copyOptions<ConnectOptions>(options)
  checkConnectOptions(own, handler)
  const { host, family = 0, lookup, signal } = own
  throwIfAborted(signal)
  const ring = ringFor(own)
  const name = host === undefined || host === '' ? 'localhost' : host
  const [address] = await lookUp(name, family, lookup ?? systemLookup)
  throwIfAborted(signal)
  return started(ring === undefined
    ? await connectOnNode(address, own, handler)
    : connectOnRing(ring, address, own, handler), signal)
}

function connectOnRing(ring: Ring, address: string, options: ConnectOptions, handler: UdpHandler): RingUdpSocket {
  const { port, localAddress, localPort } = options
  const ipv6 = familyOf(address) === internet6Family
  const fd = open(ring, address, options)
  return prepared(ring, fd, () => {
    if (localAddress !== undefined || localPort !== undefined) {
      bindDescriptor(ring, fd, localAddress ?? (ipv6 ? '::' : '0.0.0.0'), localPort ?? 0)
    }
    const result = ring.sockets.connect(fd, socketAddress(ring, address, port))
    if (result < 0) throw systemError(result, 'connect', address, port)
    return new RingUdpSocket(ring, fd, ipv6, true, handler, options)
  })
}

function bindOnRing(
  ring: Ring,
  address: string,
  port: number,
  options: BindOptions,
  handler: UdpHandler,
): RingUdpSocket {
  const ipv6 = familyOf(address) === internet6Family
  const fd = open(ring, address, options)
  return prepared(ring, fd, () => {
    if (ipv6) setSocketOption(ring.sockets, fd, socketOption.ipv6Only, options.ipv6Only === true ? 1 : 0)
    bindDescriptor(ring, fd, address, port)
    return new RingUdpSocket(ring, fd, ipv6, false, handler, options)
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
  const result = ring.sockets.bind(fd, socketAddress(ring, address, port))
  if (result < 0) throw systemError(result, 'bind', address, port)
}

/** Has it closed when `signal` is aborted, which it may have been meanwhile. */
function started(socket: RingUdpSocket | NodeUdpSocket, signal: AbortSignal | undefined): UdpSocket {
  if (signal === undefined) return socket
  if (signal.aborted) socket.close()
  const abort = (): void => socket.close()
  signal.addEventListener('abort', abort, { once: true })
  socket.onClosed = () => {
    signal.removeEventListener('abort', abort)
  }
  return socket
}
