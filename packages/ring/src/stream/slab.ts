import { Buffer } from 'node:buffer'
import { markAsUntransferable } from 'node:worker_threads'
import { limits } from '../limits'

/**
 * Memory for the small chunks that one connection receives. Node's own pool (`Buffer.allocUnsafe`) is shared by the
 * whole process: what one peer sent could be read through `chunk.buffer` of another. A slab serves one connection and
 * begins as zeros. It can't be transferred: the chunks carved from it before would go with it.
 */
export class Slab {
  readonly #sizeBytes: number
  readonly #chunkBytesMax: number
  #memory: ArrayBuffer | undefined
  #used = 0

  constructor(sizeBytes: number = limits.slabBytes, chunkBytesMax: number = limits.slabChunkBytes) {
    this.#sizeBytes = sizeBytes
    this.#chunkBytesMax = chunkBytesMax
  }

  /** A chunk of the caller's own. */
  allocate(sizeBytes: number): Buffer {
    if (sizeBytes > this.#chunkBytesMax) return Buffer.allocUnsafeSlow(sizeBytes)
    // `ArrayBuffer.prototype.transfer` heeds no mark: then there is nothing left of it.
    if (this.#memory === undefined || this.#used + sizeBytes > this.#memory.byteLength) {
      this.#memory = new ArrayBuffer(this.#sizeBytes)
      markAsUntransferable(this.#memory)
      this.#used = 0
    }
    const start = this.#used
    // Chunks begin at multiples of 8 bytes, so that any typed array can be laid over one.
    this.#used = (start + sizeBytes + 7) & ~7
    return Buffer.from(this.#memory, start, sizeBytes)
  }
}
