import {
  adoptDescriptor, type Lane, openSocket, prepared, type Ring, ringOnlyFor, setSocketOption, systemError,
  throwIfAborted,
} from '@sheaf/ring'
import { receiveCredentials } from '../details'
import { bindFile, openPair, peerLane, unixDatagramSocket } from '../socket'
import type { SocketFile } from '../socket-file'
import { decodeUnixAddress, encodeUnixAddress, unixAddressBytesMax } from '../unix-address'
import {
  type AdoptOptions, type BindOptions, checkAdoptOptions, checkBindOptions, checkConnectOptions, checkDatagramOptions,
  type ConnectOptions, type DatagramOptions,
} from './options'
import { type DatagramHandler, DatagramSocket } from './socket'

const sendBufferSize = [1, 7] as const

/**
 * Binds a datagram socket to a path or an abstract name; what arrives is told to `handler`.
 * @returns when it is bound. Rejects with `TypeError` or `RangeError` for bad options; with what `bind(2)` fails with
 *   (`EADDRINUSE`, `EACCES`, `ENOENT`, …); with `ERR_SHEAF_UNSUPPORTED` where there is no io_uring; with an
 *   `AbortError` if `signal` is aborted already.
 */
// eslint-disable-next-line @typescript-eslint/require-await -- errors are to reject, as those of the other adapters do
export async function bind(options: BindOptions, handler: DatagramHandler): Promise<DatagramSocket> {
  checkBindOptions(options, handler)
  return start(options, handler, (ring, fd) => ({
    file: bindFile(ring, fd, unixDatagramSocket, options.path, options, 'bind'),
  }))
}

/**
 * Makes an unnamed datagram socket, which sends to any path; nobody can answer it before it is bound.
 * @throws TypeError, RangeError for bad options; SystemError `EMFILE`, … of `socket`; SheafError
 *   `ERR_SHEAF_UNSUPPORTED` where there is no io_uring.
 */
export function open(options: DatagramOptions, handler: DatagramHandler): DatagramSocket {
  checkDatagramOptions(options, handler)
  return start(options, handler, () => ({}))
}

/**
 * Makes a datagram socket that sends to, and receives from, one peer only. Nothing is exchanged with it by that.
 * Rejects as {@link bind} does, and with what `connect(2)` fails with (`ECONNREFUSED`, `ENOENT`; `EPROTOTYPE` for a
 * socket of another type; …).
 */
// eslint-disable-next-line @typescript-eslint/require-await -- errors are to reject, as those of the other adapters do
export async function connect(options: ConnectOptions, handler: DatagramHandler): Promise<DatagramSocket> {
  checkConnectOptions(options, handler)
  const { localPath, path } = options
  return start(options, handler, (ring, fd) => {
    const file = localPath === undefined ? undefined : bindFile(ring, fd, unixDatagramSocket, localPath, {}, 'bind')
    const result = ring.sockets.connect(fd, encodeUnixAddress(path, 'connect'))
    if (result >= 0) return { file, peer: peerLane(path) }
    file?.remove()
    throw systemError(result, 'connect', path)
  })
}

/**
 * Makes a socket of a Unix datagram socket that is there already. The descriptor belongs to it from then on, unless
 * this throws.
 * @throws TypeError, RangeError for bad options; SystemError `EBADF`; SheafError `ERR_SHEAF_UNSUPPORTED` where there is
 *   no io_uring; an `AbortError` if `signal` is aborted already.
 */
export function adopt(options: AdoptOptions, handler: DatagramHandler): DatagramSocket {
  checkAdoptOptions(options, handler)
  const { fd, signal } = options
  throwIfAborted(signal)
  const ring = ringOnlyFor(options, 'A Unix datagram socket')
  adoptDescriptor(ring, fd, unixDatagramSocket, 'any')
  prepare(ring, fd, options)
  const name = new Uint8Array(unixAddressBytesMax)
  const length = ring.sockets.getpeername(fd, name)
  const peer = length < 0 ? undefined : peerLane(decodeUnixAddress(name.subarray(0, length)).path)
  return started(new DatagramSocket(ring, fd, peer, undefined, handler, options), signal)
}

/**
 * Two sockets that are connected with each other, both unnamed.
 * @param otherHandler of the second; by default it shares the first's.
 * @throws TypeError, RangeError for bad options; SystemError `EMFILE`, … of `socketpair`; SheafError
 *   `ERR_SHEAF_UNSUPPORTED` where there is no io_uring; an `AbortError` if `signal` is aborted already.
 */
export function socketpair(
  options: DatagramOptions,
  handler: DatagramHandler,
  otherHandler: DatagramHandler = handler,
): [DatagramSocket, DatagramSocket] {
  checkDatagramOptions(options, handler)
  checkDatagramOptions(options, otherHandler)
  throwIfAborted(options.signal)
  const ring = ringOnlyFor(options, 'A Unix datagram socket')
  const prepareEach = (fd: number): void => prepare(ring, fd, options)
  return openPair(ring, unixDatagramSocket, prepareEach, (fd, index) => {
    const told = index === 0 ? handler : otherHandler
    return started(new DatagramSocket(ring, fd, peerLane(), undefined, told, options), options.signal)
  })
}

interface Addressed {
  readonly file?: SocketFile | undefined
  readonly peer?: Lane
}

function start(
  options: DatagramOptions,
  handler: DatagramHandler,
  address: (ring: Ring, fd: number) => Addressed,
): DatagramSocket {
  throwIfAborted(options.signal)
  const ring = ringOnlyFor(options, 'A Unix datagram socket')
  const fd = openSocket(ring, unixDatagramSocket.domain, unixDatagramSocket.type, 0)
  return prepared(ring, fd, () => {
    prepare(ring, fd, options)
    const { file, peer } = address(ring, fd)
    return started(new DatagramSocket(ring, fd, peer, file, handler, options), options.signal)
  })
}

function prepare(ring: Ring, fd: number, options: DatagramOptions): void {
  const { sendBufferBytes } = options
  if (sendBufferBytes !== undefined) setSocketOption(ring.sockets, fd, sendBufferSize, sendBufferBytes)
  if (options.receiveCredentials === true) receiveCredentials(ring, fd)
}

function started(socket: DatagramSocket, signal: AbortSignal | undefined): DatagramSocket {
  if (signal === undefined) return socket
  const abort = (): void => socket.close()
  signal.addEventListener('abort', abort, { once: true })
  socket.onClosed = () => {
    signal.removeEventListener('abort', abort)
  }
  return socket
}
