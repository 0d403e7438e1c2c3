import type { WriteCallback } from '../transport'

interface Settled {
  readonly callback: WriteCallback | undefined
  readonly error: Error | undefined
}

/** How datagrams ended, until their owner is told: once a turn, in order. */
export class SettledMessages {
  #settled: Settled[] = []

  get empty(): boolean {
    return this.#settled.length === 0
  }

  add(callback: WriteCallback | undefined, error: Error | undefined): void {
    this.#settled.push({ callback, error })
  }

  /**
   * Calls each callback; `tellError` with an error that has none. What they add is for the next time, as is what one
   * that throws keeps from being told.
   */
  tell(tellError: (error: Error) => void): void {
    const settled = this.#settled
    this.#settled = []
    let next = 0
    try {
      while (next < settled.length) {
        const { callback, error } = settled[next++]
        if (callback !== undefined) callback(error)
        else if (error !== undefined) tellError(error)
      }
    } finally {
      if (next < settled.length) this.#settled = [...settled.slice(next), ...this.#settled]
    }
  }
}
