import { bufferEntryBytes } from '../abi'
import { isPoisoned, poisonMemory, type SimulatedMemory } from './memory'
import type { NamedMemory } from './named-memory'

const twoTo32 = 2 ** 32
const tailIndex = 7

/** `UIO_MAXIOV`, and `PEEK_MAX_IMPORT` of `io_uring/kbuf.c`. */
const availableMax = 1024
const bundleBuffersMax = 256

export interface BufferEntry {
  readonly id: number
  readonly address: number
  lengthBytes: number
}

/** Buffers for one step of a request. */
export interface Peeked {
  readonly buffers: BufferEntry[]
  /** No further buffers were there (`REQ_F_BL_EMPTY`). */
  readonly empty: boolean
  /** The last one would have been cut to the bytes asked for (`partial_map`). */
  readonly partial: boolean
}

/** One provided-buffer ring, as the kernel reads it. */
export class BufferGroup {
  readonly #memory: SimulatedMemory
  readonly #named: NamedMemory
  readonly #violated: (what: string) => void
  readonly #words: Uint32Array
  readonly #tailWord: Uint16Array
  readonly #entries: number
  /** Buffers are received into, so that they are the kernel's from when it sees them. */
  #receiving = false
  /** How far the kernel has taken entries, and seen those of a receiving group: 16 bits. */
  head = 0
  #seen = 0

  constructor(
    ring: Buffer,
    entries: number,
    memory: SimulatedMemory,
    named: NamedMemory,
    violated: (what: string) => void,
  ) {
    this.#memory = memory
    this.#named = named
    this.#violated = violated
    this.#words = new Uint32Array(ring.buffer, ring.byteOffset, entries * bufferEntryBytes / 4)
    this.#tailWord = new Uint16Array(ring.buffer, ring.byteOffset, tailIndex + 1)
    this.#entries = entries
  }

  get available(): number {
    return (this.#tailWord[tailIndex] - this.head) & 0xffff
  }

  /** The group is received into from now on. */
  receive(): void {
    if (this.#receiving) return
    this.#receiving = true
    this.#seen = this.head
    this.see()
  }

  /** Looks at what has been published. The kernel may do so whenever it is entered. */
  see(): void {
    if (this.available > this.#entries) this.#violated('more buffers were published than their ring has entries')
    if (!this.#receiving) return
    const tail = this.#tailWord[tailIndex]
    while (this.#seen !== tail) {
      const { address, lengthBytes } = this.#entry(this.#seen)
      const bytes = this.#memory.at(address, lengthBytes)
      if (bytes === undefined || lengthBytes === 0) this.#violated('a buffer was published that is no mapped memory')
      else {
        this.#named.provide(address, lengthBytes)
        poisonMemory(bytes)
      }
      this.#seen = (this.#seen + 1) & 0xffff
    }
  }

  /**
   * `io_ring_buffers_peek` of `io_uring/kbuf.c`: what a step of a request may use.
   * @param vectors entries that the request has room for unless it knows its bytes.
   * @param bytesMax bytes it knows there to be, or 0.
   */
  peek(vectors: number, bytesMax: number): Peeked {
    let available = Math.min(this.available, availableMax)
    let left = bytesMax === 0 ? Infinity : bytesMax
    if (bytesMax !== 0) {
      const { lengthBytes } = this.#entry(this.head)
      available = Math.min(available, Math.ceil(bytesMax / lengthBytes), bundleBuffersMax)
    }
    let count = bytesMax === 0 ? Math.min(available, vectors) : available
    let head = this.head
    const buffers: BufferEntry[] = []
    let partial = false
    while (count > 0) {
      const buffer = this.#entry(head)
      if (buffer.lengthBytes > left) {
        partial = true
        if (buffers.length !== 0) break
        // The kernel leaves the length in the entry.
        buffer.lengthBytes = left
        this.#words[this.#at(head) + 2] = left
      }
      buffers.push(buffer)
      left -= buffer.lengthBytes
      if (left === 0) break
      head = (head + 1) & 0xffff
      count--
    }
    return { buffers, empty: head === this.#tailWord[tailIndex], partial }
  }

  /** Takes the next `count` buffers: what they hold is the process's again when a completion has named them. */
  commit(count: number): void {
    for (let left = count; left > 0; left--) {
      if (this.#receiving) this.#named.take(this.#entry(this.head).address)
      this.head = (this.head + 1) & 0xffff
    }
  }

  /** Where to receive into: a buffer that nobody else may have written to. */
  target(buffer: BufferEntry): Buffer {
    const bytes = this.#memory.at(buffer.address, buffer.lengthBytes) ?? Buffer.alloc(buffer.lengthBytes)
    if (bytes.byteLength >= 2 && !isPoisoned(bytes)) this.#violated('a buffer was written to while the kernel had it')
    return bytes
  }

  /** The ring is taken back with what is in it. */
  unregister(): void {
    if (!this.#receiving) return
    for (let position = this.head; position !== this.#seen; position = (position + 1) & 0xffff) {
      this.#named.take(this.#entry(position).address)
    }
  }

  #at(position: number): number {
    return (position & (this.#entries - 1)) << 2
  }

  #entry(position: number): BufferEntry {
    const at = this.#at(position)
    const words = this.#words
    return {
      id: words[at + 3] & 0xffff,
      address: words[at] + words[at + 1] * twoTo32,
      lengthBytes: words[at + 2],
    }
  }
}
