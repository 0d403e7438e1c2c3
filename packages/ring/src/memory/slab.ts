import { Buffer } from 'node:buffer'
import { markAsUntransferable } from 'node:worker_threads'
import { limits } from '../limits'

/**
 * What slabs of one kind have in common. Only so many have memory at a time, those that are used: there may be a
 * hundred thousand connections that have received something long ago.
 */
class SlabKind {
  readonly chunkBytesMax: number
  readonly sizeBytesMax: number
  readonly #used: (Slab | undefined)[]
  #next = 0

  /** @param usedMax slabs that may have memory. */
  constructor(chunkBytesMax: number, sizeBytesMax: number, usedMax: number) {
    this.chunkBytesMax = chunkBytesMax
    this.sizeBytesMax = sizeBytesMax
    this.#used = Array.from({ length: usedMax }, () => undefined)
  }

  /** `slab` is used from now on, and the one that has been longest forgets its memory. @returns its place. */
  enter(slab: Slab): number {
    const place = this.#next
    this.#next = place + 1 === this.#used.length ? 0 : place + 1
    this.#used[place]?.forget()
    this.#used[place] = slab
    return place
  }

  leave(place: number): void {
    this.#used[place] = undefined
  }
}

/** `typed_array_max_size_in_heap` of V8. */
const heapBytesMax = 64

/** For the chunks of streams. */
export const streamSlabs = new SlabKind(limits.slabChunkBytes, limits.slabBytes, limits.slabsMax)
/** For datagrams. */
export const messageSlabs
  = new SlabKind(limits.messageSlabChunkBytes, limits.messageSlabBytes, limits.messageSlabsMax)

/**
 * Memory for the small chunks that one connection receives. Node's own pool (`Buffer.allocUnsafe`) is shared by the
 * whole process: what one peer sent could be read through `chunk.buffer` of another. A slab serves one connection and
 * begins as zeros. It can't be transferred: the chunks carved from it before would go with it.
 */
export class Slab {
  readonly #kind: SlabKind
  /** No chunks are carved from anything: programs for Node's sockets read `chunk.buffer`, and mean the chunk. */
  exact = false
  /** Among those that are used, or -1. */
  #place = -1
  #memory: ArrayBuffer | undefined
  #taken = 0
  /** Bytes of the last memory, which is doubled each time. */
  #sizeBytes = 0

  constructor(kind: SlabKind) {
    this.#kind = kind
  }

  /** A chunk of the caller's own. */
  allocate(sizeBytes: number): Buffer {
    // The smallest lie on the heap of JavaScript, and are had sooner than any other.
    const isAlone = this.exact || sizeBytes <= heapBytesMax || sizeBytes > this.#kind.chunkBytesMax
    if (isAlone) return Buffer.allocUnsafeSlow(sizeBytes)
    if (this.#place < 0) {
      // It may be the only one for long.
      this.#place = this.#kind.enter(this)
      return Buffer.allocUnsafeSlow(sizeBytes)
    }
    let memory = this.#memory
    // `ArrayBuffer.prototype.transfer` heeds no mark: then there is nothing left of it.
    if (memory === undefined || this.#taken + sizeBytes > memory.byteLength) memory = this.#renew()
    const start = this.#taken
    // Chunks begin at multiples of 8 bytes, so that any typed array can be laid over one.
    this.#taken = (start + sizeBytes + 7) & ~7
    return Buffer.from(memory, start, sizeBytes)
  }

  /** Lets its memory go, but for the chunks that it has handed out. */
  forget(): void {
    if (this.#place < 0) return
    this.#kind.leave(this.#place)
    this.#place = -1
    this.#memory = undefined
    this.#sizeBytes = 0
  }

  #renew(): ArrayBuffer {
    const { chunkBytesMax, sizeBytesMax } = this.#kind
    this.#sizeBytes = Math.min(Math.max(this.#sizeBytes * 2, chunkBytesMax), sizeBytesMax)
    this.#taken = 0
    this.#memory = new ArrayBuffer(this.#sizeBytes)
    markAsUntransferable(this.#memory)
    return this.#memory
  }
}
