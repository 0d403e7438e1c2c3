import { timers } from '@sheaf/ring'

type Callback = () => void

class VirtualTimer {
  readonly dueMs: number
  readonly callback: Callback

  constructor(dueMs: number, callback: Callback) {
    this.dueMs = dueMs
    this.callback = callback
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  hasRef(): boolean {
    return true
  }
}

/**
 * Time that passes only when told to. While it is installed, `setTimeout`, `setImmediate` and what clears them are its
 * own, and nothing that runs meanwhile sees real time.
 */
export class VirtualClock {
  readonly #timers = new Set<VirtualTimer>()
  readonly #immediates = new Set<VirtualTimer>()
  #restore: (() => void) | undefined
  /** How often somebody has asked how late it is. */
  #looks = 0
  nowMs = 0

  install(): void {
    const { setTimeout, clearTimeout, setImmediate, clearImmediate } = globalThis
    const virtual = {
      setTimeout: (callback: Callback, delayMs = 1) => {
        const timer = new VirtualTimer(this.nowMs + Math.max(1, delayMs), callback)
        this.#timers.add(timer)
        return timer
      },
      clearTimeout: (timer: VirtualTimer | undefined) => {
        if (timer !== undefined) this.#timers.delete(timer)
      },
      setImmediate: (callback: Callback) => {
        const immediate = new VirtualTimer(this.nowMs, callback)
        this.#immediates.add(immediate)
        return immediate
      },
      clearImmediate: (immediate: VirtualTimer | undefined) => {
        if (immediate !== undefined) this.#immediates.delete(immediate)
      },
    }
    Object.assign(globalThis, virtual)
    // Who looks twice finds that it took long.
    const nowMs = (): number => this.nowMs + ++this.#looks
    // Rings don't look there.
    const before = timers.replaceTimers({ ...virtual, nowMs } as unknown as timers.Timers)
    this.#restore = () => {
      Object.assign(globalThis, { setTimeout, clearTimeout, setImmediate, clearImmediate })
      timers.replaceTimers(before)
    }
  }

  uninstall(): void {
    this.#restore?.()
    this.#restore = undefined
  }

  /** Lets time pass, and calls those whose time has come. @returns whether there were any. */
  advance(byMs: number): boolean {
    this.nowMs += byMs
    let called = false
    for (const timer of this.#timers) {
      if (timer.dueMs > this.nowMs) continue
      this.#timers.delete(timer)
      called = true
      timer.callback()
    }
    return called
  }

  /** The time until the next timer, or undefined if there is none. */
  get nextInMs(): number | undefined {
    let next: number | undefined
    for (const { dueMs } of this.#timers) next = Math.min(next ?? Infinity, dueMs)
    return next === undefined ? undefined : Math.max(0, next - this.nowMs)
  }

  /** @returns whether there were any. */
  runImmediates(): boolean {
    const immediates = [...this.#immediates]
    this.#immediates.clear()
    for (const { callback } of immediates) callback()
    return immediates.length !== 0
  }
}
