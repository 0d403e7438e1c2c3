import type { NativeRing } from '@sheaf/native'
import { runTicks } from './ticks'
import { setImmediate } from './timers'

/**
 * Where libuv tells of the handles that were closed in an iteration of the event loop: after its immediates, before
 * timers and the next poll.
 */
export class ClosingPhase {
  readonly #native: NativeRing
  #waiting: (() => void)[] = []
  #ringClosed = false

  constructor(native: NativeRing) {
    this.#native = native
  }

  /** Has `tell` called there, the last first, and `process.nextTick` and promise callbacks after each. */
  add(tell: () => void): void {
    if (this.#ringClosed) {
      setImmediate(tell)
      return
    }
    if (this.#waiting.length === 0) this.#native.askClosing(this.#run)
    this.#waiting.push(tell)
  }

  readonly #run = (): void => {
    const all = this.#waiting
    this.#waiting = []
    try {
      for (let tell = all.pop(); tell !== undefined; tell = all.pop()) {
        tell()
        runTicks()
      }
    } finally {
      // One has thrown.
      for (const tell of all) this.add(tell)
    }
  }

  /** The loop calls nobody any more. */
  ringClosed(): void {
    this.#ringClosed = true
    for (const tell of this.#waiting.reverse()) setImmediate(tell)
    this.#waiting = []
  }
}
