import { limits } from '../limits'
import type { BlockHolder, SendBlock, SendMemory } from '../memory/send-memory'
import type { MessageRequest } from './request'

/** Where one socket's datagrams are copied to, one behind the other, whatever their destinations. */
export class MessageSendMemory {
  readonly #memory: SendMemory
  readonly #holder: BlockHolder
  /** The block being written, and those behind it. */
  readonly #blocks: SendBlock[] = []
  #end = 0

  constructor(memory: SendMemory, holder: BlockHolder) {
    this.#memory = memory
    this.#holder = holder
  }

  /**
   * Makes sure that so many bytes of a datagram can be written.
   * @returns false if there is no memory, or little of it and the socket has some of that.
   */
  ensure(sizeBytes: number): boolean {
    const blocks = this.#blocks
    const needed = this.#holder.blocks === 0
    while (blocks.length * limits.sendBlockBytes - this.#end < sizeBytes) {
      const block = this.#memory.acquire(this.#holder, needed)
      if (block === undefined) return false
      blocks.push(block)
    }
    return true
  }

  /** Appends `bytes`, for which there is room, to a request's payload. */
  write(request: MessageRequest, bytes: Uint8Array): void {
    const length = bytes.byteLength
    let offset = 0
    while (offset < length) {
      const block = this.#blocks[0]
      const count = Math.min(length - offset, limits.sendBlockBytes - this.#end)
      block.bytes.set(count === length ? bytes : bytes.subarray(offset, offset + count), this.#end)
      request.addPiece(block, this.#end, count)
      this.#end += count
      offset += count
      if (this.#end === limits.sendBlockBytes) {
        this.#blocks.shift()
        this.#memory.release(block)
        this.#end = 0
      }
    }
  }

  /** Writes no more for now: what is written goes back when it has been sent. */
  drop(): void {
    for (let block = this.#blocks.pop(); block !== undefined; block = this.#blocks.pop()) this.#memory.release(block)
    this.#end = 0
  }
}
