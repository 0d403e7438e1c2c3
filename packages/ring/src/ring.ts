import { inspect, type InspectOptions } from 'node:util'
import {
  binding as nativeBinding, type Binding, type NativeCounters, type NativeRing, type SocketCalls,
} from '@sheaf/native'
import { EnterFlag, Errno, MessageFlag, receivedMessageHeaderBytes, SetupFlag } from './abi'
import { type Capabilities, detectCapabilities, lostCapability, ringCapability } from './capabilities'
import { ClosingPhase } from './closing-phase'
import { guarded, lockedMemoryError, SheafError, systemError } from './errors'
import { limits } from './limits'
import { type BufferWaiter, BufferWaiters } from './memory/buffer-waiters'
import { GroupPool } from './memory/group-pool'
import { receiveGroup, ReceivePool } from './memory/receive-pool'
import { SendMemory, type SendMemoryOptions } from './memory/send-memory'
import { Members } from './members'
import { internetMessages, localMessages, MessageShare, type MessageShareOptions } from './message/share'
import { Metrics } from './metrics'
import { whenProcessEnds } from './process-end'
import { type ReceiveMethod, type ResolvedRingOptions, resolveRingOptions, type RingOptions } from './options'
import { CompletionQueue } from './queue/completion-queue'
import { Operation, OperationTable, userDataLow } from './queue/operation-table'
import { SubmissionQueue } from './queue/submission-queue'
import { restrictions } from './restrictions'
import { FullBacklogs } from './socket/full-backlogs'
import { DirectReceives } from './stream/direct-receives'
import { type Scheduled, Turn } from './turn'

/** Something with a descriptor that has to go when the ring does. */
export interface RingMember extends Scheduled {
  ringClosed(error: Error): void
}

/** How many of what there is, to find leaks with. */
export interface RingUsage {
  readonly operationSlots: number
  readonly receiveBuffersHeld: number
  readonly sendBlocks: number
  readonly messageRequests: number
  readonly groups: number
  readonly members: number
}

const peeked = new Uint8Array(1)

const optionalSetupFlags
  = SetupFlag.CompletionSize
    | SetupFlag.SubmitAll
    | SetupFlag.SingleIssuer
    | SetupFlag.DeferTaskRun
    | SetupFlag.TaskRunFlag
    | SetupFlag.NoSubmissionArray

/**
 * One io_uring and everything that its sockets share: the queues, the receive pool, send memory, buffer groups. A ring
 * belongs to the thread that made it. Most programs never name one: adapters use `defaultRing`. What it does in an
 * iteration of the event loop is its {@link Turn}.
 */
export class Ring {
  readonly capabilities: Capabilities
  readonly turn: Turn
  readonly closingPhase: ClosingPhase
  readonly metrics = new Metrics()
  readonly operations = new OperationTable(this.metrics)
  readonly submissions: SubmissionQueue
  readonly pool: ReceivePool
  /** Who waits for buffers of the pool. */
  readonly waiters: BufferWaiters<BufferWaiter & Scheduled>
  /** Streams that are received from without buffers of the pool. */
  readonly directReceives: DirectReceives
  /** Of streams. */
  readonly sendMemory: SendMemory
  /** What connects are shown of where to: nothing that a peer holds keeps others from connecting. */
  readonly addresses: SendMemory
  readonly groups: GroupPool
  /** Unix sockets that wait to be connected. */
  readonly fullBacklogs = new FullBacklogs()
  /** Connections and listeners that are not closed. */
  readonly members = new Members<RingMember>()
  readonly mergeAdjacent: boolean
  /** Bytes before the payload of each receive buffer. */
  readonly receiveHeaderBytes: number
  /** Socket calls that have no opcode. */
  readonly sockets: SocketCalls
  readonly #native: NativeRing
  readonly #sendBlocks: SendMemoryOptions
  #internetMessages: MessageShare | undefined
  #localMessages: MessageShare | undefined
  readonly completions: CompletionQueue
  readonly #receiveMethod: ReceiveMethod
  /** Address of an all-zero `msghdr`: multishot `RECVMSG` without addresses or control messages. */
  readonly #messageHeader: number
  readonly #descriptors: Uint8Array
  #references = 0
  #sendsWritten = false
  /** See {@link keep}. */
  readonly #kept: number[] = []
  #closed = false

  /** @internal Use {@link createRing}. */
  constructor(binding: Binding, native: NativeRing, options: ResolvedRingOptions, capabilities: Capabilities) {
    this.sockets = binding.sockets
    this.#native = native
    this.capabilities = capabilities
    this.mergeAdjacent = options.mergeAdjacent
    this.#receiveMethod
      = options.receiveMethod === 'bundle' && !capabilities.bundledReceive.enabled ? 'single' : options.receiveMethod
    this.receiveHeaderBytes = this.#receiveMethod === 'recvmsg' ? receivedMessageHeaderBytes : 0
    const sendMethod
      = options.sendMethod === 'bundle' && !capabilities.bundledSend.enabled ? 'sendmsg' : options.sendMethod
    this.submissions = new SubmissionQueue(native, this.operations, this.metrics)
    this.completions = new CompletionQueue(native, this.operations, this.metrics)
    this.pool = new ReceivePool(native, this.metrics, {
      bufferBytes: options.receiveBufferBytes + this.receiveHeaderBytes,
      buffers: options.receiveBuffers,
      buffersMax: options.receiveBuffersMax,
      // One at least: where there is none, the kernel ends at once what others ask to receive, though nothing has come.
      reserveFraction: Math.max(options.receiveReserveFraction, 1 / options.receiveBuffersMax),
    }).open()
    const wanted = new Uint32Array(native.wanted)
    this.turn = new Turn(this, wanted, options.sendBytesPerTurn)
    this.closingPhase = new ClosingPhase(native)
    this.waiters = new BufferWaiters(this.pool, this.metrics, () => {
      this.turn.wake()
    })
    const poolBytes = options.receiveBuffers * options.receiveBufferBytes
    this.directReceives = new DirectReceives(binding.sockets, wanted, poolBytes)
    const { addressBytes, addressesPerRegion, operationSlotsMax, sendBlockBytes, sendBlocksPerRegion } = limits
    this.#sendBlocks = {
      blockBytes: sendBlockBytes, blocksPerRegion: sendBlocksPerRegion, blocksMax: options.sendBlocksMax,
    }
    this.sendMemory = new SendMemory(native, this.#sendBlocks)
    this.addresses = new SendMemory(native, {
      blockBytes: addressBytes, blocksPerRegion: addressesPerRegion, blocksMax: operationSlotsMax,
    })
    this.groups = new GroupPool(native, this, this.metrics, sendMethod, options.groupEntries)
    const header = native.createRegion(1)
    if (typeof header === 'number') throw systemError(header, 'mmap')
    this.#messageHeader = header.address
    this.#descriptors = new Uint8Array(native.descriptors)
    native.attach(this.turn.run, options.roundsPerTurn, options.busyPollMicroseconds)
    openRings.add(this)
  }

  /**
   * A ring on any binding: the seam at which a simulated kernel stands in for Linux.
   * @internal Use {@link createRing}; for tests there is `createRingOn` in `@sheaf/ring/testing`.
   */
  static on(binding: Binding, options?: RingOptions): Ring {
    const resolved = resolveRingOptions(options)
    const capabilities = detectCapabilities(binding, resolved)
    const native = binding.createRing({
      submissionEntries: resolved.submissionEntries,
      completionEntries: resolved.completionEntries,
      optionalFlags: capabilities.deferredTaskRun.enabled
        ? optionalSetupFlags
        : optionalSetupFlags & ~(SetupFlag.DeferTaskRun | SetupFlag.TaskRunFlag),
      ...(capabilities.restrictions.enabled && { restrictions }),
    })
    if (typeof native === 'number') throw lockedMemoryError(native, 'io_uring_setup')
    if (capabilities.deferredTaskRun.enabled && (native.setupFlags & SetupFlag.DeferTaskRun) === 0) {
      capabilities.deferredTaskRun = lostCapability('the kernel refuses it (it came with Linux 6.1)')
    }
    if (native.restrictionsError !== 0) {
      const { code } = systemError(native.restrictionsError, 'io_uring_register')
      capabilities.restrictions = lostCapability(`the kernel refuses to restrict a ring (${code})`)
    }
    try {
      return new Ring(binding, native, resolved, capabilities)
    } catch (error) {
      native.close()
      throw error
    }
  }

  get closed(): boolean {
    return this.#closed
  }

  /** For logs, in which its memory, with what all connections have received, does not belong. */
  toJSON(): Pick<Ring, 'closed' | 'usage'> {
    const { closed, usage } = this
    return { closed, usage }
  }

  [inspect.custom](_depth: number, options: InspectOptions): string {
    return `Ring ${inspect(this.toJSON(), options)}`
  }

  /** What the UDP sockets of the ring share; made for the first of them. */
  get internetMessages(): MessageShare {
    this.#internetMessages ??= this.#messageShare(internetMessages)
    return this.#internetMessages.open()
  }

  /** What the Unix datagram and seqpacket sockets of the ring share; made for the first of them. */
  get localMessages(): MessageShare {
    this.#localMessages ??= this.#messageShare(localMessages)
    return this.#localMessages.open()
  }

  #messageShare(options: MessageShareOptions): MessageShare {
    return new MessageShare(this.#native, this, new SendMemory(this.#native, this.#sendBlocks), options)
  }

  /** @throws SheafError `ERR_SHEAF_RING_CLOSED` */
  assertOpen(): void {
    if (this.#closed) throw new SheafError('ERR_SHEAF_RING_CLOSED', 'The ring was closed')
  }

  get usage(): RingUsage {
    return {
      operationSlots: this.operations.size,
      receiveBuffersHeld:
        this.pool.held + (this.#internetMessages?.pool.held ?? 0) + (this.#localMessages?.pool.held ?? 0),
      sendBlocks: this.sendMemory.used + this.addresses.used
        + (this.#internetMessages?.sendMemory.used ?? 0) + (this.#localMessages?.sendMemory.used ?? 0),
      messageRequests: (this.#internetMessages?.used ?? 0) + (this.#localMessages?.used ?? 0),
      groups: this.groups.leased,
      members: this.members.size,
    }
  }

  /** What the ring has asked of the kernel and of the event loop, and how often the one has woken the other. */
  get counters(): NativeCounters {
    return this.#native.counters()
  }

  /** Has `fd`, which {@link sockets} did not make, closed if this thread ends without closing it. */
  own(fd: number): void {
    this.#descriptors[fd >>> 3] |= 1 << (fd & 7)
  }

  /** Leaves the closing of `fd` to somebody else. */
  disown(fd: number): void {
    this.#descriptors[fd >>> 3] &= ~(1 << (fd & 7))
  }

  /** Has `fd`, which {@link sockets} has made, stay open until the ring is closed. */
  keep(fd: number): void {
    this.#kept.push(fd)
  }

  /** Submits what is in the submission queue now. */
  submit(): void {
    if (this.#closed || this.submissions.pending === 0) return
    this.submissions.publish()
    this.#native.enter(0, 0)
  }

  /** Submits what is in the submission queue, and has the kernel post what it has done. */
  #enterForEvents(): void {
    this.submissions.publish()
    this.#native.enter(0, EnterFlag.GetEvents)
  }

  /**
   * Submits what is in the submission queue now, and has those sockets that are quiet take note of what has completed.
   * They tell their owners in the next turn.
   */
  reap(): void {
    if (this.#closed) return
    this.#enterForEvents()
    this.completions.reap()
  }

  /**
   * Whether a receive that is to be cancelled has ended, and has nothing that nobody has been told of. Submits what is
   * in the submission queue.
   */
  receivedNothing(slot: number): boolean {
    if (this.#closed) return true
    this.#enterForEvents()
    return this.completions.endsEmpty(userDataLow(slot, Operation.Receive))
  }

  /**
   * Whether something has completed of which nobody has been told: that may be a send which the kernel has told of a
   * reset, and whoever receives after that by a call is told of an end.
   */
  get mayTellOfReset(): boolean {
    return !this.completions.empty || this.submissions.completionsOverflowed
  }

  /**
   * Whether something, or the end, has come to a stream that it has not been told of. Of a reset it may be told as of
   * an end then: who asks has no further use for the stream.
   * @param armed a receive is, and so the kernel says when something has come.
   */
  hasPendingReceive(slot: number, fd: number, armed: boolean): boolean {
    if (this.#closed) return false
    const { submissions } = this
    if (submissions.completionsOverflowed) return true
    if (this.completions.hasSomethingOf(userDataLow(slot, Operation.Receive))) return true
    if (armed && this.#tellsOfWork && submissions.pending === 0 && !submissions.workWaits) return false
    return this.sockets.receive(fd, peeked, MessageFlag.Peek | MessageFlag.DontWait) !== -Errno.EAGAIN
  }

  /** Whether the kernel has answered a connect that has been submitted, as far as is known. */
  connectAnswered(slot: number): boolean {
    return !this.#closed && this.completions.hasSomethingOf(userDataLow(slot, Operation.Connect))
  }

  /** The kernel leaves what it has to do to this thread, and says that there is something. */
  get #tellsOfWork(): boolean {
    return (this.#native.setupFlags & SetupFlag.TaskRunFlag) !== 0
  }

  /**
   * Whether the kernel has done with the requests of a slot, of which there are some, though they are still to be
   * completed. Submits what is in the submission queue.
   */
  hasDone(slot: number): boolean {
    if (this.#closed) return true
    this.#enterForEvents()
    return this.completions.haveEnded(slot, this.operations.outstanding(slot))
  }

  /** Has all that members have written leave now, as far as the kernel has room. Nobody is told of anything in it. */
  sendWritten(members = this.turn.inOrderOfWriting): void {
    if (this.#sendsWritten) return
    this.#sendsWritten = true
    try {
      // What is sent next waits for what is being sent, and of a chain the kernel does a step each time.
      let goesOn = true
      for (let round = 0; round < limits.exitRounds && goesOn && !this.#closed; round++) {
        const { completions } = this.metrics
        this.turn.sendAll(() => { for (const member of members) member.sendWritten?.() })
        this.reap()
        goesOn = this.metrics.completions !== completions || this.submissions.workWaits
      }
    } finally {
      this.#sendsWritten = false
    }
  }

  /**
   * Receives without bundles must be told of resets: one that is armed when data and a reset are there already delivers
   * more than 32 buffers and then waits for ever (6.18; with bundles the reset is always seen).
   */
  get receiveMissesResets(): boolean {
    return this.#receiveMethod !== 'bundle'
  }

  /** Arms a multishot receive on the pool. */
  receive(slot: number, fd: number): void {
    if (this.#receiveMethod === 'recvmsg') {
      this.submissions.receiveMessageMultishot(slot, fd, receiveGroup, this.#messageHeader)
    } else {
      this.submissions.receiveMultishot(slot, fd, receiveGroup, this.#receiveMethod === 'bundle')
    }
    this.metrics.receivesArmed++
  }

  /** One more reason, or one less, to keep the process alive. */
  ref(): void {
    if (this.#references++ === 0) this.#native.ref()
  }

  unref(): void {
    if (--this.#references === 0 && !this.#closed) this.#native.unref()
  }

  /**
   * Closes every connection and listener of the ring with `ERR_SHEAF_RING_CLOSED`, once the kernel has let go of their
   * memory. What is still queued is lost. Harmless when repeated.
   */
  close(): void {
    if (this.#closed) return
    // Among what waits in the queue may be the closing of descriptors.
    this.submit()
    this.#closed = true
    openRings.delete(this)
    this.waiters.close()
    this.completions.stop()
    this.#native.close()
    const error = new SheafError('ERR_SHEAF_RING_CLOSED', 'The ring was closed')
    for (const member of this.members) {
      guarded(() => { member.ringClosed(error) })
      this.turn.endEvent()
    }
    this.turn.ringClosed()
    this.closingPhase.ringClosed()
    for (const fd of this.#kept) this.sockets.close(fd)
  }
}

const openRings = new Set<Ring>()

whenProcessEnds(() => {
  for (const ring of openRings) ring.turn.finish()
})

/**
 * Makes a ring with options of its own.
 * @throws SheafError `ERR_SHEAF_UNAVAILABLE`, saying why, where there is no io_uring; TypeError, RangeError for bad
 * options.
 */
export function createRing(options?: RingOptions): Ring {
  const { reason } = ringCapability()
  if (nativeBinding === undefined || reason !== '') {
    resolveRingOptions(options)
    throw new SheafError('ERR_SHEAF_UNAVAILABLE', reason)
  }
  return Ring.on(nativeBinding, options)
}
