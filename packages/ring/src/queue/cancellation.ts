/**
 * The cancellation of all that somebody has in the kernel ({@link Operation.CancelAll}). The kernel finds a request
 * that waits or that a thread of its own executes, but not one that it is about to try again: on 6.18 it tries 128
 * times to send to a full peer that has ended before it has a thread wait. What was missed could stay for ever, so it
 * is cancelled again.
 */
export class Cancellation {
  #made = false
  /** Requests that no answer has counted so far. */
  #missed = 0
  /** Cancellations that are still to be answered. */
  #unanswered = 0

  /**
   * @param outstanding requests in the kernel.
   * @param cancellations that are made for them. @returns whether to make them now.
   */
  isDue(outstanding: number, cancellations = 1): boolean {
    if (this.#made) return false
    this.#made = true
    this.#missed = outstanding
    this.#unanswered = cancellations
    return true
  }

  /** One of them has completed. @param found how many requests it has found, or `-errno`. */
  answered(found: number): void {
    this.#missed -= Math.max(found, 0)
    if (--this.#unanswered === 0 && this.#missed > 0) this.#made = false
  }
}
