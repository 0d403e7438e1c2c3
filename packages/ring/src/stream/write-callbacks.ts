import type { WriteCallback } from '../transport'
import { Fifo } from './fifo'

/** Callbacks of one connection's writes and ends: who is called when, and that everybody is called in the end. */
export class WriteCallbacks {
  readonly #waiting = new Fifo<{ readonly position: number, readonly callback: WriteCallback }>()
  readonly #ends: WriteCallback[] = []

  /** To be taken when the kernel has taken the stream up to `position`. */
  add(position: number, callback: WriteCallback): void {
    this.#waiting.push({ position, callback })
  }

  /** To be taken when the FIN has been sent. */
  addEnd(callback: WriteCallback): void {
    this.#ends.push(callback)
  }

  /** Takes the next callback of a write at or before `position`. */
  takeUpTo(position: number): WriteCallback | undefined {
    const next = this.#waiting.at(0)
    if (next === undefined || next.position > position) return undefined
    this.#waiting.shift()
    return next.callback
  }

  takeEnd(): WriteCallback | undefined {
    return this.#ends.shift()
  }

  /**
   * The connection is closed: calls everybody who is left, where what they wait for has not happened with what `failed`
   * makes. It is not asked otherwise: an error's stack trace is what costs most of closing.
   * @returns what was thrown; nobody is left out because of it.
   */
  settle(
    call: (callback: WriteCallback, error?: Error) => void,
    sentBytes: number,
    finished: boolean,
    failed: () => Error,
  ): unknown[] {
    const thrown: unknown[] = []
    let error: Error | undefined
    const settleOne = (callback: WriteCallback, happened: boolean): void => {
      try {
        call(callback, happened ? undefined : error ??= failed())
      } catch (what) {
        thrown.push(what)
      }
    }
    let callback: WriteCallback | undefined
    while ((callback = this.takeUpTo(sentBytes)) !== undefined) settleOne(callback, true)
    while ((callback = this.takeUpTo(Infinity)) !== undefined) settleOne(callback, false)
    while ((callback = this.takeEnd()) !== undefined) settleOne(callback, finished)
    return thrown
  }
}
