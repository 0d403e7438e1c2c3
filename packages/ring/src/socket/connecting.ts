import type { BlockHolder, SendBlock } from '../memory/send-memory'
import type { Ring } from '../ring'

/** What addresses take is not counted. */
const anybody: BlockHolder = { blocks: 0 }

/** A socket that the kernel is asked to connect. */
export class Connecting {
  readonly #ring: Ring
  /** Holds the `sockaddr` until the kernel has copied it. */
  #block: SendBlock | undefined

  /** @param address a `sockaddr` as the kernel wants it. @returns undefined if there is no memory to show it. */
  static begin(ring: Ring, slot: number, fd: number, address: Uint8Array): Connecting | undefined {
    const block = ring.addresses.acquire(anybody, true)
    if (block === undefined) return undefined
    block.bytes.set(address)
    ring.submissions.connect(slot, fd, block.address, address.byteLength)
    ring.turn.wake()
    return new Connecting(ring, block)
  }

  private constructor(ring: Ring, block: SendBlock) {
    this.#ring = ring
    this.#block = block
  }

  /** Nothing of it is in the kernel any more. */
  release(): void {
    if (this.#block !== undefined) this.#ring.addresses.release(this.#block)
    this.#block = undefined
  }
}
