import { limits } from './limits'
import { Pace } from './pace'
import { processEnds } from './process-end'
import type { Ring } from './ring'
import { runTicks, ticking } from './ticks'
import { nowMs, setImmediate } from './timers'
import { Wish } from './wish'

/** {@link Wish.Deferred}: there is something to tell when the loop polls next, and it does. */
const deferredWaits = 1
const deferredDue = 2

/** Something that the ring calls once in the turn after it was scheduled. */
export interface Scheduled {
  scheduled: boolean
  advance(): void
  /** Asks the kernel to send what it has to send, and calls nothing of the application's. */
  sendWritten?(): void
}

/** See {@link Turn.awaitMore}. */
export interface AwaitingMore extends Scheduled {
  /** It is not to send yet. */
  awaitsMore: boolean
}

/**
 * What a ring does once an iteration of the event loop: {@link run} tells of what has completed, which changes
 * connections; then those that changed are advanced, which writes submissions; the native hook then enters the kernel
 * with them.
 */
export class Turn {
  readonly #ring: Ring
  readonly #wanted: Uint32Array
  readonly #pace: Pace
  readonly #sendBytes: number
  #scheduled: Scheduled[] = []
  /** See {@link scheduleNext}. */
  #next: Scheduled[] = []
  /** See {@link awaitMore}. */
  #awaitingMore: AwaitingMore[] = []
  /** The iteration in which the first of them came. */
  #awaitingSince = 0
  #advanced = 0
  /** How many of them {@link sendScheduled} has had send. */
  #sentScheduled = 0
  /** How many of them {@link sendNow} has had send. */
  #sentNow = 0
  /** Those who have something to send while the process ends: see {@link finish}. */
  readonly #last = new Set<Scheduled>()
  /** `metrics.bytesWritten` when it began. */
  #writtenBefore = 0
  /** See {@link sendAll}. */
  #sendsAll = false
  /** See {@link endSoon}. */
  #advancesFirst = false
  #endsSoon = false
  #prompt = false
  /** What waits for the end of an event is still to run: see {@link eventTold}. */
  #ticksDue = false
  /** See {@link whenPolledNext}: those that wait, and those that are being told. */
  readonly #deferred: (() => void)[] = []
  readonly #due: (() => void)[] = []

  /**
   * @param wanted `NativeRing.wanted`
   * @param sendBytes see {@link RingOptions.sendBytesPerTurn}.
   */
  constructor(ring: Ring, wanted: Uint32Array, sendBytes: number) {
    this.#ring = ring
    this.#sendBytes = sendBytes
    this.#wanted = wanted
    this.#pace = new Pace(ring.metrics)
  }

  // ---------------------------------------------------------------- what is to be done in it

  /** Has `member` advanced in this turn, or in the next if none is under way. */
  schedule(member: Scheduled): void {
    if (member.scheduled) return
    member.scheduled = true
    this.#scheduled.push(member)
    this.#wanted[Wish.Turn] = 1
    if (processEnds) this.#sendLast(member)
  }

  /** As {@link schedule}, but not in this turn, in which others have sent enough: it is among the first of the next. */
  scheduleNext(member: Scheduled): void {
    // Nobody is being advanced.
    if (this.#advanced === 0) {
      this.schedule(member)
    } else if (!member.scheduled) {
      member.scheduled = true
      this.#next.push(member)
    }
  }

  /**
   * As {@link schedule}; but what `member` sends waits while the event loop has something else to do, for an iteration
   * at most: more is likely to be written in that, and leaves along with it.
   */
  awaitMore(member: AwaitingMore): void {
    if (processEnds) {
      this.schedule(member)
      return
    }
    if (!member.awaitsMore) {
      if (this.#awaitingMore.length === 0) this.#awaitingSince = this.iteration
      member.awaitsMore = true
      this.#awaitingMore.push(member)
    }
    this.wake()
  }

  /** Those of {@link scheduleNext} are to send in this turn after all. */
  #takeNext(): void {
    this.#scheduled.push(...this.#next)
    this.#next = []
  }

  #scheduleAwaiting(): void {
    if (this.#awaitingMore.length === 0) return
    for (const member of this.#awaitingMore) {
      member.awaitsMore = false
      this.schedule(member)
    }
    this.#awaitingMore = []
  }

  /** What is written while the process ends leaves at once, and whatever that has others send. */
  #sendLast(member: Scheduled): void {
    // It may say so again.
    member.scheduled = false
    this.#last.add(member)
    if (this.#last.size > 1) return
    try {
      this.#ring.sendWritten(this.#last)
    } finally {
      this.#last.clear()
    }
  }

  /**
   * The event loop may not turn again: what was written leaves now, in the order of writing, and what is written from
   * now on when it is. Nobody is told of anything: whoever ends the process wants no more to happen.
   */
  finish(): void {
    for (const member of [...this.#scheduled, ...this.#next]) member.scheduled = false
    this.#ring.sendWritten()
  }

  /** All members: those who have something to send, as far as that is known, in the order of writing. */
  get inOrderOfWriting(): Iterable<Scheduled> {
    return new Set([...this.#awaitingMore, ...this.#scheduled, ...this.#next, ...this.#ring.members])
  }

  /** Makes the event loop look at the submission queue before it blocks. */
  wake(): void {
    this.#wanted[Wish.Turn] = 1
  }

  /** Has `send` send all that the kernel has room for: what is left may have no other turn to leave in. */
  sendAll(send: () => void): void {
    const outer = this.#sendsAll
    this.#sendsAll = true
    try {
      send()
    } finally {
      this.#sendsAll = outer
    }
  }

  /** Has what scheduled members may send in this turn leave before whatever is submitted from now on. */
  sendScheduled(): void {
    this.#scheduleAwaiting()
    // The one before the next is being advanced.
    const first = Math.max(this.#sentScheduled, this.#advanced - 1)
    for (let index = first; index < this.#scheduled.length; index++) this.#scheduled[index].sendWritten?.()
    this.#sentScheduled = this.#scheduled.length
  }

  /**
   * Has what was written since the last turn leave: somebody in another process or thread is about to be told
   * something, and whatever they do then is to come after it, as it would with system calls of `node:net`.
   */
  sendNow(): void {
    this.#scheduleAwaiting()
    this.#takeNext()
    this.sendAll(() => {
      // The one before the next is being advanced.
      for (let index = Math.max(this.#sentNow, this.#advanced - 1); index < this.#scheduled.length; index++) {
        const member = this.#scheduled[index]
        member.sendWritten?.()
        // When it writes again, it is to be among those after these.
        member.scheduled = false
      }
    })
    this.#sentNow = this.#scheduled.length
    this.#ring.submit()
  }

  /**
   * What a socket that has ended has written is sent, and the FIN behind it, and the socket told so, in the turn that
   * is under way, or else before anything that the kernel has posted is told: libuv does it before it polls again, and
   * so before the immediates that the application sets now.
   * @param sends there is something to be sent first.
   */
  endSoon(sends: boolean): void {
    this.#endsSoon ||= sends
    if (!this.underWay) this.#advancesFirst = true
  }

  /** Tells iterations of the event loop apart: it is another number in each. */
  get iteration(): number {
    return this.#wanted[Wish.Iterations]
  }

  /** All connections have sent as much within it, by system calls of their own, as they may. */
  get sentEnough(): boolean {
    return !this.#sendsAll && this.#ring.metrics.bytesWritten - this.#writtenBefore >= this.#sendBytes
  }

  get underWay(): boolean {
    return turning === this
  }

  /** Whether what answers what is being told is to leave at once, and not with the turn: see {@link Pace}. */
  get prompt(): boolean {
    return this.#prompt
  }

  // ---------------------------------------------------------------- between the events told in it

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

  /** Runs what a part of the event that is being told has left waiting: see {@link tickAfterBodies}. */
  endPart(): void {
    // What one of them tells is told within it.
    if (turning === this && !ticking) runTicks()
  }

  /**
   * Has `callback` called once the turn is over, or the next if none is under way, in no callback scope of Node's: see
   * {@link NativeRing.attach}. If one throws, the others are called after the next turn.
   */
  afterwards(callback: () => void): void {
    afterTurn.push(callback)
    if (turning === undefined) this.wake()
  }

  /** The event loop polls: libuv tells of what comes only then. */
  get polling(): boolean {
    return this.#wanted[Wish.Polling] !== 0
  }

  /**
   * Has `tell` called when the event loop polls next, before anything that the kernel has posted is told. It does not
   * keep the process alive.
   */
  whenPolledNext(tell: () => void): void {
    if (this.#ring.closed) {
      setImmediate(tell)
      return
    }
    this.#deferred.push(tell)
    this.#wanted[Wish.Deferred] ||= deferredWaits
  }

  /** One may run the event loop, and so the rest. */
  #tellDeferred(): void {
    this.#due.push(...this.#deferred.splice(0))
    for (let tell = this.#due.shift(); tell !== undefined; tell = this.#due.shift()) {
      tell()
      runTicks()
    }
    this.#wanted[Wish.Deferred] = this.#deferred.length === 0 ? 0 : deferredWaits
  }

  // ---------------------------------------------------------------- what is done

  /** Nothing is called by it any more. */
  ringClosed(): void {
    for (const tell of [...this.#due.splice(0), ...this.#deferred.splice(0)]) setImmediate(tell)
  }

  /** For {@link NativeRing.attach}. */
  readonly run = (): (() => void) | undefined => {
    const { completions, directReceives, metrics, submissions } = this.#ring
    metrics.turns++
    this.#writtenBefore = metrics.bytesWritten
    // Something may run the event loop within a handler.
    const outer = turning
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- it is the current turn, not a way around scoping
    turning = this
    turnMs = undefined
    try {
      if (submissions.completionsOverflowed) metrics.completionOverflows++
      if (this.#wanted[Wish.Woken] !== 0) {
        this.#wanted[Wish.Woken] = 0
        this.#pace.woken()
      }
      // What comes of what is done first is told when the loop polls, which may be later.
      const { tail } = completions
      if (this.#advancesFirst) {
        this.#advancesFirst = false
        this.#advance()
      }
      if (this.#wanted[Wish.Deferred] === deferredDue) this.#tellDeferred()
      this.#prompt = this.#pace.nextTurnIsPrompt() && completions.isFew(limits.promptMost)
      if (this.#prompt) metrics.promptTurns++
      this.#tellCompleted(tail)
      directReceives.run()
      this.#advance()
    } catch (error) {
      if (afterTurn.length !== 0) this.wake()
      throw error
    } finally {
      turning = outer
      this.#ticksDue = false
      if (afterTurn.length === 0) this.#prompt = false
    }
    return afterTurn.length === 0 ? undefined : this.#finishRun
  }

  readonly #finishRun = (): void => {
    try {
      for (let callback = afterTurn.shift(); callback !== undefined; callback = afterTurn.shift()) callback()
    } finally {
      this.#prompt = false
      if (afterTurn.length !== 0) this.wake()
    }
  }

  /** Tells of what has completed. Without a call of {@link endEvent}: each shows in the stack of what runs there. */
  #tellCompleted(tail: number): void {
    const { completions } = this.#ring
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
    const ring = this.#ring
    if (ring.closed) return
    const { pool, submissions, waiters } = ring
    if (this.#awaitingMore.length !== 0) {
      const waits = this.#wanted[Wish.Busy] !== 0 && this.iteration - this.#awaitingSince < 2
      if (waits) this.#wanted[Wish.Again] = 1
      else this.#scheduleAwaiting()
    }
    this.#wanted[Wish.Turn] = this.#scheduled.length === 0 ? 0 : 1
    pool.publish()
    for (const waiter of waiters.release()) this.schedule(waiter)
    let left = limits.advancesPerMember * (this.#scheduled.length + ring.members.size)
    do {
      while (this.#advanced < this.#scheduled.length && left-- > 0) {
        const member = this.#scheduled[this.#advanced++]
        member.advance()
        this.endEvent()
        // A handler may have closed the ring.
        if (this.#ring.closed) return
      }
    } while (this.#sendEnds())
    // Those left over ask for more whenever they are told: the kernel and the event loop come first.
    this.#scheduled = this.#scheduled.slice(this.#advanced)
    this.#takeNext()
    this.#advanced = this.#sentScheduled = this.#sentNow = 0
    this.#wanted[Wish.Turn] = waiters.settle(pool.publish()) || this.#scheduled.length !== 0 ? 1 : 0
    submissions.publish()
  }

  /** See {@link endSoon}. @returns whether there may be something to tell of it. */
  #sendEnds(): boolean {
    if (!this.#endsSoon) return false
    this.#endsSoon = false
    this.#ring.reap()
    return true
  }

  /** Does what was scheduled, and submits it, now. */
  advanceNow(): void {
    this.#advance()
    this.#ring.submit()
  }
}

/** See {@link Turn.afterwards}. */
const afterTurn: (() => void)[] = []

/** The turn that is under way. */
let turning: Turn | undefined
/** When it began, if anybody has asked. */
let turnMs: number | undefined

/**
 * A clock in milliseconds that stands still during a turn: what happens in one happens at the same time, as it does in
 * an iteration of libuv's loop.
 */
export function turnTimeMs(): number {
  return turning === undefined ? nowMs() : turnMs ??= nowMs()
}
