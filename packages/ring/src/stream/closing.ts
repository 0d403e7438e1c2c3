import { Cancellation } from '../queue/cancellation'
import { Operation } from '../queue/operation-table'
import type { Ring } from '../ring'
import { clearImmediate, setImmediate } from '../timers'
import type { Scheduled } from '../turn'
import type { SendQueue } from './send-queue'

/** The connection that is closed. */
interface ClosingOwner extends Scheduled {
  /** A connect is in the kernel. */
  readonly connects: boolean
  /** A receive is. */
  readonly receives: boolean
  /** A poll for its reset is. */
  readonly awaitsHangUp: boolean
  /** Closing it waits for what the peer has not acknowledged. */
  readonly lingers: boolean
}

/**
 * The end of a connection that has been destroyed: what is queued may have a last chance to leave, what is in the
 * kernel is cancelled, and when all of it has ended the descriptor is closed.
 */
export class Closing {
  readonly #ring: Ring
  readonly #connection: ClosingOwner
  readonly #slot: number
  readonly #fd: number
  readonly #send: SendQueue
  readonly #cancellation = new Cancellation()
  /** The descriptor is closed, or the kernel has been asked to close it. */
  submitted = false
  /** The descriptor is closed. */
  closed = false
  /** What is queued has until then to leave. */
  #lastChance: NodeJS.Immediate | undefined

  constructor(ring: Ring, connection: ClosingOwner, slot: number, fd: number, send: SendQueue) {
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
      this.#ring.submissions.close(this.#slot, this.#fd, this.#connection.lingers)
    } else {
      this.#cancel()
    }
  }

  /**
   * By what each is for, which the kernel finds at once. @returns whether it is asked to, or all that is left are
   * cancellations, which complete by themselves.
   */
  #cancel(): boolean {
    const operations = this.#cancellable()
    const { length } = operations
    if (length === 0) return true
    if (!this.#cancellation.isDue(length, length)) return false
    for (const operation of operations) {
      this.#ring.submissions.cancelOperation(this.#slot, operation, Operation.CancelAll)
    }
    return true
  }

  /** What may stay in the kernel for ever: one request of each. */
  #cancellable(): Operation[] {
    const { awaitsHangUp, connects, receives } = this.#connection
    const operations: Operation[] = []
    if (connects) operations.push(Operation.Connect)
    if (receives) operations.push(Operation.Receive)
    if (awaitsHangUp) operations.push(Operation.HangUp)
    if (this.#send.inFlight) operations.push(Operation.Send)
    return operations
  }

  /**
   * Closes the descriptor by a system call, as libuv does it: whatever the process does next finds it closed. Not if
   * the kernel holds something that can't be cancelled at once.
   */
  closeNow(): void {
    if (this.submitted || this.#lastChance !== undefined || this.#connection.lingers) return
    const outstanding = this.#ring.operations.outstanding(this.#slot)
    if (outstanding !== 0 && !(this.#cancel() && this.#ring.hasDone(this.#slot))) return
    this.submitted = this.closed = true
    this.#ring.sockets.close(this.#fd)
  }

  /** It was closed by {@link closeNow}, and all that was in the kernel has completed. */
  get finished(): boolean {
    return this.closed && this.#ring.operations.outstanding(this.#slot) === 0
  }

  /** @param found how many requests of one kind the kernel has found to cancel, or `-errno`. */
  cancelled(found: number): void {
    this.#cancellation.answered(Math.min(found, 1))
  }

  /** What was written just before leaves, as it would have by a system call of `node:net`. */
  giveLastChance(): void {
    this.#lastChance = setImmediate(this.#takeLastChance)
  }

  /** What is left of that leaves now, as far as the kernel has room. */
  sendWritten(): void {
    if (this.#lastChance !== undefined) this.#sendLast()
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
        this.#ring.turn.schedule(this.#connection)
      })
    } else {
      this.#ring.turn.schedule(this.#connection)
    }
  }

  /** @returns false when all has been sent. */
  #sendLast(): boolean {
    try {
      this.#ring.turn.sendAll(() => this.#send.submit())
    } catch {
      // A chunk that was taken away: what came before it has been sent.
      this.giveUpLastChance()
    }
    if (this.#send.queuedBytes === 0) this.giveUpLastChance()
    return this.#lastChance !== undefined
  }
}
