import type { Listener, PathAddress, PeerCredentials, StreamHandler, Transport } from '@sheaf/ring'

/**
 * A connection of Unix stream sockets, on io_uring or on Node's sockets. Where it is on Node's, what those can't do
 * throws SheafError `ERR_SHEAF_UNSUPPORTED`; `README.md` has the list.
 */
export interface UnixConnection extends Transport {
  handler: StreamHandler<UnixConnection>
  /** An unnamed socket has the empty path. Undefined when first asked for after the connection was closed. */
  readonly localAddress: PathAddress | undefined
  /** As {@link localAddress}. Of an accepted connection it is usually the empty path: clients need no name. */
  readonly remoteAddress: PathAddress | undefined
  /**
   * Who connected, or who listens: process, user and group at that moment, on the kernel's word. Undefined when first
   * asked for after the connection was closed.
   */
  readonly peerCredentials: PeerCredentials | undefined
  /** Size of the kernel's send buffer in bytes. The kernel doubles what is set, and bounds it (`net.core.wmem_max`). */
  readonly sendBufferBytes: number
  setSendBufferBytes(sizeBytes: number): void
  readonly receiveBufferBytes: number
  setReceiveBufferBytes(sizeBytes: number): void
}

/** A listening Unix stream socket. Its file, if it made one, goes when it closes, and when the process exits. */
export interface UnixListener extends Listener {
  readonly address: PathAddress
}
