import { timers, turnTimeMs } from '@sheaf/ring'
import type { Socket } from './socket'

/**
 * Tells a socket (`_onTimeout`) when nothing has happened for a while. HTTP servers set and clear the time-out of a
 * connection with every request, and every read and write begins it anew: all that is only noted, and the timer looks
 * at it when it is up.
 */
export class IdleTimer {
  readonly #socket: Socket
  #timer: NodeJS.Timeout | undefined
  /** When the timer is up, on the clock of {@link turnTimeMs}. */
  #upMs = 0
  /** 0 while nobody wants to be told. */
  #delayMs = 0
  #idleSinceMs = 0

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** @param delayMs 0 for never. */
  set(delayMs: number): void {
    this.#delayMs = delayMs
    if (delayMs === 0) return
    this.#idleSinceMs = turnTimeMs()
    const dueMs = this.#idleSinceMs + delayMs
    // One that is up before that begins anew for the rest.
    if (this.#timer === undefined || dueMs < this.#upMs) this.#begin(delayMs)
  }

  /** Something has happened. */
  refresh(): void {
    if (this.#delayMs === 0) return
    this.#idleSinceMs = turnTimeMs()
    // It was up, and its socket lived on.
    if (this.#timer === undefined) this.#begin(this.#delayMs)
  }

  clear(): void {
    timers.clearTimeout(this.#timer)
    this.#timer = undefined
    this.#delayMs = 0
  }

  #begin(delayMs: number): void {
    timers.clearTimeout(this.#timer)
    this.#upMs = turnTimeMs() + delayMs
    this.#timer = timers.setTimeout(timeUp, delayMs, this).unref()
  }

  /** @internal */
  timeUp(): void {
    this.#timer = undefined
    if (this.#delayMs === 0) return
    const leftMs = this.#idleSinceMs + this.#delayMs - turnTimeMs()
    if (leftMs > 0) this.#begin(Math.ceil(leftMs))
    else this.#socket._onTimeout()
  }
}

function timeUp(idle: IdleTimer): void {
  idle.timeUp()
}
