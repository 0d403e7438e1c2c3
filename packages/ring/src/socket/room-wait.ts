import { limits } from '../limits'
import { Operation, type OperationOwner } from '../queue/operation-table'
import type { RoomEvent } from '../queue/submission-queue'
import type { Ring } from '../ring'
import { clearTimeout, setTimeout } from '../timers'

/**
 * Waits until a destination that was full may have room again. What tells that is the sender itself or a probe: for
 * messages a socket connected to the destination, as the kernel tells it only of the peer of a connected one
 * (`unix_dgram_poll`); for a stream what `watchRoom` of the socket calls makes. Without one (descriptors, or the
 * kernel's memory, have run out) time has to do.
 */
export class RoomWait implements OperationOwner {
  readonly #ring: Ring
  readonly #fd: number
  readonly #isProbe: boolean
  readonly #slot: number
  readonly #done: () => void
  readonly #timer: NodeJS.Timeout | undefined
  #cancelled = false

  /**
   * @param fd what can be written to when there is room, or `-errno` for want of it.
   * @param isProbe it is closed at the end.
   * @param event what it tells that by.
   * @param done called once, when it is worth another try, or after {@link cancel}.
   */
  constructor(ring: Ring, fd: number, isProbe: boolean, event: RoomEvent, done: () => void) {
    this.#ring = ring
    this.#fd = fd
    this.#isProbe = isProbe && fd >= 0
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
    if (this.#isProbe) this.#ring.sockets.close(this.#fd)
  }
}
