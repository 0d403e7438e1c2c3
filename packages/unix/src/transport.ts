import type { Listener, PathAddress, PeerCredentials, StreamHandler, Transport, WriteCallback } from '@sheaf/ring'

/** What goes along with a write. */
export interface WriteOptions {
  /**
   * 1 to 253 descriptors that the receiver gets with the chunk's first byte. They are duplicated at once; these stay
   * the caller's, and may be closed as soon as `write` returns.
   */
  readonly fds: readonly number[]
}

/**
 * A connection of Unix stream sockets, on io_uring or on Node's sockets. Where it is on Node's, what those can't do
 * throws SheafError `ERR_SHEAF_UNSUPPORTED`; `README.md` has the list.
 */
export interface UnixConnection extends Transport {
  handler: StreamHandler<UnixConnection>
  write(chunk: Uint8Array | string, encoding?: BufferEncoding, callback?: WriteCallback): boolean
  write(chunk: Uint8Array | string, callback?: WriteCallback): boolean
  /**
   * Queues bytes with descriptors that go along. A string is UTF-8. The chunk must not be empty: descriptors go with a
   * byte. As much of it as there is room for, at least 15 KB, arrives at once, as one `sendmsg` would send it.
   * @throws besides: TypeError, RangeError for what is no list of 1 to 253 descriptors; SystemError `EBADF`, `EMFILE`.
   */
  write(chunk: Uint8Array | string, options: WriteOptions, callback?: WriteCallback): boolean
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
