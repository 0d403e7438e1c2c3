/**
 * What the C++ half of Sheaf offers to the TypeScript half, and nothing else: memory shared with the kernel, the
 * system calls on it, and a hook into the event loop. It knows nothing of protocols, of what a buffer means, or of
 * policy. A simulated kernel can stand behind this same interface.
 *
 * Conventions, everywhere: a call that can fail in the kernel returns a number, zero or more on success and `-errno`
 * on failure; it throws only for arguments of the wrong type or range (a `TypeError` or `RangeError`). Addresses are
 * plain numbers: user-space addresses are below 2^53 on every Linux system.
 */
export interface Binding {
  /** Asks the kernel once what it has. Cheap after the first call. */
  probe(): KernelProbe
  /**
   * Sets up a ring. Each flag of `optionalFlags` that the kernel refuses is dropped on its own and the rest kept;
   * flags that it accepted are in {@link NativeRing.setupFlags}.
   * @returns `-errno` when no ring can be had at all.
   */
  createRing(options: NativeRingOptions): NativeRing | number
  readonly sockets: SocketCalls
}

/** All that the compiled addon has. */
export interface Addon extends Binding {
  /**
   * Takes the memory of each chunk that is the whole of its `ArrayBuffer`, and gives it back now: the collector would,
   * later. Those chunks are empty from then on; the others are left as they are. `ArrayBuffer.prototype.transfer` of
   * Node 22 does that, too, for one.
   * @throws Error if the memory of one must stay, as WebAssembly's must: those after it keep theirs.
   */
  readonly detach: (chunks: readonly Uint8Array[]) => void
  /**
   * Reports `error` as an uncaught exception now, as if it had been thrown with no other JavaScript on the stack: who
   * listens for `uncaughtException` is told, and with nobody listening the process ends. Leaves every async context.
   */
  readonly raise: (error: unknown) => void
}

export interface KernelProbe {
  /** `io_uring_setup` works for this process. */
  readonly available: boolean
  /** Why not, as one sentence a person can act on; empty when it works. */
  readonly reason: string
  /** `errno` of the refusal, 0 when it works. */
  readonly errno: number
  /** The kernel's release, as `uname -r` prints it. */
  readonly release: string
  /** `IORING_FEAT_*` bits. */
  readonly features: number
  /** One byte for each opcode the kernel knows: 1 where it is supported. */
  readonly opcodes: Uint8Array
}

/**
 * Page-aligned memory that the kernel may be told of. `buffer` is marked untransferable: it never leaves its thread.
 * A forked child has no part in it.
 */
export interface Region {
  readonly buffer: ArrayBuffer
  /** Where `buffer` begins in this process's address space. A multiple of the page size. */
  readonly address: number
  readonly sizeBytes: number
}

/**
 * All that may be submitted to a ring (`IORING_REGISTER_RESTRICTIONS`): the kernel completes any other request with
 * `-EACCES`. What the binding itself asks of `io_uring_register` is allowed as well, and nothing else is.
 */
export interface RingRestrictions {
  /** `IORING_OP_*`, one byte each. */
  readonly opcodes: Uint8Array
  /** `IOSQE_*` bits. */
  readonly entryFlags: number
}

export interface NativeRingOptions {
  /** Submission queue entries: a power of two, 1 to 32768. */
  readonly submissionEntries: number
  /** Completion queue entries: a power of two, more than `submissionEntries`, up to 65536. */
  readonly completionEntries: number
  /** `IORING_SETUP_*` bits to have if the kernel allows, each dropped on its own if not. */
  readonly optionalFlags: number
  /**
   * To be in force if the kernel allows; if not, {@link NativeRing.restrictionsError} says so. None if absent.
   */
  readonly restrictions?: RingRestrictions
}

/** Byte offsets into {@link NativeRing.rings}. */
export interface RingOffsets {
  readonly submissionHead: number
  readonly submissionTail: number
  readonly submissionFlags: number
  readonly submissionDropped: number
  readonly completionHead: number
  readonly completionTail: number
  readonly completionFlags: number
  readonly completionOverflow: number
  /** The first completion entry (16 bytes each). */
  readonly completions: number
}

export interface NativeRing {
  /**
   * Maps `sizeBytes` (rounded up to whole pages) of zeroed memory that never moves. The mapping lives until both its
   * `ArrayBuffer` has been collected and this ring has been closed, so that the kernel can never write to memory that
   * has been given back: no other ring may be told of it.
   * @throws RangeError if `sizeBytes` is not between 1 and 2^31.
   * @returns `-errno`: `-ENOMEM` when the system has no memory, `-EBADF` when the ring is closed.
   */
  createRegion(sizeBytes: number): Region | number
  readonly submissionEntries: number
  readonly completionEntries: number
  /** `IORING_FEAT_*` bits. */
  readonly features: number
  /** `IORING_SETUP_*` bits in force. */
  readonly setupFlags: number
  /** The `-errno` with which the kernel refused the restrictions asked for, so that there are none; else 0. */
  readonly restrictionsError: number
  /** Both queues' heads, tails, flags and the completions. Detached by {@link close}. */
  readonly rings: ArrayBuffer
  readonly offsets: RingOffsets
  /**
   * The submission entries, 64 bytes each: the one at tail value `t` is entry `t` modulo the size, whether or not
   * `IORING_SETUP_NO_SQARRAY` is in force. Detached by {@link close}.
   */
  readonly submissions: ArrayBuffer
  /**
   * Ten 32-bit words, which are 0 at first:
   *
   * 0. "There is something to submit that is not in the submission queue": the loop hook calls `turn` when it is not 0;
   *    the callee resets it.
   * 1. Linked requests in the submission queue: having submitted them, the hook enters the kernel up to so often more
   *    before it calls `turn`, as long as there is deferred work, and resets it.
   * 2. The hook's: since the callee reset it the loop had nothing to do until the kernel posted something.
   * 3. "Something to send has been staged", by which an answer may be worth looking for before the loop blocks; the
   *    hook resets it.
   * 4. "There is something to tell beside completions": `turn` is called for it where it is for those.
   * 5. The hook's: how often the loop has come to poll.
   * 6. The hook's: the loop has come to poll with something else to do, and does not block.
   * 7. "There is something to submit when the loop comes to poll again."
   * 8. 1: "there is something to tell when the loop polls next". The hook makes that 2 when it does, and calls `turn`,
   *    which sets it anew.
   * 9. The hook's: the loop polls.
   *
   * Detached by {@link close}.
   */
  readonly wanted: ArrayBuffer
  /**
   * One bit for each descriptor number, least significant first, of those that this thread has to close: all its rings
   * have the same. What is left when the thread ends (a worker is terminated, between any two calls) is closed, and so
   * is what arrives in completions that nobody has read. {@link SocketCalls} set and clear the bits of what they make
   * and close; TypeScript sets those of descriptors that it is given, and clears those of descriptors that it gives
   * away or has closed by a request.
   */
  readonly descriptors: ArrayBuffer

  /**
   * `io_uring_enter(2)` with what is in the queue now; `flags` are `IORING_ENTER_*`. Blocks until `minComplete`
   * completions are there, if `IORING_ENTER_GETEVENTS` is among the flags. Never answers `-EINTR`.
   * @returns entries taken, or `-errno`.
   */
  enter(minComplete: number, flags: number): number
  /**
   * Makes `entries` times 16 bytes at `address` (a multiple of the page size) the buffer ring of group `groupId`.
   * @param entries a power of two, 1 to 32768.
   * @param groupId 0 to 65535.
   * @param flags `IOU_PBUF_RING_*`.
   * @returns 0 or `-errno` (`-EEXIST` for a group that has one).
   */
  registerBufferRing(address: number, entries: number, groupId: number, flags: number): number
  unregisterBufferRing(groupId: number): number
  /**
   * Where messages are received that may have descriptors in their control messages: buffers of `bufferBytes`, that of
   * id 0 at `address`. They must stay mapped until the ring is closed. See {@link descriptors}.
   */
  setMessageBuffers(address: number, bufferBytes: number, controlOffsetBytes: number): void
  /**
   * Counts the completions before `position` (a value of the completion queue's head) and the one there as read, and
   * adds to {@link descriptors} those that came with that one, as its result or in a buffer's control messages. For
   * completions of requests with the top bit of the user data set. One whose user data is all ones has been read.
   */
  readDescriptors(position: number): void
  /** How far the kernel has read a buffer ring (16 bits), or `-errno` (`-EINVAL` before 6.8). */
  bufferRingHead(groupId: number): number
  /**
   * Cancels every request in the kernel and waits, at most `timeoutMs`, until they have ended. What is in the
   * submission queue stays there. The completions stay in the queue (and its overflow) to be reaped.
   * @returns 0 or `-errno` (`-ETIME`; `-EINVAL` before 6.0).
   */
  cancelAll(timeoutMs: number): number

  /**
   * Joins this thread's event loop. Before the loop would block, and when the kernel has posted something, the hook
   * submits, reaps, and calls `turn` (which drains the completion queue and resets {@link wanted}), for at most
   * `maxRounds` (1 to 65535) rounds, then lets the loop's other handles have their turn. Immediates and due timers have
   * theirs before the second round that `turn` is called in. `process.nextTick` and promise callbacks run after each
   * `turn`. What `turn` throws becomes an `uncaughtException`; completions it had not
   * come to are offered again. So does an `io_uring_enter` that fails for good, once, with `code` and `syscall`.
   *
   * If `turn` returns a function, that is called next, in no callback scope of Node's: what it has C++ do tells
   * JavaScript each thing as it would from libuv, with `process.nextTick` and promise callbacks run after each. It must
   * not call anything else that is not its own, or enter an async context.
   *
   * Before the loop blocks it looks for what the kernel posts for up to `busyPollMicroseconds` (0 to 1000),
   * often while more than half of these looks find something, else every 64th time. The loop's other handles wait.
   *
   * An attached ring is not collected: it lasts until {@link close} or the end of its thread's environment.
   * @throws Error `ERR_INVALID_STATE` if the ring is attached already or closed.
   */
  attach(turn: () => (() => void) | undefined, maxRounds: number, busyPollMicroseconds: number): void
  /**
   * Has `tell` called once where libuv tells of the handles that were closed in this iteration of the loop: after its
   * immediates, before timers and the next poll. The process lives until then. If this is called before that again, the
   * function given last is called; if the ring is closed before, none is. `process.nextTick` and promise callbacks run
   * after it; what it throws becomes an `uncaughtException`.
   * @throws Error `ERR_INVALID_STATE` if the ring is not attached, or closed.
   */
  askClosing(tell: () => void): void
  /** Keeps the process alive while the ring is attached (as it does not when new). */
  ref(): void
  unref(): void
  /** What has been done since the ring was made; readable after {@link close} too. */
  counters(): NativeCounters
  /**
   * Leaves the loop, cancels what is in flight (waiting at most a second), and gives the ring back; allowed from
   * within `turn`. Done on its own when the thread's environment ends, and when a ring that was never attached is
   * collected. Harmless when repeated. Every other method that answers a number answers `-EBADF` from then on.
   *
   * If something in the kernel has not ended within that second, the regions it may write to are never given back.
   */
  close(): void
}

export interface NativeCounters {
  /** Calls of `io_uring_enter`, from {@link NativeRing.enter} and from the loop. */
  readonly enters: number
  /** Submissions that the kernel has taken. */
  readonly submitted: number
  /** Calls of `turn`. */
  readonly turns: number
  /** How often the kernel woke the loop by the eventfd. */
  readonly wakeups: number
  /** How often the loop looked for what the kernel posts before it blocked, and how many of these looks saved that. */
  readonly busyPolls: number
  readonly busyPollsFound: number
  /** What they have taken, in milliseconds. */
  readonly busyPollMs: number
}

/** Socket calls that have no opcode, or none worth using. None of them blocks, but `close` of a socket that lingers. */
export interface SocketCalls {
  /** `socket(2)`, close-on-exec. Whether it is in blocking mode, as `type` says, is all the same to io_uring. */
  socket(domain: number, type: number, protocol: number): number
  /** `socketpair(2)`, close-on-exec. @returns 0, and the two descriptors in `into`, or `-errno`. */
  socketpair(domain: number, type: number, into: Int32Array): number
  /** `address` is a whole `sockaddr` as the kernel wants it. */
  bind(fd: number, address: Uint8Array): number
  /** Only for datagram sockets, and for sockets in non-blocking mode. */
  connect(fd: number, address: Uint8Array): number
  listen(fd: number, backlog: number): number
  /** Fills `into` with the `sockaddr`. @returns its length in bytes, even if that is more than fits, or `-errno`. */
  getsockname(fd: number, into: Uint8Array): number
  getpeername(fd: number, into: Uint8Array): number
  setsockopt(fd: number, level: number, name: number, value: Uint8Array): number
  /** Fills `into`. @returns how many bytes the kernel wrote, or `-errno`. */
  getsockopt(fd: number, level: number, name: number, into: Uint8Array): number
  shutdown(fd: number, how: number): number
  dup(fd: number): number
  /**
   * A descriptor (`epoll(7)`, close-on-exec) that can be read while `fd` can be written to or has failed. A poll of
   * `fd` itself would complete for as long as its peer has shut down, too: io_uring always asks for `POLLRDHUP`.
   */
  watchRoom(fd: number): number
  /** For descriptors that came from here: one that `node:fs` opened in a worker is closed by Node.js a second time. */
  close(fd: number): number
  /**
   * `sendmsg(2)` of the bytes of `first`, then those of `second` and of `third`, 2 GB at most each. None is looked at
   * once this has returned.
   * @returns how many bytes the kernel took of them together, or `-errno` if it took none.
   */
  send(fd: number, first: Uint8Array, second: Uint8Array, third: Uint8Array, flags: number): number
  /**
   * `sendmmsg(2)`. @param headers `count` of `struct mmsghdr`, which name memory that stays until this returns.
   * @returns how many messages the kernel took, or `-errno` if it took none.
   */
  sendmmsg(fd: number, headers: Uint8Array, count: number, flags: number): number
  /**
   * `recv(2)` into `into`, which is not looked at once this has returned.
   * @returns how many bytes there were, 0 at the end of a stream, or `-errno`.
   */
  receive(fd: number, into: Uint8Array, flags: number): number
  /** The index of a network interface, or `-errno` (`-ENODEV`). */
  interfaceIndex(name: string): number
  /**
   * Has the file at `path` removed when this thread ends, also when a worker is terminated: unless another is in its
   * place by then, or {@link disownFile} is called before.
   * @returns what stands for the file, or `-errno` if there is none.
   */
  ownFile(path: string): number
  /** @param file harmless if it stands for none. */
  disownFile(file: number): void
}
