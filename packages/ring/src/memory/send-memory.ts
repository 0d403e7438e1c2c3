import type { NativeRing } from '@sheaf/native'
import { limits } from '../limits'

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

export interface SendMemoryOptions {
  readonly blockBytes: number
  /** Memory is mapped in steps of this many blocks. */
  readonly blocksPerRegion: number
  readonly blocksMax: number
}

/** What is sent from: blocks, mapped as needed up to a bound, and kept for the next who needs one. */
export class SendMemory {
  readonly #native: NativeRing
  readonly #options: SendMemoryOptions
  readonly #free: SendBlock[] = []
  #blocks = 0
  /** When so many are in use, they are scarce. */
  readonly #scarceFrom: number
  #scratch: SendBlock | undefined

  constructor(native: NativeRing, options: SendMemoryOptions) {
    this.#native = native
    this.#options = options
    this.#scarceFrom = Math.floor(options.blocksMax * (1 - limits.sendReserveFraction))
  }

  /** Blocks that somebody has. */
  get used(): number {
    return this.#blocks - this.#free.length
  }

  /**
   * @param needed it is to be had also when blocks are scarce. By default only by who has none: what peers that do not
   *   read hold of them is held by few connections otherwise, and none is left for the others.
   * @returns undefined at the bound, or if there is no memory. The block has one reference, for being written.
   */
  acquire(holder: BlockHolder, needed = holder.blocks === 0): SendBlock | undefined {
    if (!needed && this.used >= this.#scarceFrom) return undefined
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
  }

  /** A block for who finds none: for the length of a system call. Undefined if there is no memory. */
  get scratch(): SendBlock | undefined {
    this.#scratch ??= this.#map(1)?.[0]
    return this.#scratch
  }

  #grow(): void {
    const { blocksMax, blocksPerRegion } = this.#options
    const count = Math.min(blocksPerRegion, blocksMax - this.#blocks)
    if (count === 0) return
    const blocks = this.#map(count)
    if (blocks === undefined) return
    this.#blocks += count
    // The last is taken first.
    this.#free.push(...blocks.reverse())
  }

  #map(count: number): SendBlock[] | undefined {
    const { blockBytes } = this.#options
    const region = this.#native.createRegion(blockBytes * count)
    if (typeof region === 'number') return undefined
    return Array.from({ length: count }, (_, index) =>
      new SendBlock(Buffer.from(region.buffer, index * blockBytes, blockBytes), region.address + index * blockBytes))
  }
}
