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
 * reserve only slower than waiting. So only when somebody who holds none of it has waited for `limits.starvationMs`, or
 * has received without it while there was no refill, is it enlarged; if it can't be, others hold it who may do so for
 * ever, and until they don't those who hold none wait no longer.
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
  /** The starving one whom {@link #watch} is for, as long as it waits. */
  #watched: W | undefined
  /** Sockets that forward and hold nothing may use the reserve of the pool, and receive without it. */
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
    if (waiter === this.#watched) this.#watched = undefined
  }

  /**
   * Takes off those that have waited longest, no more than the buffers there are can serve: each that finds none left
   * costs a request and a completion. While the reserve is open, the starving need not find any.
   */
  release(): readonly W[] {
    const { available, buffers, reserve } = this.#pool
    if (available > (buffers + reserve) / 2) this.reserveOpen = false
    if (available > reserve) {
      if (this.#waiting.length !== 0 || this.missed) this.#refills++
      this.missed = false
    }
    const served = available > reserve ? Math.max(1, Math.floor(available / limits.buffersPerUnparked)) : 0
    const released = this.#waiting.splice(0, served)
    if (this.reserveOpen) this.#takeStarving(released)
    for (const waiter of released) {
      waiter.parked = false
      if (waiter === this.#watched) this.#watched = undefined
    }
    this.#released = released.length
    this.#left = this.#waiting.length
    return released
  }

  #takeStarving(taken: W[]): void {
    const waiting: W[] = []
    for (const waiter of this.#waiting) (waiter.starving ? taken : waiting).push(waiter)
    this.#waiting = waiting
  }

  /**
   * Ends a turn.
   * @param refilled buffers came back in it after {@link release}.
   * @returns whether those who wait should have their try in another at once: more buffers came, those let go did not
   *   all come back, so somebody can use what there is, or some wait only to be armed after others.
   */
  settle(refilled: boolean): boolean {
    const { passedOver } = this
    this.passedOver = false
    if (this.#waiting.length === 0) {
      if (this.missed) this.#watchStarvation()
      return false
    }
    const usable = passedOver || refilled || this.#released > this.#waiting.length - this.#left
    if (usable && this.#pool.available > this.#pool.reserve) return true
    // Nothing may be left that would bring about another turn.
    this.#watchStarvation()
    return false
  }

  close(): void {
    clearTimeout(this.#watch)
    this.#waiting = []
  }

  #watchStarvation(): void {
    // Nobody is starving while the reserve is open.
    if (this.#watch !== undefined || this.reserveOpen || !this.#starving()) return
    this.#watched = this.#waiting.find((waiter) => waiter.starving)
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
    const waited = this.#watched?.starving === true
    const missed = this.missed && refillsBefore === this.#refills && this.#pool.available <= this.#pool.reserve
    if (!waited && !missed) {
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
