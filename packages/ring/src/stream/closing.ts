import { Cancellation } from '../queue/cancellation'
import type { Ring, Scheduled } from '../ring'
import { clearImmediate, setImmediate } from '../timers'
import type { SendQueue } from './send-queue'

/**
 * The end of a connection that has been destroyed: what is queued may have a last chance to leave, what is in the
 * kernel is cancelled, and when all of it has ended the descriptor is closed.
 */
export class Closing {
  readonly #ring: Ring
  readonly #connection: Scheduled
  readonly #slot: number
  readonly #fd: number
  readonly #send: SendQueue
  readonly #cancellation = new Cancellation()
  /** The kernel has been asked to close the descriptor. */
  submitted = false
  /** What is queued has until then to leave. */
  #lastChance: NodeJS.Immediate | undefined

  constructor(ring: Ring, connection: Scheduled, slot: number, fd: number, send: SendQueue) {
    this.#ring = ring
    this.#connection = connection
    this.#slot = slot
    this.#fd = fd
    this.#send = send
  }

  /** Asks the kernel for the next step. */
  steer(): void {
    if (this.submitted || (this.#lastChance !== undefined && this.#sendLast())) return
    const outstanding = this.#ring.operations.outstanding(this.#slot)
    if (outstanding === 0) {
      this.submitted = true
      this.#ring.submissions.close(this.#slot, this.#fd)
    } else if (this.#cancellation.isDue(outstanding)) {
      this.#ring.submissions.cancelDescriptor(this.#slot, this.#fd)
    }
  }

  /**
   * Closes the descriptor by a system call, as libuv does it: a socket is told that it is closed before its peer in the
   * same process hears of it. @returns false if that must wait for something in the kernel.
   */
  closeNow(): boolean {
    if (this.submitted || this.#lastChance !== undefined) return false
    if (this.#ring.operations.outstanding(this.#slot) !== 0) return false
    this.submitted = true
    this.#ring.sockets.close(this.#fd)
    return true
  }

  /** @param found how many requests the kernel has found to cancel, or `-errno`. */
  cancelled(found: number): void {
    this.#cancellation.answered(found)
  }

  /** What was written just before leaves, as it would have by a system call of `node:net`. */
  giveLastChance(): void {
    this.#lastChance = setImmediate(this.#takeLastChance)
  }

  giveUpLastChance(): void {
    clearImmediate(this.#lastChance)
    this.#lastChance = undefined
  }

  /**
   * The turn that was to send may be still to come: the kernel is entered, and given until the turn after that to say
   * what it has taken.
   */
  readonly #takeLastChance = (): void => {
    if (this.#sendLast()) {
      this.#ring.submit()
      this.#lastChance = setImmediate(() => {
        this.#lastChance = undefined
        this.#ring.schedule(this.#connection)
      })
    } else {
      this.#ring.schedule(this.#connection)
    }
  }

  /** @returns false when all has been sent. */
  #sendLast(): boolean {
    try {
      this.#send.submit()
    } catch {
      // A chunk that was taken away: what came before it has been sent.
      this.giveUpLastChance()
    }
    if (this.#send.queuedBytes === 0) this.giveUpLastChance()
    return this.#lastChance !== undefined
  }
}
