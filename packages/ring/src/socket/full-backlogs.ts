import { limits } from '../limits'
import { clearTimeout, setTimeout } from '../timers'
import type { ConnectCall } from './connect-call'

/**
 * Who waits for room in the backlogs of Unix sockets. Nothing tells that there is some, so it is looked for from time
 * to time, with one call for each address however many wait for it.
 */
export class FullBacklogs {
  /** By address, in the order in which they came. */
  readonly #waiting = new Map<string, Set<ConnectCall>>()
  #timer: NodeJS.Timeout | undefined

  add(call: ConnectCall): void {
    const key = keyOf(call)
    const calls = this.#waiting.get(key)
    if (calls === undefined) this.#waiting.set(key, new Set([call]))
    else calls.add(call)
    this.#lookLater()
  }

  delete(call: ConnectCall): void {
    const key = keyOf(call)
    const calls = this.#waiting.get(key)
    calls?.delete(call)
    if (calls?.size === 0) this.#waiting.delete(key)
    if (this.#waiting.size !== 0) return
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #lookLater(): void {
    // Connections keep the process alive, or are not to.
    this.#timer ??= setTimeout(() => this.#look(), limits.roomRetryMs).unref()
  }

  #look(): void {
    this.#timer = undefined
    for (const calls of this.#waiting.values()) {
      for (const call of calls) if (call.isToWait()) break
    }
    if (this.#waiting.size !== 0) this.#lookLater()
  }
}

function keyOf({ address }: ConnectCall): string {
  return Buffer.from(address).toString('latin1')
}
