import { Errno } from '../abi'
import type { BlockHolder, SendBlock } from '../memory/send-memory'
import type { Ring } from '../ring'

/** What addresses take is not counted. */
const anybody: BlockHolder = { blocks: 0 }

/** A socket that the kernel is asked to connect. */
export class Connecting {
  readonly #ring: Ring
  readonly #slot: number
  readonly #fd: number
  /** Holds the `sockaddr` until the kernel has copied it. */
  #block: SendBlock | undefined
  readonly #addressBytes: number

  /** @param address a `sockaddr` as the kernel wants it. @returns undefined if there is no memory to show it. */
  static begin(ring: Ring, slot: number, fd: number, address: Uint8Array): Connecting | undefined {
    const block = ring.addresses.acquire(anybody, true)
    if (block === undefined) return undefined
    block.bytes.set(address)
    const connecting = new Connecting(ring, slot, fd, block, address.byteLength)
    connecting.#submit(block)
    return connecting
  }

  private constructor(ring: Ring, slot: number, fd: number, block: SendBlock, addressBytes: number) {
    this.#ring = ring
    this.#slot = slot
    this.#fd = fd
    this.#block = block
    this.#addressBytes = addressBytes
  }

  /**
   * The request has ended with `result`. A full backlog of a Unix socket is waited for by a thread of the kernel's,
   * which may be interrupted: then it is made again.
   * @param wanted it is still to be connected. @returns whether that was the end of it.
   */
  ended(result: number, wanted: boolean): boolean {
    if (result === -Errno.EINTR && wanted && this.#block !== undefined) {
      this.#submit(this.#block)
      return false
    }
    this.release()
    return true
  }

  /** Nothing of it is in the kernel any more. */
  release(): void {
    if (this.#block !== undefined) this.#ring.addresses.release(this.#block)
    this.#block = undefined
  }

  #submit(block: SendBlock): void {
    this.#ring.submissions.connect(this.#slot, this.#fd, block.address, this.#addressBytes)
    this.#ring.turn.wake()
  }
}
