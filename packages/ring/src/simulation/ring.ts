import type { NativeCounters, NativeRing, NativeRingOptions, Region, RingOffsets } from '@sheaf/native'
import {
  EnterFlag, EntryFlag, Errno, Feature, SetupFlag, submissionEntryBytes, SubmissionQueueFlag,
} from '../abi'
import { Wish, wishWords } from '../wish'
import { BufferGroup } from './buffer-group'
import type { Choices } from './choices'
import type { SimulatedMemory } from './memory'
import type { NamedMemory } from './named-memory'
import { type Request, type RequestRing, VectorCache } from './request'
import { readSubmission, type Submission } from './submission'
import type { Temperament } from './temperament'

const offsets: RingOffsets = {
  submissionHead: 0,
  submissionTail: 64,
  submissionFlags: 128,
  submissionDropped: 132,
  completionHead: 192,
  completionTail: 256,
  completionFlags: 320,
  completionOverflow: 324,
  completions: 384,
}
const completionBytes = 16
const descriptorBytes = 4096

/** What a ring needs of the kernel that it is in. */
export interface RingKernel {
  readonly memory: SimulatedMemory
  readonly named: NamedMemory
  readonly choices: Choices
  readonly temperament: Temperament
  /** Makes a request of a submission. @returns `-errno` if it is refused at once. */
  begin(ring: SimulatedRing, submission: Submission): Request | number
  /** Moves on whatever does not depend on a ring. @returns whether there was anything. */
  move(): boolean
  closed(ring: SimulatedRing): void
  violated(what: string): void
}

interface Completion {
  readonly low: number
  readonly high: number
  readonly result: number
  readonly flags: number
}

/** One io_uring: reads submissions from the shared memory and posts completions there, as with `DEFER_TASKRUN`. */
export class SimulatedRing implements NativeRing, RequestRing {
  readonly #kernel: RingKernel
  readonly submissionEntries: number
  readonly completionEntries: number
  readonly features: number
  readonly setupFlags: number
  readonly restrictionsError = 0
  readonly rings: ArrayBuffer
  readonly offsets = offsets
  readonly submissions: ArrayBuffer
  readonly wanted = new ArrayBuffer(wishWords * 4)
  readonly descriptors = new ArrayBuffer(descriptorBytes)
  readonly memory: SimulatedMemory
  readonly named: NamedMemory
  readonly choices: Choices
  readonly temperament: Temperament

  readonly #words: Int32Array
  readonly #submissionWords: Uint32Array
  readonly #completionWords: Int32Array
  readonly #wantedWords: Uint32Array
  readonly vectorCache = new VectorCache()
  readonly #groups = new Map<number, BufferGroup>()
  /** Those that have not ended, and of them those that can go on. */
  readonly #requests = new Set<Request>()
  #ready: Request[] = []
  #overflow: Completion[] = []
  #counters = { enters: 0, submitted: 0, turns: 0, wakeups: 0, busyPolls: 0, busyPollsFound: 0, busyPollMs: 0 }
  /** What the loop calls, and how often in a row. */
  turn: (() => (() => void) | undefined) | undefined
  #closing: (() => void) | undefined
  roundsMax = 0
  referenced = false
  closed = false

  constructor(kernel: RingKernel, options: NativeRingOptions) {
    this.#kernel = kernel
    this.memory = kernel.memory
    this.named = kernel.named
    this.choices = kernel.choices
    this.temperament = kernel.temperament
    this.submissionEntries = options.submissionEntries
    this.completionEntries = options.completionEntries
    this.features = Feature.NoDrop | (kernel.temperament.bundles ? Feature.Bundle : 0)
    this.setupFlags = options.optionalFlags
    this.rings = new ArrayBuffer(offsets.completions + options.completionEntries * completionBytes)
    this.submissions = new ArrayBuffer(options.submissionEntries * submissionEntryBytes)
    this.#words = new Int32Array(this.rings)
    this.#completionWords = new Int32Array(this.rings, offsets.completions)
    this.#submissionWords = new Uint32Array(this.submissions)
    this.#wantedWords = new Uint32Array(this.wanted)
  }

  // ---------------------------------------------------------------- what the process asks for

  createRegion(sizeBytes: number): Region | number {
    return this.closed ? -Errno.EBADF : this.memory.map(sizeBytes)
  }

  readDescriptors(position: number): void {
    this.#words[offsets.completionHead >> 2] = position + 1
  }

  enter(minComplete: number, flags: number): number {
    if (this.closed) return -Errno.EBADF
    this.#counters.enters++
    for (const group of this.#groups.values()) group.see()
    const taken = this.#submit()
    if ((flags & EnterFlag.GetEvents) !== 0) {
      this.#runReady()
      this.#flushOverflow()
      while (this.completions < minComplete && (this.#kernel.move() || this.#ready.length !== 0)) this.#runReady()
    }
    this.#showState()
    return taken
  }

  registerBufferRing(address: number, entries: number, groupId: number): number {
    if (this.closed) return -Errno.EBADF
    if (this.#groups.has(groupId)) return -Errno.EEXIST
    const { groupRefused } = this.temperament
    // The first is what the ring receives in: without it there is no ring.
    if (groupRefused !== 0 && this.#groups.size !== 0 && this.choices.chance(groupRefused)) return -Errno.ENOMEM
    const bytes = this.memory.at(address, entries * 16)
    if (bytes === undefined) return -Errno.EFAULT
    const violated = (what: string): void => this.violated(what)
    this.#groups.set(groupId, new BufferGroup(bytes, entries, this.memory, this.named, violated))
    return 0
  }

  setMessageBuffers(): void {
    // Nobody is terminated here.
  }

  unregisterBufferRing(groupId: number): number {
    if (this.closed) return -Errno.EBADF
    const group = this.#groups.get(groupId)
    if (group === undefined) return -Errno.ENOENT
    if (this.#uses(groupId)) this.violated('a buffer ring was taken back while a request used it')
    group.unregister()
    this.#groups.delete(groupId)
    return 0
  }

  bufferRingHead(groupId: number): number {
    if (this.closed) return -Errno.EBADF
    return this.#groups.get(groupId)?.head ?? -Errno.ENOENT
  }

  cancelAll(): number {
    if (this.closed) return -Errno.EBADF
    for (const request of this.#requests) request.cancel(true)
    while (this.#ready.length !== 0) this.#runReady()
    return 0
  }

  attach(turn: () => (() => void) | undefined, maxRounds: number): void {
    this.turn = turn
    this.roundsMax = maxRounds
  }

  askClosing(tell: () => void): void {
    this.#closing = tell
  }

  ref(): void {
    this.referenced = true
  }

  unref(): void {
    this.referenced = false
  }

  counters(): NativeCounters {
    return { ...this.#counters }
  }

  close(): void {
    if (this.closed) return
    this.cancelAll()
    if (this.#requests.size !== 0) this.violated('requests were left when their ring was closed')
    this.closed = true
    this.turn = undefined
    this.#kernel.closed(this)
  }

  // ---------------------------------------------------------------- the loop's hook

  /** Requests in the kernel. */
  get inFlight(): number {
    return this.#requests.size
  }

  get completions(): number {
    return (this.#words[offsets.completionTail >> 2] - this.#words[offsets.completionHead >> 2]) | 0
  }

  get unsubmitted(): number {
    return (this.#words[offsets.submissionTail >> 2] - this.#words[offsets.submissionHead >> 2]) | 0
  }

  /** The loop was blocked. */
  wake(): void {
    this.#wantedWords[Wish.Woken] = 1
  }

  /** An iteration of the event loop begins. */
  countIteration(): void {
    this.#wantedWords[Wish.Iterations]++
  }

  get wants(): boolean {
    return this.#wantedWords[Wish.Turn] !== 0
  }

  /** It has something to tell, beside completions. */
  get hasEvents(): boolean {
    return this.#wantedWords[Wish.Events] !== 0
  }

  hasWork(): boolean {
    return this.unsubmitted !== 0 || this.#ready.length !== 0 || this.#overflow.length !== 0
      || this.completions !== 0 || this.wants || this.hasEvents
  }

  /** Calls the process. What it throws is the caller's to report. */
  takeTurn(): void {
    this.#counters.turns++
    this.turn?.()?.()
    const tell = this.#closing
    this.#closing = undefined
    tell?.()
  }

  // ---------------------------------------------------------------- for requests

  group(id: number): BufferGroup | undefined {
    return this.#groups.get(id)
  }

  ready(request: Request): void {
    if (request.queued) return
    request.queued = true
    this.#ready.push(request)
  }

  post(request: Request, result: number, flags: number): boolean {
    if (this.#full) return false
    this.#write(this.#completionOf(request, result, flags))
    return true
  }

  ended(request: Request, result: number, flags: number): void {
    this.#writeLast(this.#completionOf(request, result, flags))
    this.#requests.delete(request)
    if (request.next !== undefined) this.#beginNext(request, request.next)
  }

  violated(what: string): void {
    this.#kernel.violated(what)
  }

  /** Cancels those that `matches` says. @returns how many. */
  cancel(matches: (request: Request) => boolean): number {
    let found = 0
    for (const request of this.#requests) if (matches(request) && request.cancel(false)) found++
    return found
  }

  // ---------------------------------------------------------------- queues

  #submit(): number {
    const words = this.#words
    let taken = 0
    let previous: Request | undefined
    while (this.unsubmitted !== 0) {
      const head = words[offsets.submissionHead >> 2]
      const submission = readSubmission(this.#submissionWords, head & (this.submissionEntries - 1))
      words[offsets.submissionHead >> 2] = (head + 1) | 0
      taken++
      previous = this.#begin(submission, previous)
    }
    this.#counters.submitted += taken
    return taken
  }

  /** @param previous the request that this one is linked to. @returns the request that the following is linked to. */
  #begin(submission: Submission, previous: Request | undefined): Request | undefined {
    const request = this.#kernel.begin(this, submission)
    if (typeof request === 'number') {
      const { userDataLow: low, userDataHigh: high } = submission
      this.#writeLast({ low, high, result: request, flags: 0 })
      return undefined
    }
    this.#requests.add(request)
    if (previous !== undefined) {
      previous.next = request
      // The one before it may have ended while it was submitted.
      if (previous.over) this.#beginNext(previous, request)
    } else if (this.choices.chance(this.temperament.delay)) {
      this.ready(request)
    } else {
      request.run()
    }
    return (submission.entryFlags & EntryFlag.Link) === 0 ? undefined : request
  }

  #beginNext(previous: Request, next: Request): void {
    if (previous.failed) next.skip()
    else this.ready(next)
  }

  #runReady(): void {
    const ready = this.#ready
    this.#ready = []
    if (this.temperament.delay !== 0) this.choices.shuffle(ready)
    for (const request of ready) {
      request.queued = false
      if (this.choices.chance(this.temperament.delay)) this.ready(request)
      else request.run()
    }
  }

  #flushOverflow(): void {
    while (this.#overflow.length !== 0 && this.completions < this.completionEntries) {
      const completion = this.#overflow.shift()
      if (completion !== undefined) this.#write(completion)
    }
  }

  #showState(): void {
    const overflow = this.#overflow.length === 0 ? 0 : SubmissionQueueFlag.CompletionOverflow
    const shown = (this.setupFlags & SetupFlag.TaskRunFlag) !== 0 && this.#ready.length !== 0
    this.#words[offsets.submissionFlags >> 2] = overflow | (shown ? SubmissionQueueFlag.TaskRun : 0)
  }

  /** The queue takes no more: what does not end its request is refused, what ends it waits. */
  get #full(): boolean {
    return this.#overflow.length !== 0 || this.completions >= this.completionEntries
  }

  #writeLast(completion: Completion): void {
    if (this.#full) this.#overflow.push(completion)
    else this.#write(completion)
  }

  #write({ low, high, result, flags }: Completion): void {
    const tail = this.#words[offsets.completionTail >> 2]
    const words = this.#completionWords
    const at = (tail & (this.completionEntries - 1)) << 2
    words[at] = low
    words[at + 1] = high
    words[at + 2] = result
    words[at + 3] = flags
    this.#words[offsets.completionTail >> 2] = (tail + 1) | 0
  }

  #completionOf({ submission }: Request, result: number, flags: number): Completion {
    return { low: submission.userDataLow, high: submission.userDataHigh, result, flags }
  }

  #uses(groupId: number): boolean {
    for (const { submission } of this.#requests) {
      if ((submission.entryFlags & EntryFlag.BufferSelect) !== 0 && submission.group === groupId) return true
    }
    return false
  }
}
