import type { NativeRing } from '@sheaf/native'
import { CompletionFlag, isInterruption } from '../abi'
import type { Metrics } from '../metrics'
import { isOfSend, type OperationTable, slotOf } from './operation-table'

/** Reads completions out of the memory shared with the kernel and hands each to its owner. */
export class CompletionQueue {
  readonly #native: NativeRing
  readonly #table: OperationTable
  readonly #metrics: Metrics
  readonly #entries: Int32Array
  readonly #headWord: Int32Array
  readonly #tailWord: Int32Array
  readonly #mask: number
  #head: number
  /** Where what is being handed over ends, and the user data of the one whose turn it is. */
  #end: number
  #low = 0
  #high = 0
  /** How far {@link reap} has looked. */
  #reaped: number
  #stopped = false

  constructor(native: NativeRing, table: OperationTable, metrics: Metrics) {
    this.#native = native
    this.#table = table
    this.#metrics = metrics
    this.#entries = new Int32Array(native.rings, native.offsets.completions, native.completionEntries * 4)
    this.#headWord = new Int32Array(native.rings, native.offsets.completionHead, 1)
    this.#tailWord = new Int32Array(native.rings, native.offsets.completionTail, 1)
    this.#mask = native.completionEntries - 1
    this.#head = this.#end = this.#reaped = this.#headWord[0]
  }

  /** Hands over nothing more, not even what a {@link drain} under way would: the ring's memory is about to go. */
  stop(): void {
    this.#stopped = true
  }

  /** Nothing is there that has not been handed over. */
  get empty(): boolean {
    return this.#head === this.tail
  }

  /** Where what is there by now ends. */
  get tail(): number {
    return Atomics.load(this.#tailWord, 0)
  }

  /**
   * Hands over the next completion before `tail`. It counts as taken before its owner is called, so that an owner that
   * throws loses nothing: the next call goes on with the one after it. The kernel has its place back when
   * {@link free} has been called.
   * @returns whether there was one, and if so what it is of.
   */
  handOver(tail: number): 'nothing' | 'send' | 'other' {
    const entries = this.#entries
    this.#end = tail
    // Where a handler has run the event loop, more has been handed over than this was called for.
    while (((tail - this.#head) | 0) > 0 && !this.#stopped) {
      const at = (this.#head & this.#mask) << 2
      const low = entries[at]
      const high = entries[at + 1]
      const result = entries[at + 2]
      const flags = entries[at + 3]
      const position = this.#head >>> 0
      this.#head = (this.#head + 1) | 0
      if (low === taken && high === taken) continue
      this.#metrics.completions++
      // Descriptors (the top bit says so) are this thread's before anybody hears of them: it may be stopped anywhere.
      if (high < 0) this.#native.readDescriptors(position)
      this.#low = low
      this.#high = high
      this.#table.complete(low >>> 0, high >>> 0, result, flags)
      return isOfSend(low) ? 'send' : 'other'
    }
    return 'nothing'
  }

  /**
   * Bytes of the completion that comes after the one that is being handed over, if it is of the same request, which
   * goes on; or 0. {@link takeNext} takes it.
   */
  get nextBytes(): number {
    const entries = this.#entries
    if (((this.#end - this.#head) | 0) <= 0 || this.#stopped) return 0
    const at = (this.#head & this.#mask) << 2
    if (entries[at] !== this.#low || entries[at + 1] !== this.#high) return 0
    return (entries[at + 3] & CompletionFlag.More) === 0 ? 0 : Math.max(entries[at + 2], 0)
  }

  takeNext(): void {
    this.#head = (this.#head + 1) | 0
    this.#metrics.completions++
  }

  /** Gives the places of what has been handed over back to the kernel. */
  free(): void {
    if (!this.#stopped) Atomics.store(this.#headWord, 0, this.#head)
  }

  /** Hands over all that is there. */
  drain(): void {
    const { tail } = this
    try {
      while (this.handOver(tail) !== 'nothing');
    } finally {
      this.free()
    }
  }

  /**
   * Looks, without taking anything, whether there are completions of no more than `most` requests that do not send, and
   * none that says of an end or a failure: what comes after that may say more of it.
   */
  isFew(most: number): boolean {
    const entries = this.#entries
    const tail = Atomics.load(this.#tailWord, 0)
    let count = 0
    for (let head = this.#head; head !== tail; head = (head + 1) | 0) {
      const at = (head & this.#mask) << 2
      if (entries[at + 2] <= 0) return false
      if (!isOfSend(entries[at]) && ++count > most) return false
    }
    return true
  }

  /**
   * Hands over, within a call of the application's, what makes nobody call the application. The rest stays where it
   * is, for {@link handOver}.
   */
  reap(): void {
    const entries = this.#entries
    const tail = Atomics.load(this.#tailWord, 0)
    if (((this.#head - this.#reaped) | 0) > 0) this.#reaped = this.#head
    for (; this.#reaped !== tail; this.#reaped = (this.#reaped + 1) | 0) {
      const at = (this.#reaped & this.#mask) << 2
      const low = entries[at] >>> 0
      if (!this.#table.isQuiet(low)) continue
      const high = entries[at + 1] >>> 0
      entries[at] = entries[at + 1] = taken
      this.#metrics.completions++
      this.#table.complete(low, high, entries[at + 2], entries[at + 3])
    }
  }

  /**
   * Looks, without taking anything and from the latest back, whether so many requests of `slot` have ended.
   * @param requests at least 1.
   */
  haveEnded(slot: number, requests: number): boolean {
    const entries = this.#entries
    let missing = requests
    for (let head = this.tail; head !== this.#head;) {
      head = (head - 1) | 0
      const at = (head & this.#mask) << 2
      const isLast = (entries[at + 3] & CompletionFlag.More) === 0
      if (isLast && slotOf(entries[at]) === slot && --missing === 0) return true
    }
    return false
  }

  /**
   * Looks, without taking anything, whether there is something to tell of a request.
   * @param low half of the user data of the request.
   */
  hasSomethingOf(low: number): boolean {
    const entries = this.#entries
    const { tail } = this
    for (let head = this.#head; head !== tail; head = (head + 1) | 0) {
      const at = (head & this.#mask) << 2
      if (entries[at] >>> 0 === low && !isInterruption(entries[at + 2])) return true
    }
    return false
  }

  /**
   * Looks, without taking anything, whether all that waits of a request is its end.
   * @param low half of the user data of the request, which the kernel has been made to end.
   */
  endsEmpty(low: number): boolean {
    const entries = this.#entries
    const tail = Atomics.load(this.#tailWord, 0)
    let ended = false
    for (let head = this.#head; head !== tail; head = (head + 1) | 0) {
      const at = (head & this.#mask) << 2
      if (entries[at] >>> 0 !== low) continue
      if (entries[at + 2] > 0) return false
      ended ||= (entries[at + 3] & CompletionFlag.More) === 0
    }
    return ended
  }
}

/** Either half of the user data of a completion that was handed over before its turn; no request has it. */
const taken = -1
