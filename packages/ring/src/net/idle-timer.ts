import { timers } from '@sheaf/ring'
import type { Socket } from './socket'

/**
 * Tells a socket (`_onTimeout`) when nothing has happened for a while. HTTP servers set and clear the time-out of a
 * connection with every request, mostly to the same time: the timer is kept, and begins anew.
 */
export class IdleTimer {
  readonly #socket: Socket
  #timer: NodeJS.Timeout | undefined
  #delayMs = 0
  /** Not cleared. */
  #active = false

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** @param delayMs 0 for never. */
  set(delayMs: number): void {
    this.#active = delayMs !== 0
    if (!this.#active) return
    if (delayMs === this.#delayMs && this.#timer !== undefined) {
      this.#timer.refresh()
      return
    }
    timers.clearTimeout(this.#timer)
    this.#delayMs = delayMs
    this.#timer = timers.setTimeout(timeUp, delayMs, this).unref()
  }

  /** Something has happened. */
  refresh(): void {
    if (this.#active) this.#timer?.refresh()
  }

  clear(): void {
    timers.clearTimeout(this.#timer)
    this.#timer = undefined
    this.#active = false
  }

  /** @internal */
  timeUp(): void {
    if (this.#active) this.#socket._onTimeout()
  }
}

function timeUp(idle: IdleTimer): void {
  idle.timeUp()
}
