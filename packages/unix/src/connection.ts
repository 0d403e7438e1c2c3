import {
  type ConnectionOptions, type PathAddress, type PeerCredentials, type Ring, StreamConnection, type StreamHandler,
  type WriteCallback,
} from '@sheaf/ring'
import { type DetailOptions, Details, receiveCredentials } from './details'
import { readPeerCredentials } from './peer-credentials'
import type { UnixConnection, WriteOptions } from './transport'
import { decodeUnixAddress, unixAddressBytesMax } from './unix-address'

/** A connection of Unix stream sockets on a ring: {@link StreamConnection} with paths and credentials. */
export class RingUnixConnection extends StreamConnection implements UnixConnection {
  declare handler: StreamHandler<UnixConnection>
  #local: PathAddress | undefined
  #remote: PathAddress | undefined
  #credentials: PeerCredentials | undefined

  constructor(
    ring: Ring,
    fd: number,
    handler: StreamHandler<UnixConnection>,
    options: ConnectionOptions & DetailOptions,
  ) {
    const isPlain = options.receiveDescriptors !== true && options.receiveCredentials !== true
    super(ring, fd, handler, { ...options, details: isPlain ? undefined : new Details(ring, options) })
    if (options.receiveCredentials === true) receiveCredentials(ring, fd)
  }

  override connect(address: Uint8Array): void {
    this.connectByCall(address)
  }

  override write(
    chunk: Uint8Array | string,
    second?: BufferEncoding | WriteCallback | WriteOptions | null,
    callback?: WriteCallback,
  ): boolean {
    // `null` is no encoding, as with Node's sockets.
    if (second === null) return super.write(chunk, callback)
    if (typeof second !== 'object') return super.write(chunk, second, callback)
    return this.writeWithDescriptors(chunk, second.fds, callback)
  }

  override get localAddress(): PathAddress | undefined {
    this.#local ??= this.#address('getsockname')
    return this.#local
  }

  override get remoteAddress(): PathAddress | undefined {
    this.#remote ??= this.#address('getpeername')
    return this.#remote
  }

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
