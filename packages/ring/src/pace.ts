import { limits } from './limits'
import type { Metrics } from './metrics'

/**
 * Whether a turn answers what has come one by one, or all together when all has been told. Together takes fewer system
 * calls, and is what makes a busy thread fast. But whoever asked is idle meanwhile, and all ask again at once: with two
 * or three of them that ask, both sides are asleep in turns, and to wake up costs more than all the calls. So a thread
 * that is woken for little answers one by one for some turns.
 */
export class Pace {
  readonly #metrics: Metrics
  /** Completions up to when the loop was last woken. */
  #completions = 0
  #promptTurns = 0

  constructor(metrics: Metrics) {
    this.#metrics = metrics
  }

  /** The kernel has woken the loop. */
  woken(): void {
    const { completions } = this.#metrics
    if (completions - this.#completions <= limits.promptCompletions) this.#promptTurns = limits.promptTurns
    this.#completions = completions
  }

  /** To be asked once in each turn. */
  nextTurnIsPrompt(): boolean {
    if (this.#promptTurns === 0) return false
    this.#promptTurns--
    return true
  }
}
