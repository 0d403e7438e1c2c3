import { EnterFlag } from '../abi'
import type { VirtualClock } from './clock'
import type { SimulatedKernel } from './kernel'
import type { SimulatedRing } from './ring'

/** Virtual time that one iteration takes. */
const iterationMs = 0.05
/** Of so many times that a ring has something to do, the loop was blocked before one. */
const wokenEvery = 100

/**
 * The event loop of a simulated process: what `native/src/loop/turn.cc` does within libuv's. Everything asynchronous
 * is deterministic: virtual time, and microtasks that run after every call into JavaScript.
 */
export class SimulatedLoop {
  readonly #kernel: SimulatedKernel
  readonly #clock: VirtualClock
  /** What handlers and rings have thrown. */
  readonly thrown: unknown[] = []
  #touched = true
  #runs = 0

  constructor(kernel: SimulatedKernel, clock: VirtualClock) {
    this.#kernel = kernel
    this.#clock = clock
  }

  /** One iteration. @returns whether anything happened, or may without time passing. */
  async iterate(): Promise<boolean> {
    if (this.#touched) await this.#microtasks()
    let busy = this.#kernel.move()
    for (const ring of this.#kernel.rings) {
      ring.countIteration()
      if (await this.#run(ring)) busy = true
    }
    if (this.#call(() => this.#clock.runImmediates())) busy = this.#touched = true
    if (this.#pass(iterationMs)) busy = true
    if (this.#touched) await this.#microtasks()
    return busy
  }

  /** The program has called something since the last iteration, by which microtasks may be waiting. */
  touch(): void {
    this.#touched = true
  }

  /**
   * Iterates until nothing happens any more, letting time pass while there are timers.
   * @returns false if that takes more than `iterationsMax`.
   */
  async settle(iterationsMax: number): Promise<boolean> {
    for (let iteration = 0; iteration < iterationsMax; iteration++) {
      if (await this.iterate()) continue
      const next = this.#clock.nextInMs
      if (next === undefined) return true
      this.#pass(next)
    }
    return false
  }

  async #run(ring: SimulatedRing): Promise<boolean> {
    if (!ring.hasWork()) return false
    // Turns after that are another way to go: the usual one must be gone more often.
    if (++this.#runs % wokenEvery === 0) ring.wake()
    if (ring.wants) await this.#turn(ring)
    for (let round = 0; round < ring.roundsMax && ring.hasWork(); round++) {
      ring.enter(0, EnterFlag.GetEvents)
      if (ring.completions !== 0 || ring.wants || ring.hasEvents) await this.#turn(ring)
    }
    return true
  }

  async #turn(ring: SimulatedRing): Promise<void> {
    this.#call(() => ring.takeTurn())
    await this.#microtasks()
  }

  /** @returns whether a timer was due. */
  #pass(byMs: number): boolean {
    const called = this.#call(() => this.#clock.advance(byMs)) !== false
    if (called) this.#touched = true
    return called
  }

  /** `process.nextTick` and promise callbacks, and those that they bring about. */
  async #microtasks(): Promise<void> {
    this.#touched = false
    for (let round = 0; round < 2; round++) await new Promise((resolve) => { process.nextTick(resolve) })
  }

  #call<T>(what: () => T): T | undefined {
    try {
      return what()
    } catch (error) {
      this.thrown.push(error)
      return undefined
    }
  }
}
