import { performance } from 'node:perf_hooks'
import {
  binding as nativeBinding, type Binding, type NativeCounters, type NativeRing, type SocketCalls,
} from '@sheaf/native'
import { EnterFlag, receivedMessageHeaderBytes, SetupFlag } from './abi'
import { type Capabilities, detectCapabilities, lostCapability, ringCapability } from './capabilities'
import { guarded, lockedMemoryError, SheafError, systemError } from './errors'
import { limits } from './limits'
import { type BufferWaiter, BufferWaiters } from './memory/buffer-waiters'
import { GroupPool } from './memory/group-pool'
import { receiveGroup, ReceivePool } from './memory/receive-pool'
import { SendMemory } from './memory/send-memory'
import { internetMessages, localMessages, MessageShare } from './message/share'
import { Metrics } from './metrics'
import { Pace } from './pace'
import { processEnds, whenProcessEnds } from './process-end'
import { type ReceiveMethod, type ResolvedRingOptions, resolveRingOptions, type RingOptions } from './options'
import { CompletionQueue } from './queue/completion-queue'
import { Operation, OperationTable, userDataLow } from './queue/operation-table'
import { SubmissionQueue } from './queue/submission-queue'
import { restrictions } from './restrictions'
import { DirectReceives } from './stream/direct-receives'
import { runTicks } from './ticks'
import { Wish } from './wish'

/** Something that the ring calls once in the turn after it was scheduled. */
export interface Scheduled {
  scheduled: boolean
  advance(): void
  /** Asks the kernel to send what it has to send, and calls nothing of the application's. */
  sendWritten?(): void
}

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

const optionalSetupFlags
  = SetupFlag.CompletionSize
    | SetupFlag.SubmitAll
    | SetupFlag.SingleIssuer
    | SetupFlag.DeferTaskRun
    | SetupFlag.TaskRunFlag
    | SetupFlag.NoSubmissionArray

/**
 * One io_uring and everything that its sockets share: the queues, the receive pool, send memory, buffer groups. A ring
 * belongs to the thread that made it. Most programs never name one: adapters use {@link defaultRing}.
 *
 * Once a turn of the event loop `#turn` drains completions, which changes connections; then those that changed are
 * advanced, which writes submissions; the native hook then enters the kernel with them.
 */
export class Ring {
  readonly capabilities: Capabilities
  readonly metrics = new Metrics()
  readonly operations = new OperationTable(this.metrics)
  readonly submissions: SubmissionQueue
  readonly pool: ReceivePool
  /** Who waits for buffers of the pool. */
  readonly waiters: BufferWaiters<BufferWaiter & Scheduled>
  /** Streams that are received from without buffers of the pool. */
  readonly directReceives: DirectReceives
  readonly sendMemory: SendMemory
  readonly groups: GroupPool
  /** Connections and listeners that are not closed. */
  readonly members = new Set<RingMember>()
  readonly mergeAdjacent: boolean
  /** Bytes before the payload of each receive buffer. */
  readonly receiveHeaderBytes: number
  /** Socket calls that have no opcode. */
  readonly sockets: SocketCalls
  readonly #binding: Binding
  readonly #native: NativeRing
  #internetMessages: MessageShare | undefined
  #localMessages: MessageShare | undefined
  readonly completions: CompletionQueue
  readonly #receiveMethod: ReceiveMethod
  /** Address of an all-zero `msghdr`: multishot `RECVMSG` without addresses or control messages. */
  readonly #messageHeader: number
  readonly #wanted: Uint32Array
  readonly #descriptors: Uint8Array
  #scheduled: Scheduled[] = []
  #advanced = 0
  /** How many of them {@link sendScheduled} has had send. */
  #sentScheduled = 0
  #advancesFirst = false
  readonly #pace: Pace
  #prompt = false
  /** What waits for the end of an event is still to run: see {@link eventTold}. */
  #ticksDue = false
  #finishing = false
  #references = 0
  #closed = false

  /** @internal Use {@link createRing}. */
  constructor(binding: Binding, native: NativeRing, options: ResolvedRingOptions, capabilities: Capabilities) {
    this.sockets = binding.sockets
    this.#binding = binding
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
    this.pool = new ReceivePool(binding, native, this.metrics, {
      bufferBytes: options.receiveBufferBytes + this.receiveHeaderBytes,
      buffers: options.receiveBuffers,
      buffersMax: options.receiveBuffersMax,
      reserveFraction: options.receiveReserveFraction,
    })
    this.#pace = new Pace(this.metrics)
    this.waiters = new BufferWaiters(this.pool, this.metrics, () => {
      this.wake()
    })
    this.#wanted = new Uint32Array(native.wanted)
    const poolBytes = options.receiveBuffers * options.receiveBufferBytes
    this.directReceives = new DirectReceives(binding.sockets, this.#wanted, poolBytes)
    this.sendMemory = new SendMemory(binding, (waiter) => {
      this.schedule(waiter)
    })
    this.groups = new GroupPool(binding, native, this, this.metrics, sendMethod, options.groupEntries)
    const header = binding.createRegion(1)
    if (typeof header === 'number') throw systemError(header, 'mmap')
    this.#messageHeader = header.address
    this.#descriptors = new Uint8Array(native.descriptors)
    native.attach(this.#turn, options.roundsPerTurn, options.busyPollMicroseconds)
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

  /** What the UDP sockets of the ring share; made for the first of them. */
  get internetMessages(): MessageShare {
    this.#internetMessages ??= new MessageShare(this.#binding, this.#native, this, internetMessages)
    return this.#internetMessages
  }

  /** What the Unix datagram and seqpacket sockets of the ring share; made for the first of them. */
  get localMessages(): MessageShare {
    this.#localMessages ??= new MessageShare(this.#binding, this.#native, this, localMessages)
    return this.#localMessages
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
      sendBlocks: this.sendMemory.used,
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
   * Whether the kernel has done with the requests of a slot, of which there are some, though they are still to be
   * completed. Submits what is in the submission queue.
   */
  hasDone(slot: number): boolean {
    if (this.#closed) return true
    this.#enterForEvents()
    return this.completions.haveEnded(slot, this.operations.outstanding(slot))
  }

  /** Whether what answers what is being told is to leave at once, and not with the turn: see {@link Pace}. */
  get prompt(): boolean {
    return this.#prompt
  }

  /** Makes the event loop look at the submission queue before it blocks. */
  wake(): void {
    this.#wanted[Wish.Turn] = 1
  }

  /** Has `member` advanced in this turn, or in the next if none is under way. */
  schedule(member: Scheduled): void {
    if (member.scheduled) return
    member.scheduled = true
    this.#scheduled.push(member)
    this.#wanted[Wish.Turn] = 1
    // The loop may have been past this ring's hook already, and would block.
    if (turning !== undefined && turning !== this) disturbed.add(this)
    if (processEnds && !this.#finishing) this.#doScheduled()
  }

  /** Has what scheduled members have to send leave before whatever is submitted from now on. */
  sendScheduled(): void {
    // The one before the next is being advanced.
    const first = Math.max(this.#sentScheduled, this.#advanced - 1)
    for (let index = first; index < this.#scheduled.length; index++) this.#scheduled[index].sendWritten?.()
    this.#sentScheduled = this.#scheduled.length
  }

  /** Has all that was written leave now, as far as the kernel has room. Nobody is told of anything in it. */
  sendWritten(): void {
    if (this.#closed) return
    // What is sent next waits for what is being sent.
    this.reap()
    for (const member of this.members) member.sendWritten?.()
    this.submit()
  }

  /** Has what was asked for done before anything that the kernel has posted is told. */
  advanceFirst(): void {
    this.#advancesFirst = true
  }

  /** Tells iterations of the event loop apart: it is another number in each. */
  get iteration(): number {
    return this.#wanted[Wish.Iterations]
  }

  /**
   * Has immediates of the event loop come before anything that the kernel has posted and nobody has been told of: in
   * libuv, what a socket has left to tell of its closing comes before the next poll.
   */
  immediatesFirst(): void {
    this.#wanted[Wish.ImmediatesFirst] = 1
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
    for (const member of [...this.members]) {
      guarded(() => { member.ringClosed(error) })
      this.endEvent()
    }
  }

  /**
   * To be called after every event of a socket that stands in for Node's, so that `process.nextTick` and promise
   * callbacks run before anything else is told. Node tells each event in a call of its own from C++, after which they
   * run; a turn of a ring tells many events in one call, and who awaits the first of them (`once`) would not be
   * listening yet when the second is told.
   *
   * In a turn they run when all calls that have told the event have returned: an error that an application makes there,
   * as clients of databases do for each query, has to remember every call beneath it.
   */
  eventTold(): void {
    if (turning === this) this.#ticksDue = true
    else runTicks()
  }

  /** Runs what the event that was told last has left waiting, if it has not run: before anything more is told. */
  endEvent(): void {
    if (!this.#ticksDue) return
    this.#ticksDue = false
    runTicks()
  }

  /**
   * Has `callback` called once the turn is over, or the next if none is under way, in no callback scope of Node's: see
   * {@link NativeRing.attach}. If one throws, the others are called after the next turn.
   */
  afterTurn(callback: () => void): void {
    afterTurn.push(callback)
    if (turning === undefined) this.wake()
  }

  readonly #turn = (): (() => void) | undefined => {
    this.metrics.turns++
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- it is the current ring, not a way around scoping
    turning = this
    turnMs = undefined
    try {
      if (this.submissions.completionsOverflowed) this.metrics.completionOverflows++
      this.#wanted[Wish.ImmediatesFirst] = 0
      if (this.#wanted[Wish.Woken] !== 0) {
        this.#wanted[Wish.Woken] = 0
        this.#pace.woken()
      }
      if (this.#advancesFirst) {
        this.#advancesFirst = false
        this.#advance()
      }
      if (this.#wanted[Wish.ImmediatesFirst] === 0) {
        this.#prompt = this.#pace.nextTurnIsPrompt() && this.completions.isFew(limits.promptMost)
        if (this.#prompt) this.metrics.promptTurns++
        this.#tellCompleted()
        this.directReceives.run()
        this.#advance()
      }
    } catch (error) {
      if (afterTurn.length !== 0) this.wake()
      throw error
    } finally {
      turning = undefined
      this.#ticksDue = false
      if (disturbed.size !== 0) advanceDisturbed()
      if (afterTurn.length === 0) this.#prompt = false
    }
    return afterTurn.length === 0 ? undefined : this.#finishTurn
  }

  readonly #finishTurn = (): void => {
    try {
      for (let callback = afterTurn.shift(); callback !== undefined; callback = afterTurn.shift()) callback()
    } finally {
      this.#prompt = false
      if (afterTurn.length !== 0) this.wake()
    }
  }

  /** Tells of what has completed. Without a call of {@link endEvent}: each shows in the stack of what runs there. */
  #tellCompleted(): void {
    const completions = this.completions
    const { tail } = completions
    try {
      for (let what = completions.handOver(tail); what !== 'nothing'; what = completions.handOver(tail)) {
        if (this.#ticksDue) {
          this.#ticksDue = false
          runTicks()
        }
        if (this.#prompt && what === 'other') this.advanceNow()
      }
    } finally {
      completions.free()
    }
  }

  #advance(): void {
    if (this.#closed) return
    this.#wanted[Wish.Turn] = this.#scheduled.length === 0 ? 0 : 1
    this.pool.publish()
    for (const waiter of this.waiters.release()) this.schedule(waiter)
    while (this.#advanced < this.#scheduled.length) {
      const member = this.#scheduled[this.#advanced++]
      member.advance()
      this.endEvent()
      // A handler may have closed the ring.
      if (this.closed) return
    }
    this.#scheduled = []
    this.#advanced = this.#sentScheduled = 0
    this.#wanted[Wish.Turn] = this.waiters.settle(this.pool.publish()) ? 1 : 0
    this.submissions.publish()
  }

  /** Does what was scheduled, and submits it, now. */
  readonly advanceNow = (): void => {
    this.#advance()
    this.submit()
  }

  /** The event loop may not turn again: what was asked for is done now, and from now on when it is asked for. */
  finish(): void {
    for (const member of this.members) {
      if (member.scheduled) continue
      member.scheduled = true
      this.#scheduled.push(member)
    }
    this.#doScheduled()
  }

  /** Does what was scheduled, and what comes of that, as far as the kernel has it done without waiting. */
  #doScheduled(): void {
    this.#finishing = true
    try {
      // What is in the queue already may be a chain, of which the kernel does a step each time.
      let busy = true
      for (let round = 0; round < limits.exitRounds && busy && !this.#closed; round++) {
        this.#advance()
        this.reap()
        busy = this.#scheduled.length !== 0 || this.submissions.workWaits
      }
    } finally {
      this.#finishing = false
    }
  }
}

const openRings = new Set<Ring>()

whenProcessEnds(() => {
  for (const ring of openRings) ring.finish()
})

/** See {@link Ring.afterTurn}. */
const afterTurn: (() => void)[] = []

/** The ring whose turn it is, and the rings for which it made work. */
let turning: Ring | undefined
/** When it began, if anybody has asked. */
let turnMs: number | undefined
// As it is now: tests of applications put clocks of their own there.
const nowMs = performance.now.bind(performance)
const disturbed = new Set<Ring>()

/**
 * A clock in milliseconds that stands still during a turn: what happens in one happens at the same time, as it does in
 * an iteration of libuv's loop.
 */
export function turnTimeMs(): number {
  return turning === undefined ? nowMs() : turnMs ??= nowMs()
}

function advanceDisturbed(): void {
  for (const ring of disturbed) {
    disturbed.delete(ring)
    ring.advanceNow()
  }
}

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

let shared: Ring | undefined

/** The ring of this thread if it was made, for whoever wants to look at it and not to use it. */
export function openDefaultRing(): Ring | undefined {
  return shared?.closed === false ? shared : undefined
}

/** The ring of this thread, made when first asked for. Throws as {@link createRing} does. */
export function defaultRing(): Ring {
  if (shared === undefined || shared.closed) shared = createRing()
  return shared
}

/** Why this thread can have no ring, as text for people; empty if it has one, which it does from then on. */
export function whyNoRing(): string {
  const { reason } = ringCapability()
  if (reason !== '') return reason
  try {
    defaultRing()
    return ''
  } catch (error) {
    return (error as Error).message
  }
}
