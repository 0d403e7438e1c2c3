import { limits } from '../limits'
import type { Metrics } from '../metrics'
import { clearTimeout, setImmediate, setTimeout } from '../timers'
import type { ReceivePool } from './receive-pool'

/** A socket that can wait for receive buffers. */
export interface BufferWaiter {
  /** On the list of those that wait. */
  parked: boolean
  /** It has none itself that would come back. */
  readonly starving: boolean
}

/**
 * Sockets that found the receive pool empty, in the order they came, and what is done when it stays so.
 *
 * In a burst the pool is empty for a moment, again and again: a larger one would only be colder, and copying out of its
 * reserve only slower than waiting. So only after `limits.starvationMs` without a refill, with somebody waiting, or
 * receiving without it, who holds none of it, is it enlarged; if it can't be, those that wait may have the reserve for
 * a turn.
 */
export class BufferWaiters<W extends BufferWaiter> {
  readonly #pool: ReceivePool
  readonly #metrics: Metrics
  /** Makes another turn come. */
  readonly #wake: () => void
  #waiting: W[] = []
  /** Times that there were buffers for those who wait. */
  #refills = 0
  #watch: NodeJS.Timeout | undefined
  /** Let go in this turn, and left on the list then. */
  #released = 0
  #left = 0
  /** In this turn sockets that forward may use the reserve of the pool. */
  reserveOpen = false
  /** In this turn somebody has found no buffer: it comes before those who have had some. */
  passedOver = false
  /** Since there were buffers, somebody who need not wait for one has found none. */
  missed = false

  constructor(pool: ReceivePool, metrics: Metrics, wake: () => void) {
    this.#pool = pool
    this.#metrics = metrics
    this.#wake = wake
  }

  park(waiter: W): void {
    waiter.parked = true
    this.#waiting.push(waiter)
    this.#metrics.parks++
    this.#wake()
  }

  unpark(waiter: W): void {
    waiter.parked = false
    const index = this.#waiting.indexOf(waiter)
    if (index !== -1) this.#waiting.splice(index, 1)
  }

  /**
   * Takes off those that have waited longest, no more than the buffers there are can serve: each that finds none left
   * costs a request and a completion.
   */
  release(): readonly W[] {
    const { available, reserve } = this.#pool
    if (available > reserve) {
      if (this.#waiting.length !== 0 || this.missed) this.#refills++
      this.missed = false
    }
    const count = available === 0 ? 0 : Math.max(1, Math.floor(available / limits.buffersPerUnparked))
    const released = this.#waiting.splice(0, count)
    for (const waiter of released) waiter.parked = false
    this.#released = released.length
    this.#left = this.#waiting.length
    return released
  }

  /**
   * Ends a turn.
   * @param refilled buffers came back in it after {@link release}.
   * @returns whether those who wait should have their try in another at once: more buffers came, those let go did not
   *   all come back, so somebody can use what there is, or some wait only to be armed after others.
   */
  settle(refilled: boolean): boolean {
    const { passedOver } = this
    this.reserveOpen = this.passedOver = false
    if (this.#waiting.length === 0) {
      if (this.missed) this.#watchStarvation()
      return false
    }
    const usable = passedOver || refilled || this.#released > this.#waiting.length - this.#left
    if (usable && this.#pool.available !== 0) return true
    // Nothing may be left that would bring about another turn.
    this.#watchStarvation()
    return false
  }

  close(): void {
    clearTimeout(this.#watch)
    this.#waiting = []
  }

  #watchStarvation(): void {
    if (this.#watch !== undefined || !this.#starving()) return
    const refills = this.#refills
    this.#watch = setTimeout(() => {
      // If it was this thread that stood still, the refills are there and have not been looked at yet: after the loop's
      // next poll they have.
      setImmediate(() => {
        this.#watch = undefined
        this.#decide(refills)
      })
    }, limits.starvationMs)
    this.#watch.unref()
  }

  #decide(refillsBefore: number): void {
    if (!this.#starving()) return
    if (refillsBefore !== this.#refills) {
      this.#watchStarvation()
      return
    }
    if (!this.#pool.grow()) this.reserveOpen = true
    this.#wake()
  }

  #starving(): boolean {
    if (this.#pool.available > this.#pool.reserve) return false
    return this.missed || this.#waiting.some((waiter) => waiter.starving)
  }
}
