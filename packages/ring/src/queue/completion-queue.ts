import type { NativeRing } from '@sheaf/native'
import type { Metrics } from '../metrics'
import type { OperationTable } from './operation-table'

/** Reads completions out of the memory shared with the kernel and hands each to its owner. */
export class CompletionQueue {
  readonly #table: OperationTable
  readonly #metrics: Metrics
  readonly #entries: Int32Array
  readonly #headWord: Int32Array
  readonly #tailWord: Int32Array
  readonly #mask: number
  #head: number
  #stopped = false

  constructor(native: NativeRing, table: OperationTable, metrics: Metrics) {
    this.#table = table
    this.#metrics = metrics
    this.#entries = new Int32Array(native.rings, native.offsets.completions, native.completionEntries * 4)
    this.#headWord = new Int32Array(native.rings, native.offsets.completionHead, 1)
    this.#tailWord = new Int32Array(native.rings, native.offsets.completionTail, 1)
    this.#mask = native.completionEntries - 1
    this.#head = this.#headWord[0]
  }

  /** Hands over nothing more, not even within a `drain` under way: the ring's memory is about to go. */
  stop(): void {
    this.#stopped = true
  }

  /**
   * Hands over what is there. An entry counts as taken before its owner is called, so that an owner that throws loses
   * nothing: the next call goes on with the completion after it.
   */
  drain(): void {
    const entries = this.#entries
    const tail = Atomics.load(this.#tailWord, 0)
    try {
      while (this.#head !== tail && !this.#stopped) {
        const at = (this.#head & this.#mask) << 2
        const low = entries[at]
        const high = entries[at + 1]
        this.#head = (this.#head + 1) | 0
        this.#metrics.completions++
        this.#table.complete(low >>> 0, high >>> 0, entries[at + 2], entries[at + 3])
      }
    } finally {
      if (!this.#stopped) Atomics.store(this.#headWord, 0, this.#head)
    }
  }
}
