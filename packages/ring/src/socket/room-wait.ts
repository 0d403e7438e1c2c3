import { limits } from '../limits'
import { Operation, type OperationOwner } from '../queue/operation-table'
import type { RoomEvent } from '../queue/submission-queue'
import type { Ring } from '../ring'
import { clearTimeout, setTimeout } from '../timers'

/**
 * Waits until a destination that was full may have room again. What tells that is a descriptor of its own: what
 * `watchRoom` of the socket calls makes of a connected socket, and else another socket that is connected to the
 * destination, as the kernel tells it only of the peer of a connected one (`unix_dgram_poll`). Without one
 * (descriptors, or the kernel's memory, have run out) time has to do.
 */
export class RoomWait implements OperationOwner {
  readonly #ring: Ring
  #fd: number
  readonly #slot: number
  readonly #done: () => void
  readonly #timer: NodeJS.Timeout | undefined
  #cancelled = false

  /**
   * @param fd tells `event` when there is room, and is closed when this is over; or `-errno` for want of one.
   * @param done called once, when it is worth another try, or after {@link cancel}.
   */
  constructor(ring: Ring, fd: number, event: RoomEvent, done: () => void) {
    this.#ring = ring
    this.#fd = fd
    this.#done = done
    if (fd < 0) {
      this.#slot = -1
      this.#timer = setTimeout(done, limits.roomRetryMs)
      return
    }
    this.#slot = ring.operations.allocate(this)
    ring.submissions.writable(this.#slot, fd, event)
  }

  cancel(): void {
    if (this.#cancelled) return
    this.#cancelled = true
    if (this.#timer === undefined) {
      this.#ring.submissions.cancelOperation(this.#slot, Operation.Writable)
      // Whoever cancels may be gone, and the ring with it, before that is done.
      this.#closeDescriptor()
    } else {
      clearTimeout(this.#timer)
      this.#done()
    }
  }

  /** The ring is closed. */
  abandon(): void {
    clearTimeout(this.#timer)
    if (this.#slot === -1) return
    this.#ring.operations.abandon(this.#slot)
    this.#release()
  }

  complete(): void {
    if (this.#ring.operations.outstanding(this.#slot) !== 0) return
    this.#release()
    this.#done()
  }

  #release(): void {
    this.#ring.operations.release(this.#slot)
    this.#closeDescriptor()
  }

  #closeDescriptor(): void {
    if (this.#fd >= 0) this.#ring.sockets.close(this.#fd)
    this.#fd = -1
  }
}
