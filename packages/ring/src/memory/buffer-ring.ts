import type { NativeRing, Region } from '@sheaf/native'
import { bufferEntryBytes } from '../abi'
import { lockedMemoryError, systemError } from '../errors'
import { EntryRing } from './entry-ring'

/** Index of the tail among the ring's 16-bit words. */
const tailIndex = 7

/**
 * A provided-buffer ring: where buffers are published for the kernel to take, in the order published. Whoever
 * publishes keeps the buffers in place until a completion has named them, or the ring has been unregistered.
 */
export class BufferRing extends EntryRing {
  readonly #native: NativeRing
  /** Kept so that the memory outlives the registration. */
  readonly #region: Region
  readonly #tailWord: Uint16Array
  readonly group: number

  /**
   * The kernel does not know of it yet: see {@link open}.
   * @param entries a power of two, up to 32768. @throws SystemError if there is no memory.
   */
  constructor(native: NativeRing, group: number, entries: number) {
    const region = native.createRegion(entries * bufferEntryBytes)
    if (typeof region === 'number') throw systemError(region, 'mmap')
    super(entries, region.buffer)
    this.#native = native
    this.#region = region
    this.group = group
    this.#tailWord = new Uint16Array(region.buffer, 0, tailIndex + 1)
  }

  /** Lets the kernel see everything pushed. */
  publish(): void {
    Atomics.store(this.#tailWord, tailIndex, this.tail & 0xffff)
  }

  /** How far the kernel has taken entries (16 bits), or `-errno` where it can't say (before 6.8). */
  get kernelHead(): number {
    return this.#native.bufferRingHead(this.group)
  }

  /** Takes back every entry. No request may be using the ring. The kernel knows it no more: see {@link register}. */
  clear(): void {
    this.unregister()
    this.tail = 0
    this.words.fill(0)
  }

  unregister(): void {
    this.#native.unregisterBufferRing(this.group)
  }

  /** Has the kernel know it. @returns 0 or `-errno`. */
  register(): number {
    return this.#native.registerBufferRing(this.#region.address, this.entries, this.group, 0)
  }

  /** As {@link register}. @throws SystemError if the kernel refuses. */
  open(): this {
    const result = this.register()
    if (result < 0) throw lockedMemoryError(result, 'io_uring_register')
    return this
  }
}
