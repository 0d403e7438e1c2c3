import { Errno } from '../abi'
import type { Ring } from '../ring'
import type { TransportState } from '../transport'

/** A Unix socket in non-blocking mode that is being connected. */
export interface ConnectCallOwner {
  readonly ring: Ring
  readonly fd: number
  readonly state: TransportState
  /** @param result 0 or `-errno`. */
  connectEnded(result: number): void
}

/**
 * Connects a Unix socket, by a system call: it never takes long, while io_uring would have a thread of the kernel's
 * wait for each where the backlog of who listens is full.
 */
export class ConnectCall {
  readonly address: Uint8Array
  readonly #owner: ConnectCallOwner
  #waiting: boolean

  /**
   * @param address a `sockaddr` as the kernel wants it.
   * @param waits for room in a backlog that is full; otherwise that ends with `-EAGAIN`.
   */
  constructor(owner: ConnectCallOwner, address: Uint8Array, waits: boolean) {
    this.#owner = owner
    this.address = address
    const result = this.#connect()
    this.#waiting = waits && result === -Errno.EAGAIN
    if (this.#waiting) owner.ring.fullBacklogs.add(this)
    else this.#ended(result)
  }

  /** Tries once more. @returns whether there is still no room. */
  isToWait(): boolean {
    const { state } = this.#owner
    // Its descriptor may be another's by now.
    const result = state === 'connecting' ? this.#connect() : -Errno.ECANCELED
    if (result === -Errno.EAGAIN) return true
    this.release()
    if (state === 'connecting') this.#ended(result)
    return false
  }

  #connect(): number {
    const { fd, ring } = this.#owner
    return ring.sockets.connect(fd, this.address)
  }

  /**
   * As with `node:net`, whoever has been accepted is told first: their listener may have to ask the kernel for that
   * still, in this turn, and in the next it is told.
   */
  #ended(result: number): void {
    const owner = this.#owner
    if (result < 0) {
      owner.connectEnded(result)
      return
    }
    owner.ring.turn.afterwards(() => {
      if (owner.state === 'connecting') owner.connectEnded(result)
    })
  }

  /** It waits no longer. */
  release(): void {
    if (this.#waiting) this.#owner.ring.fullBacklogs.delete(this)
    this.#waiting = false
  }
}
