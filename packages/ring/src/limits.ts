/**
 * Every default and every bound in one place, each with its reason. Those that {@link RingOptions} can change are
 * defaults; the others are bounds.
 */
export const limits = {
  /** One turn of a busy server prepares a few hundred requests; a full queue only costs one more system call. */
  submissionEntries: 1024,
  /**
   * Multishot requests complete without being asked, so completions outnumber submissions. 64 KB of entries; a
   * burst beyond that is kept by the kernel (`IORING_FEAT_NODROP`) and ends multishot requests, which are re-armed.
   */
  completionEntries: 4096,

  /**
   * Receive buffer: one page. A smaller one costs more entries per byte on bulk input, a larger one wastes more on
   * small messages.
   */
  receiveBufferBytes: 4096,
  /**
   * 512 KB. The pool is used in order, so all of it passes through the cache: larger was 1.4 times slower on bulk
   * input.
   */
  receiveBuffers: 128,
  /**
   * The pool doubles when a socket that holds none of it has waited for `starvationMs`, up to this (4 MB), or to twice
   * its first size.
   */
  receiveBuffersMax: 1024,
  /** Long beside a burst (100 µs), short beside what a person or a timeout notices. */
  starvationMs: 5,
  /** Of those that wait for buffers, one is let go for each so many: a busy one takes all it can get. */
  buffersPerUnparked: 32,
  /** The pool is one mapping. Its bound is far from what anyone should want, and keeps offsets in 31 bits. */
  receivePoolBytesMax: 2 ** 30,
  /** Provided-buffer rings have at most this many entries (kernel). */
  bufferRingEntriesMax: 32768,
  /**
   * Part of the pool that forwarding may not hold once it can't grow. Past it forwarded bytes are copied, so that
   * connections whose receivers are slow can't leave the others without buffers. A fast flow takes the whole pool at
   * once, so this much of it is copied: 1/16 costs it little.
   */
  receiveReserveFraction: 1 / 16,

  /**
   * One connection's unit of send memory; a span never crosses it. Small enough for a thousand busy connections (16
   * MB).
   */
  sendBlockBytes: 16 * 1024,
  /** Send memory is mapped in steps of this many blocks (1 MB) and kept. */
  sendBlocksPerRegion: 64,
  /**
   * Send memory of all streams of a ring: 256 MB; of its UDP sockets as much, and of its Unix messages. What a stream
   * writes past it waits in JavaScript memory, and is sent from there by system calls; datagrams fail with `ENOBUFS`.
   */
  sendBlocksMax: 16384,
  /**
   * Part of it that only those get a block of who have none: peers that do not read hold what they are sent. So much
   * is enough for 4096 connections, and a block each keeps them busy.
   */
  sendReserveFraction: 1 / 4,
  /** Room for any socket address that is connected to, in memory that nothing else needs. */
  addressBytes: 128,
  addressesPerRegion: 256,
  /**
   * Send memory of one connection: 256 KB, which keep a 10G link busy for 200 µs. What is written beyond waits in
   * JavaScript memory.
   */
  sendWindowBlocks: 16,
  /**
   * `write` copies chunks up to this size at once; a larger one that does not fit is kept by reference until it does.
   */
  copyAtOnceBytes: 16 * 1024,
  /**
   * A chunk of this size is sent from where it lies, by a system call of its own: copying it would cost more. Less is
   * sent together with what others have to send; 16 KB so were 1.2 times slower. It is no less than the high-water
   * mark: a `net.Socket` takes a chunk below that for one that may be changed.
   */
  sendInPlaceBytes: 64 * 1024,
  /** What one system call is given to send of a chunk: Linux takes no 2 GB. */
  sendCallBytesMax: 2 ** 30,
  /**
   * How often a member is advanced in one turn, on average: whoever, when told of something, has something else to be
   * told of at once, for ever, must let the kernel and the event loop have theirs.
   */
  advancesPerMember: 8,
  /** See {@link RingOptions.sendBytesPerTurn}: to encrypt as much takes TLS 2 ms. */
  sendBytesPerTurn: 2 * 1024 * 1024,
  /** What `write` calls full, as `node:net` sockets do by default on 64-bit systems since Node 20. */
  writableHighWaterMark: 64 * 1024,
  /** `drain` comes when the queue is below this part of the high-water mark: fewer, larger refills. */
  writableLowWaterFraction: 0.25,

  /** Entries of a leased buffer group: four completions of 256 buffers. One group costs four pages. */
  groupEntries: 1024,
  /** Groups of one ring. Ids have 16 bits; past this many busy connections, the rest send span by span. */
  groupsMax: 4096,
  /** `IOV_MAX`: the kernel refuses longer vectors. */
  vectorEntriesMax: 1024,
  /** The kernel completes a bundle after this many buffers and goes on with the next completion. */
  bundleBuffersPerCompletion: 256,

  /**
   * Datagram receive buffers of a ring to begin with. One holds one datagram, or as many as the kernel has coalesced,
   * so its payload is as large as those get; pages that small datagrams do not reach are never touched.
   */
  messageBuffers: 64,
  /** What their number doubles up to when a turn brings more datagrams than that: 17 MB if all are filled. */
  messageBuffersMax: 256,
  messagePayloadBytes: 64 * 1024,
  /** Room for any socket address in front of a received datagram: `sockaddr_un` is the longest. */
  messageNameBytes: 112,
  /** Room for the control messages of UDP: all that Sheaf asks for take 152 bytes. */
  messageControlBytes: 192,
  /**
   * Unix datagrams are as large as their sender's buffer: this one is what a program may ask for where nobody changed
   * `net.core.wmem_max` (212992, which the kernel doubles). Larger ones are cut off. Pages are touched as with UDP.
   */
  localMessagePayloadBytes: 416 * 1024,
  localMessageBuffers: 32,
  /** 54 MB if all are filled. */
  localMessageBuffersMax: 128,
  /** Room for control messages with descriptors: 253 of them (`SCM_MAX_FD`), and credentials. */
  localMessageControlBytes: 1088,
  /** The largest Unix datagram that is shown to the kernel: as many pieces of send memory as a request has. */
  localMessageBytesMax: 1024 * 1024,
  /**
   * How long one socket is told of datagrams before the event loop's other handles have their turn. A flood of them,
   * with a handler that takes 50 µs, held up timers for 1.5 s (p50) to 2.9 s (max); with this 0.4 to 25 ms, and more
   * datagrams are told. What comes meanwhile the kernel keeps or drops.
   */
  messagesTellMs: 1,
  /** Datagrams that are told between two looks at the clock. libuv tells 32 of a socket, however long they take. */
  messagesPerLook: 16,
  /** `UDP_MAX_SEGMENTS` was 64 before Linux 6.9. */
  segmentsMax: 64,
  /** The largest payload of an IPv4 datagram, and of a segmentation bundle. */
  datagramBytesMax: 65507,
  /** A request's vector: one piece for each segment, and one for each block boundary within a bundle. */
  messagePiecesMax: 72,
  /** Requests of datagrams are mapped in steps of this many and kept. */
  messageRequestsPerRegion: 64,
  /**
   * Requests that all sockets of a ring may have queued: 22 MB. Past it sending fails with `ENOBUFS`; and when only
   * `sendReserveFraction` of them is left, that of Unix messages to a destination that has one.
   */
  messageRequestsMax: 16384,
  /** What `send` calls full: about a default send buffer of the kernel (`net.core.wmem_default`). */
  messageHighWaterMark: 256 * 1024,
  /** Datagrams, however small, from which on `send` calls the queue full. */
  messagesHighWaterMark: 8192,
  /** Unix messages of one `sendmmsg`: more save nothing, and are in vain where the receiver has room for ten. */
  burstMessagesMax: 64,
  /** Those are, for each destination, in a turn, so that others have theirs. */
  burstsPerTurn: 4,
  /** Linked requests of one destination: longer chains gain nothing and fill the submission queue. */
  messageChainMax: 256,
  /**
   * How long a lane waits for room where there is no socket to be told of it by (`EMFILE`), and a Unix socket that
   * connects for room in a backlog.
   */
  roomRetryMs: 10,
  /** For so long nothing more has come of a peer that takes nothing any more: then that was all. */
  goneReceiveMs: 20,
  /** Bytes that one socket may have queued when nobody heeds `send`. Past it sending fails with `ENOBUFS`. */
  messageQueueBytesMax: 64 * 1024 * 1024,
  /** Destinations and sources whose addresses a socket remembers in both forms. */
  messagePeersMax: 4096,
  /**
   * What a paused socket of Node's keeps, as it can't leave it with the kernel: what that keeps by default
   * (`net.core.rmem_default`), with what it counts for each datagram besides. What comes beyond is lost, as there.
   */
  messageKeptBytesMax: 212_992,
  messageKeptOverheadBytes: 768,
  /** Received datagrams up to this size share slabs; as `dgram` does, but with less to waste. */
  messageSlabChunkBytes: 8 * 1024,
  messageSlabBytes: 64 * 1024,
  /** Sockets that have such a slab, in a thread: 4 MB. */
  messageSlabsMax: 64,

  /**
   * Received chunks up to this size are carved from a slab of the connection's own; larger ones get memory of their
   * own.
   */
  slabChunkBytes: 1024,
  /**
   * What one chunk of a stream has at most, as with `node:net`: programs rely on it, such as those that put two bytes
   * of length before it. And larger memory is the system's again each time that the collector has been: with 32 busy
   * peers that was 130 page faults a megabyte, and 1.4 times slower.
   */
  chunkBytesMax: 64 * 1024,
  /**
   * What all streams that have found the pool empty receive in a turn by system calls. With `roundsPerTurn` of them
   * that is 4 MB before the event loop's other handles have their turn: 1 ms, and what the application does.
   */
  directBytesPerTurn: 512 * 1024,
  /**
   * And one of them before it is the next one's turn, which may take several. Who is left with some each time has a
   * larger window than who is not, and gets more and more.
   */
  directBytesInARow: 2 * 1024 * 1024,
  slabBytes: 8 * 1024,
  /** Connections that have a slab, in a thread: 8 MB. */
  slabsMax: 1024,

  /** Rounds of submit-reap-dispatch before the event loop's other handles have their turn. */
  roundsPerTurn: 8,
  /**
   * How long the loop looks for what the kernel posts before it sleeps, in microseconds: a peer that has been answered
   * often asks again within that time, and to be woken takes longer. See decision 40.
   */
  busyPollMicroseconds: 50,
  /**
   * Completions between two times that the kernel woke the loop up to which it was woken for little: of four that ask,
   * and of the sends that answer them. What waking costs is shared by more otherwise.
   */
  promptCompletions: 8,
  /** Turns after that in which answers leave one by one. */
  promptTurns: 16,
  /** And how many may ask in such a turn: from about four on, answers that leave together are there sooner. */
  promptMost: 4,
  /** Times the kernel is asked to give back what it can't send yet. Once does, unless it is about to try again. */
  recallRounds: 64,
  /** Times the kernel is entered when the process ends, for what it does a step at a time: chains, see below. */
  exitRounds: 512,
  /**
   * How long a listener tells of those who have connected before the rest of the event loop has its turn: a TLS socket
   * takes 0.2 ms to make. 60 clients that kept connecting held up timers for up to 0.6 s, and with this for 30 ms.
   */
  acceptTellMs: 1,
  /** And how many it tells of at least; libuv one in an iteration. */
  acceptsAtLeast: 4,
  /** How long a listener out of descriptors waits before it tries again, unless a connection closes sooner. */
  acceptRetryMs: 100,
  /** `listen(2)` backlog, as in `node:net`. */
  backlog: 511,
  /** Connections, listeners and connects of one ring: 28 bits of the user data name them. */
  operationSlotsMax: 2 ** 28,
} as const
