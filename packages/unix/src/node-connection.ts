import {
  NodeStreamConnection, type PathAddress, type StreamHandler, unsupported, type WriteCallback,
} from '@sheaf/ring'
import type { UnixConnection, WriteOptions } from './transport'

const unnamed: PathAddress = Object.freeze({ path: '' })

/** A connection of Unix stream sockets on a socket of `node:net`, which knows no addresses. */
export class NodeUnixConnection extends NodeStreamConnection implements UnixConnection {
  declare handler: StreamHandler<UnixConnection>
  /** Where this end listens, of an accepted connection. */
  local: PathAddress = unnamed
  /** Where the other end listens, of one that has connected. */
  remote: PathAddress = unnamed

  override get localAddress(): PathAddress | undefined {
    return this.local
  }

  override get remoteAddress(): PathAddress | undefined {
    return this.remote
  }

  override write(
    chunk: Uint8Array | string,
    second?: BufferEncoding | WriteCallback | WriteOptions | null,
    callback?: WriteCallback,
  ): boolean {
    if (second === null) return super.write(chunk, callback)
    if (typeof second === 'object') throw unsupported('Sending descriptors')
    return super.write(chunk, second, callback)
  }

  get peerCredentials(): never {
    throw unsupported('peerCredentials')
  }
}
