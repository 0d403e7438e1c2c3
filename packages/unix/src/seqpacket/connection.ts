import {
  invalidArgumentValue, type Lane, MessageConnection, type MessageConnectionHandler, type PathAddress,
  type PeerCredentials, type Ring,
} from '@sheaf/ring'
import { credentialsBytes, Details, receiveCredentials } from '../details'
import { readPeerCredentials } from '../peer-credentials'
import { peerLane } from '../socket'
import { decodeUnixAddress, unixAddressBytesMax } from '../unix-address'
import type { SeqpacketOptions } from './options'

/** What goes along with a message. */
export interface Envelope {
  /**
   * 1 to 253 descriptors that the receiver gets. They are duplicated at once; these stay the caller's, and may be
   * closed as soon as `send` returns. SystemError `EBADF`, `EMFILE` if they can't be.
   */
  readonly fds?: readonly number[]
}

export type SeqpacketHandler = MessageConnectionHandler<SeqpacketConnection, PathAddress>

/** A connection of Unix seqpacket sockets: an ordered, reliable stream of messages, each received as it was sent. */
export class SeqpacketConnection extends MessageConnection<PathAddress, Envelope> {
  declare handler: SeqpacketHandler
  readonly #details: Details
  readonly #lane = peerLane()
  #local: PathAddress | undefined
  #remote: PathAddress | undefined
  #credentials: PeerCredentials | undefined

  /** @internal Use `listen`, `connect`, `adopt` or `socketpair`. @param fd is closed if this throws. */
  constructor(ring: Ring, fd: number, handler: SeqpacketHandler, options: SeqpacketOptions) {
    // That an empty message is one is told by its credentials.
    const details = new Details(ring, options, credentialsBytes)
    super(ring, fd, handler, details.traits, options)
    this.#details = details
    receiveCredentials(ring, fd)
  }

  /** An unnamed socket has the empty path. Undefined when first asked for after the connection was closed. */
  override get localAddress(): PathAddress | undefined {
    this.#local ??= this.#address('getsockname')
    return this.#local
  }

  /** As {@link localAddress}. */
  override get remoteAddress(): PathAddress | undefined {
    this.#remote ??= this.#address('getpeername')
    return this.#remote
  }

  /**
   * Who connected, or who listens: process, user and group at that moment, on the kernel's word. Undefined when first
   * asked for after the connection was closed.
   */
  get peerCredentials(): PeerCredentials | undefined {
    if (this.#credentials === undefined && this.state !== 'closing' && this.state !== 'closed') {
      this.#credentials = readPeerCredentials(this.ring.sockets, this.fd)
    }
    return this.#credentials
  }

  /** @internal */
  override lane(to: Envelope | undefined): Lane {
    if (to !== undefined && 'path' in to) {
      throw invalidArgumentValue('to.path', 'must not be given: the connection has a peer', to.path)
    }
    return this.#lane
  }

  protected override descriptorsFor(to: Envelope): unknown {
    return to.fds
  }

  /** @internal */
  override decodeAddress(): PathAddress {
    return this.remoteAddress ?? unnamed
  }

  /** @internal */
  override readControls(words: Int32Array, offset: number, lengthBytes: number): number {
    this.details = this.#details.read(words, offset, lengthBytes)
    return 0
  }

  #address(call: 'getsockname' | 'getpeername'): PathAddress | undefined {
    if (this.state === 'closing' || this.state === 'closed') return undefined
    const bytes = new Uint8Array(unixAddressBytesMax)
    const length = this.ring.sockets[call](this.fd, bytes)
    return length < 0 ? undefined : decodeUnixAddress(bytes.subarray(0, length))
  }
}

const unnamed: PathAddress = Object.freeze({ path: '' })
