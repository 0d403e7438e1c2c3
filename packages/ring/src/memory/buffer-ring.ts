import type { Binding, NativeRing, Region } from '@sheaf/native'
import { bufferEntryBytes } from '../abi'
import { systemError } from '../errors'

const twoTo32 = 2 ** 32
/** The tail shares the first entry's last two bytes, which no entry uses. */
const tailIndex = 7

/**
 * A provided-buffer ring: where buffers are published for the kernel to take, in the order published. Whoever
 * publishes keeps the buffers in place until a completion has named them, or the ring has been unregistered.
 */
export class BufferRing {
  readonly #native: NativeRing
  /** Kept so that the memory outlives the registration. */
  readonly #region: Region
  readonly #words: Uint32Array
  readonly #tailWord: Uint16Array
  readonly #mask: number
  #tail = 0
  readonly group: number
  readonly entries: number

  /** @param entries a power of two, up to 32768. @throws SystemError if the kernel refuses. */
  constructor(binding: Binding, native: NativeRing, group: number, entries: number) {
    this.#native = native
    this.group = group
    this.entries = entries
    this.#mask = entries - 1
    const region = binding.createRegion(entries * bufferEntryBytes)
    if (typeof region === 'number') throw systemError(region, 'mmap')
    this.#region = region
    this.#words = new Uint32Array(region.buffer, 0, entries * (bufferEntryBytes / 4))
    this.#tailWord = new Uint16Array(region.buffer, 0, tailIndex + 1)
    this.#register()
  }

  /** Writes the next entry. The kernel does not see it before {@link publish}. */
  push(address: number, lengthBytes: number, id: number): void {
    const at = (this.#tail & this.#mask) << 2
    const words = this.#words
    words[at] = address >>> 0
    words[at + 1] = (address / twoTo32) >>> 0
    words[at + 2] = lengthBytes
    // The upper half of this word is, in entry 0, the tail: it keeps its value.
    const shared = words[at + 3]
    words[at + 3] = (shared & 0xffff0000) | id
    this.#tail = (this.#tail + 1) & 0xffff
  }

  /** Lets the kernel see everything pushed. */
  publish(): void {
    Atomics.store(this.#tailWord, tailIndex, this.#tail)
  }

  /** How far the kernel has taken entries (16 bits), or `-errno` where it can't say (before 6.8). */
  get kernelHead(): number {
    return this.#native.bufferRingHead(this.group)
  }

  /** Takes back every entry. No request may be using the ring. */
  reset(): void {
    this.unregister()
    this.#tail = 0
    this.#words.fill(0)
    this.#register()
  }

  unregister(): void {
    this.#native.unregisterBufferRing(this.group)
  }

  #register(): void {
    const result = this.#native.registerBufferRing(this.#region.address, this.entries, this.group, 0)
    if (result < 0) throw systemError(result, 'io_uring_register')
  }
}
