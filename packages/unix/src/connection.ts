import { type PathAddress, StreamConnection, type StreamHandler } from '@sheaf/ring'
import { type PeerCredentials, readPeerCredentials } from './peer-credentials'
import { decodeUnixAddress, unixAddressBytesMax } from './unix-address'

/** A connection of Unix stream sockets: the stream {@link StreamConnection} is, with paths and credentials. */
export class UnixConnection extends StreamConnection {
  declare handler: StreamHandler<UnixConnection>
  #local: PathAddress | undefined
  #remote: PathAddress | undefined
  #credentials: PeerCredentials | undefined

  /** An unnamed socket has the empty path. Undefined when first asked for after the connection was closed. */
  override get localAddress(): PathAddress | undefined {
    this.#local ??= this.#address('getsockname')
    return this.#local
  }

  /** As {@link localAddress}. Of an accepted connection it is usually the empty path: clients need no name. */
  override get remoteAddress(): PathAddress | undefined {
    this.#remote ??= this.#address('getpeername')
    return this.#remote
  }

  /**
   * Who connected, or who listens: process, user and group at that moment, on the kernel's word. Undefined when first
   * asked for after the connection was closed.
   */
  get peerCredentials(): PeerCredentials | undefined {
    if (this.#credentials === undefined && !this.#gone) {
      this.#credentials = readPeerCredentials(this.ring.sockets, this.fd)
    }
    return this.#credentials
  }

  get #gone(): boolean {
    return this.state === 'closing' || this.state === 'closed'
  }

  #address(call: 'getsockname' | 'getpeername'): PathAddress | undefined {
    if (this.#gone) return undefined
    const bytes = new Uint8Array(unixAddressBytesMax)
    const length = this.ring.sockets[call](this.fd, bytes)
    return length < 0 ? undefined : decodeUnixAddress(bytes.subarray(0, length))
  }
}
