import {
  type Lane, type MessageHandler, MessageSocket, type PathAddress, type Ring, systemError,
} from '@sheaf/ring'
import { Addresses } from '../addresses'
import { Details } from '../details'
import { checkFileOptions, checkPath, type FileOptions } from '../options'
import { bindFile, peerLane, unixDatagramSocket } from '../socket'
import type { SocketFile } from '../socket-file'
import { decodeUnixAddress, encodeUnixAddress, nonBlockingType, unixAddressBytesMax } from '../unix-address'
import { Destinations } from './destinations'
import type { DatagramOptions } from './options'

/** Where a datagram goes, and what goes along. */
export interface Destination {
  /** A path, or an abstract name; absent on a connected socket. */
  readonly path?: string
  /**
   * 1 to 253 descriptors that the receiver gets. They are duplicated at once; these stay the caller's, and may be
   * closed as soon as `send` returns. SystemError `EBADF`, `EMFILE` if they can't be.
   */
  readonly fds?: readonly number[]
}

export type DatagramHandler = MessageHandler<DatagramSocket, PathAddress>

/**
 * A Unix datagram socket. Datagrams are neither lost nor reordered on their way to one destination: where its queue is
 * full (`net.unix.max_dgram_qlen`, which may be as little as 10), they wait in this socket's, until `drain`.
 */
export class DatagramSocket extends MessageSocket<PathAddress, Destination> {
  declare handler: DatagramHandler
  readonly #destinations = new Destinations()
  readonly #addresses = new Addresses()
  readonly #details: Details
  #file: SocketFile | undefined
  #peer: Lane | undefined

  /** @internal Use `bind`, `open`, `connect` or `socketpair`. @param peer what it is connected to. */
  constructor(
    ring: Ring,
    fd: number,
    peer: Lane | undefined,
    file: SocketFile | undefined,
    handler: DatagramHandler,
    options: DatagramOptions,
  ) {
    const details = new Details(ring, options)
    super(ring, fd, handler, details.traits, options)
    this.#details = details
    this.#peer = peer
    this.#file = file
  }

  /**
   * Names an unnamed socket: what others send to `path` is told to the handler from now on.
   * @throws TypeError, RangeError for bad arguments; SystemError `EADDRINUSE`, …; `EINVAL` if it has a name.
   */
  bind(path: string, options: FileOptions = {}): void {
    checkPath('path', path)
    checkFileOptions({ ...options, path })
    this.#file = bindFile(this.ring, this.openDescriptor, unixDatagramSocket, path, options, 'bind')
  }

  /** An unnamed socket has the empty path. Undefined once the socket is closed. */
  override get localAddress(): PathAddress | undefined {
    return this.#address('getsockname')
  }

  /** Of a connected socket whose peer is still there. */
  override get remoteAddress(): PathAddress | undefined {
    return this.#peer === undefined ? undefined : this.#address('getpeername')
  }

  /**
   * Connects to another peer, or to the same one anew, which closed and has come back (until then what is sent fails
   * with `ECONNREFUSED`, then with `ENOTCONN`). What is queued, and has not failed, goes to the new peer, in order;
   * what the old one sent and was not received is lost.
   * @param path default: the peer's own. @throws SystemError of `connect`: the socket is connected as it was before.
   */
  reconnect(path?: string): void {
    const to = path ?? this.#peer?.address
    checkPath('path', to)
    const result = this.ring.sockets.connect(this.openDescriptor, encodeUnixAddress(to, 'connect'))
    if (result < 0) throw systemError(result, 'connect', to)
    if (this.#peer === undefined) this.#peer = peerLane(to)
    else this.#peer.address = to
  }

  /** @internal */
  override lane(to: Destination | undefined): Lane {
    const peer = this.#peer
    if (to?.path === undefined) {
      if (peer !== undefined) return peer
      throw Object.assign(new Error('Not connected'), { code: 'ERR_SOCKET_DGRAM_NOT_CONNECTED' })
    }
    if (peer !== undefined) {
      throw Object.assign(new Error('Already connected'), { code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' })
    }
    return this.#destinations.lane(to.path)
  }

  protected override descriptorsFor(to: Destination): unknown {
    return to.fds
  }

  override close(): void {
    this.#file?.remove()
    super.close()
  }

  override destroy(error?: Error): void {
    this.#file?.remove()
    super.destroy(error)
  }

  override ringClosed(error: Error): void {
    this.#file?.remove()
    super.ringClosed(error)
  }

  /** @internal */
  override decodeAddress(bytes: Buffer, offset: number, lengthBytes: number): PathAddress {
    return this.#addresses.decode(bytes, offset, lengthBytes)
  }

  /** @internal */
  override readControls(words: Int32Array, offset: number, lengthBytes: number): number {
    this.details = this.#details.read(words, offset, lengthBytes)
    return 0
  }

  /** @internal */
  override openProbe(lane: Lane): number {
    const { sockets } = this.ring
    const { domain, type } = unixDatagramSocket
    const probe = sockets.socket(domain, type | nonBlockingType, 0)
    if (probe < 0) return probe
    const result = sockets.connect(probe, lane.name)
    if (result >= 0) return probe
    sockets.close(probe)
    return result
  }

  #address(call: 'getsockname' | 'getpeername'): PathAddress | undefined {
    if (this.state === 'closing' || this.state === 'closed') return undefined
    const bytes = new Uint8Array(unixAddressBytesMax)
    const length = this.ring.sockets[call](this.fd, bytes)
    return length < 0 ? undefined : decodeUnixAddress(bytes.subarray(0, length))
  }
}
