/**
 * The contract that every adapter, every tier and the simulated kernel keep. This file imports nothing.
 */

/** What a received chunk or an address is in Node's terms; declared here so that the contract stands alone. */
export type Chunk = Buffer

declare const borrowed: unique symbol

/**
 * Bytes that are the ring's, lent to a handler until it returns. They may be read, or given to whatever copies them;
 * kept, they are overwritten by what is received later. To be read only, and their `buffer` not at all: it holds what
 * came for others. A `Chunk` or a `Buffer` is no such thing, so a function may say by its type that it does not keep
 * what it is given. At run time it is a plain `Buffer`.
 */
export type BorrowedChunk = Chunk & { readonly [borrowed]: true }

/** An internet address, as `net.Socket#address()` gives it. */
export interface InternetAddress {
  readonly address: string
  readonly family: 'IPv4' | 'IPv6'
  readonly port: number
}

/** A Unix socket address. An abstract name begins with a NUL byte; an unnamed socket has the empty path. */
export interface PathAddress {
  readonly path: string
}

export type Address = InternetAddress | PathAddress

/**
 * The life of a connection. It only ever moves to the right:
 *
 * `connecting → open → ended → closing → closed`
 *
 * - `open`: both directions, or at least the peer's, are up and nothing has been asked to end.
 * - `ended`: `end()` was called; what is queued still goes out, then the FIN. The peer may still send.
 * - `closing`: nothing is accepted any more; requests in the kernel are being cancelled.
 * - `closed`: the kernel refers to nothing of this connection; `close` has been called.
 */
export type TransportState = 'connecting' | 'open' | 'ended' | 'closing' | 'closed'

/** Who sent something, or is at the other end. */
export interface PeerCredentials {
  /** Process id, as this process's namespace has it; 0 if it can't be seen from here. */
  readonly pid: number
  readonly uid: number
  readonly gid: number
}

/** Descriptors that came along with received bytes, all close-on-exec. */
export interface Descriptors {
  /** How many of them nobody has taken. */
  readonly count: number
  /**
   * The descriptors, in the order that they were sent in. They belong to the caller from now on, which has to close
   * them. Those that have not been taken when the handler returns are closed.
   */
  take(): number[]
}

/** What came along with received bytes; each only if it was asked for when the socket was made, and is there. */
export interface ReceivedDetails {
  /** Of a Unix socket: who sent them, on the kernel's word. */
  credentials?: PeerCredentials
  /** Of a Unix socket: the descriptors that were sent with them. */
  fds?: Descriptors
}

/** Told how one write ended: nothing when the kernel has taken every byte, else why it never will. */
export type WriteCallback = (error?: Error) => void

/**
 * What a stream's owner wants to be told. One object serves any number of connections: the connection comes along
 * as the first argument. A method that throws is an `uncaughtException`; the connection and the others go on. Nobody
 * waits for a promise that one returns.
 */
export interface StreamHandler<T extends Transport = Transport> {
  /** The connection is established. Called once, before anything else. */
  open?(transport: T): void
  /**
   * Bytes arrived, in order. `chunk` is the receiver's own: it may be kept and changed. Its `buffer` holds nothing of
   * other connections; small chunks of one connection share one, which can't be transferred (a copy can). Descriptors
   * in `details` were sent with a write that begins in it; what comes in later chunks was written after that one.
   * Without this method what arrives is dropped; who is to have another handler later is to be paused until then.
   */
  data?(transport: T, chunk: Chunk, details?: ReceivedDetails): void
  /** After a `write` that returned false: the queue is below the low-water mark again. */
  drain?(transport: T): void
  /** The peer has finished sending. Called at most once, after the last `data`. */
  end?(transport: T): void
  /** Exactly once, and last. `error` says why if the connection did not end in order. */
  close?(transport: T, error?: Error): void
}

/** A connected (or connecting) stream: TCP, or a Unix stream socket. */
export interface Transport {
  readonly state: TransportState
  readonly localAddress: Address | undefined
  readonly remoteAddress: Address | undefined
  /** Bytes handed to `data` or forwarded. */
  readonly bytesRead: number
  /** Bytes that the kernel has taken. */
  readonly bytesWritten: number
  /** Bytes accepted by `write` that the kernel has not taken yet. */
  readonly bytesQueued: number
  /** `write` returns false from this many queued bytes on. */
  readonly writableHighWaterMark: number
  readonly paused: boolean
  /**
   * Who is told what happens. Assigning another hands the connection over, from the next event on: what arrives before
   * is told to the former.
   */
  handler: StreamHandler

  /**
   * Queues bytes. They leave, together with everything else written in this turn of the event loop, when the turn ends.
   * The chunk may be reused as soon as `write` returns: nothing of it is kept unless it is larger than
   * `limits.copyAtOnceBytes`; then it must not be changed until `callback`.
   *
   * @param encoding for a string; `utf8` when absent.
   * @param callback when the kernel has taken the bytes, or why it never will.
   * @returns false when the queue has reached the high-water mark; the bytes are queued all the same, and `drain`
   * follows.
   *   False also, with the reason to `callback`, when the connection is closing or closed, or has ended with its peer.
   * @throws TypeError `ERR_INVALID_ARG_TYPE` for a chunk that is neither string nor `Uint8Array`;
   *   SheafError `ERR_SHEAF_WRITE_AFTER_END` after `end()`.
   */
  write(chunk: Uint8Array | string, encoding?: BufferEncoding, callback?: WriteCallback): boolean
  write(chunk: Uint8Array | string, callback?: WriteCallback): boolean
  /** Submits what is queued now, for whoever can't wait for the end of the turn. */
  flush(): void
  /**
   * Sends what is queued, then FIN. Receiving goes on. Harmless when repeated. @param callback when the FIN has been
   * sent.
   */
  end(callback?: WriteCallback): void
  /** Drops what is queued and closes. `close` follows, with `error` if one was given. Harmless when repeated. */
  destroy(error?: Error): void
  /** Like `destroy`, but the peer sees a reset (TCP), and can't take what it has got for the whole. */
  reset(error?: Error): void
  /** No more `data` until {@link resume}. What has arrived, and still arrives, is kept. */
  pause(): void
  resume(): void
  /** Keeps the process alive while open, as a new connection does. */
  ref(): void
  /** Does not keep the process alive any more, but until what was written, and the FIN, has been sent. */
  unref(): void
  /**
   * Sends everything that arrives from now on to `to`, without copying where both are on one ring; `data` is not
   * called any more. A full `to` holds back this side; the peer's end becomes `to.end()`; if either side is destroyed,
   * the other is reset, so that nobody takes a part for the whole. So is this side if `to` is the application's own and
   * throws when it is to take something.
   * @throws SheafError `ERR_SHEAF_FORWARDING` if this connection forwards already or `to` is itself.
   */
  forward(to: Transport): void
}

/**
 * What is known of one received datagram besides its sender; each only if it was asked for when the socket was made.
 */
export interface MessageDetails extends ReceivedDetails {
  /** The local address that the datagram was sent to, and the index of the interface that it came in by. */
  localAddress?: string
  interfaceIndex?: number
  /** When the kernel received it, in microseconds since 1970. */
  timestampUs?: number
  /** Datagrams that the socket has lost since it was opened because its receive buffer was full, modulo 2^32. */
  dropped?: number
  /** The type of service (IPv4) or traffic class (IPv6), its lowest two bits being ECN. */
  typeOfService?: number
  /** The datagram was longer than the chunk. */
  truncated?: true
}

/**
 * Datagrams that arrived in one turn. It belongs to the socket: it, and the memory that it speaks of, is valid until
 * the handler returns. Reading it allocates nothing, but for {@link chunk} and {@link view}.
 */
export interface MessageBatch<A extends Address = Address> {
  /** Datagrams; the indexes below go from 0 to below it. */
  readonly count: number
  /**
   * Where datagram `index` lies: `lengthBytes(index)` bytes of `memory(index)` from `offset(index)` on. Not to be
   * changed.
   */
  memory(index: number): BorrowedChunk
  offset(index: number): number
  lengthBytes(index: number): number
  /** The sender. The same object for all datagrams of one sender in a row. */
  from(index: number): A
  details(index: number): MessageDetails | undefined
  /** A copy that belongs to the caller. */
  chunk(index: number): Chunk
  /** The bytes in place, valid until the handler returns. */
  view(index: number): BorrowedChunk
}

/**
 * What a datagram socket's owner wants to be told. One object serves any number of sockets. A method that throws is an
 * `uncaughtException`; the socket goes on with what comes after.
 */
export interface MessageHandler<T = MessageTransport, A extends Address = Address> {
  /**
   * A datagram arrived. `chunk` is the receiver's own. Not called if there is `messages`. One socket is told of them
   * for about 1 ms, or of 16, before the event loop goes on.
   */
  message?(transport: T, chunk: Chunk, from: A, details?: MessageDetails): void
  /**
   * Datagrams arrived: all of one turn, without an allocation for each. In a flood of small ones that are thousands,
   * and the event loop waits until the handler returns.
   */
  messages?(transport: T, batch: MessageBatch<A>): void
  /** After a `send` that returned false: the queue is below the low-water mark again. */
  drain?(transport: T): void
  /**
   * A datagram sent without a callback could not be sent, or receiving failed (`ECONNREFUSED`: an earlier datagram was
   * refused). The socket stays open.
   */
  error?(transport: T, error: Error): void
  /** Exactly once, and last. `error` says why if the socket was not closed by its owner. */
  close?(transport: T, error?: Error): void
}

/** What the owner of connected sockets that keep message boundaries (seqpacket) wants to be told besides. */
export interface MessageConnectionHandler<T = MessageConnectionTransport, A extends Address = Address>
  extends MessageHandler<T, A> {
  /** The connection is established. Called once, before anything else. */
  open?(transport: T): void
  /** The peer has finished sending. Called at most once, after the last message. */
  end?(transport: T): void
}

/** A datagram socket: every message is sent and received whole, or not at all. */
export interface MessageTransport<A extends Address = Address, To = A> {
  readonly state: TransportState
  readonly localAddress: A | undefined
  /** Of a connected socket. */
  readonly remoteAddress: A | undefined
  /** Payload bytes, and datagrams, that were received and sent. */
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly messagesRead: number
  readonly messagesWritten: number
  /** What `send` has accepted and the kernel has not taken yet. */
  readonly bytesQueued: number
  readonly messagesQueued: number
  readonly writableHighWaterMark: number
  readonly paused: boolean

  /**
   * Queues one datagram. It leaves at the end of this turn of the event loop, in the order of sending among those to
   * the same destination. The chunk is copied: it may be reused as soon as `send` returns.
   *
   * @param to where to; absent on a connected socket.
   * @param callback when the kernel has taken the datagram, or why it was not sent. Without one, an error is told
   *   to the handler.
   * @returns false when the queue has reached the high-water mark (the datagram is queued all the same, and `drain`
   *   follows), or when the datagram was refused, with the reason to `callback`.
   * @throws TypeError for arguments of the wrong type; RangeError for a bad port.
   */
  send(chunk: Uint8Array | string, to?: To, callback?: WriteCallback): boolean
  send(chunk: Uint8Array | string, callback?: WriteCallback): boolean
  /**
   * Queues datagrams to one destination. @param callback once for all of them, with the first error if there was one.
   */
  sendMany(chunks: Iterable<Uint8Array | string> & object, to?: To, callback?: WriteCallback): boolean
  /** Submits what is queued now, for whoever can't wait for the end of the turn. */
  flush(): void
  /** Sends what is queued, then closes. Harmless when repeated. */
  close(): void
  /** Drops what is queued and closes. `close` follows, with `error` if one was given. Harmless when repeated. */
  destroy(error?: Error): void
  /**
   * Nothing is handed over until {@link resume}. What the kernel receives meanwhile it keeps as long as it has room.
   */
  pause(): void
  resume(): void
  ref(): void
  unref(): void
}

/** A connection that keeps message boundaries, and has an end in each direction as a stream has. */
export interface MessageConnectionTransport<A extends Address = Address, To = A> extends MessageTransport<A, To> {
  /** Sends what is queued, then the end. Receiving goes on. Harmless when repeated. */
  end(): void
}

/** What a listener's owner wants to be told, besides what happens on each connection. */
export interface ListenerHandler<T extends Transport = Transport> extends StreamHandler<T> {
  /** Accepting failed (`EMFILE`, `ENOBUFS`, …). The listener waits a moment and goes on by itself. */
  acceptError?(error: Error): void
}

/** A listening socket. */
export interface Listener {
  readonly address: Address
  readonly listening: boolean
  /** Connections accepted from here that are not closed. */
  readonly connections: number
  ref(): void
  unref(): void
  /** Stops accepting; connections stay. Resolves when the kernel has let go of the socket. Harmless when repeated. */
  close(): Promise<void>
}
