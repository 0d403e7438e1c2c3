/**
 * The cancellation of all that somebody has in the kernel ({@link Operation.CancelAll}). The kernel finds a request
 * that waits or that a thread of its own executes, but not one that it is about to try again: on 6.18 it tries 128
 * times to connect to a Unix socket whose backlog is full before it has a thread wait. What was missed could stay for
 * ever, so it is cancelled again.
 */
export class Cancellation {
  #sought = 0

  /** @param outstanding requests in the kernel. @returns whether to cancel them now. */
  isDue(outstanding: number): boolean {
    if (this.#sought !== 0) return false
    this.#sought = outstanding
    return true
  }

  /** @param found how many requests were found, or `-errno`. */
  answered(found: number): void {
    if (found < this.#sought) this.#sought = 0
  }
}
