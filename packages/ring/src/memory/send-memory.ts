import type { NativeRing } from '@sheaf/native'
import { limits } from '../limits'
import type { Scheduled } from '../turn'

/** Whoever has blocks, and how many. */
export interface BlockHolder {
  blocks: number
}

/**
 * A piece of send memory. It belongs to one connection while anything of it is being written or sent, and goes back
 * when `references` (one for each span in it, and one while it is being written) comes to 0.
 */
export class SendBlock {
  /** A Buffer, for its string encoders. */
  readonly bytes: Buffer
  readonly address: number
  references = 0
  holder: BlockHolder | undefined

  constructor(bytes: Buffer, address: number) {
    this.bytes = bytes
    this.address = address
  }
}

/** The send memory of a ring: blocks, mapped as needed up to a bound, and kept for the next who needs one. */
export class SendMemory {
  readonly #native: NativeRing
  readonly #schedule: (waiter: Scheduled) => void
  readonly #free: SendBlock[] = []
  /** Who found no block, those that have waited longest first. */
  readonly #waiting = new Set<Scheduled>()
  #regions = 0
  #blocks = 0

  /** @param schedule makes one of those that wait try again. */
  constructor(native: NativeRing, schedule: (waiter: Scheduled) => void) {
    this.#native = native
    this.#schedule = schedule
  }

  /** Blocks that somebody has. */
  get used(): number {
    return this.#blocks - this.#free.length
  }

  /** @returns undefined at the bound, or if there is no memory. The block has one reference, for being written. */
  acquire(holder: BlockHolder): SendBlock | undefined {
    if (this.#free.length === 0) this.#grow()
    const block = this.#free.pop()
    if (block === undefined) return undefined
    block.references = 1
    block.holder = holder
    holder.blocks++
    return block
  }

  /** Gives up one reference. */
  release(block: SendBlock): void {
    if (--block.references !== 0) return
    if (block.holder !== undefined) block.holder.blocks--
    block.holder = undefined
    this.#free.push(block)
    if (this.#waiting.size !== 0) this.#wakeOne()
  }

  /**
   * Has `waiter` try again when there is a block. @returns false if nobody has one that could come back: there is no
   * memory at all.
   */
  wait(waiter: Scheduled): boolean {
    if (this.used === 0) return false
    this.#waiting.add(waiter)
    return true
  }

  leave(waiter: Scheduled): void {
    this.#waiting.delete(waiter)
  }

  #wakeOne(): void {
    for (const waiter of this.#waiting) {
      this.#waiting.delete(waiter)
      this.#schedule(waiter)
      return
    }
  }

  #grow(): void {
    if (this.#regions === limits.sendRegionsMax) return
    const size = limits.sendBlockBytes
    const region = this.#native.createRegion(size * limits.sendBlocksPerRegion)
    if (typeof region === 'number') return
    this.#regions++
    this.#blocks += limits.sendBlocksPerRegion
    for (let index = limits.sendBlocksPerRegion - 1; index >= 0; index--) {
      this.#free.push(new SendBlock(Buffer.from(region.buffer, index * size, size), region.address + index * size))
    }
  }
}
