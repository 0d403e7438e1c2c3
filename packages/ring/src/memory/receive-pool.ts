import type { Binding, NativeRing, Region } from '@sheaf/native'
import { invariant, systemError } from '../errors'
import { limits } from '../limits'
import { countBundle, type Metrics } from '../metrics'
import { BufferRing } from './buffer-ring'

/** Group id of the receive pool; the leased send groups follow. */
export const receiveGroup = 0

export interface ReceivePoolOptions {
  readonly bufferBytes: number
  readonly buffers: number
  readonly buffersMax: number
}

/**
 * The buffers that all sockets of a ring receive into. The kernel takes them in the order they were published, for
 * whichever socket has data, so one cursor in publish order says which buffers a completion covers: it begins with
 * the one it names and goes on until its bytes are used up.
 *
 * A buffer is in one of three places: with the kernel (`available`), taken and not recycled (`held`), or recycled and
 * not published yet.
 */
export class ReceivePool {
  readonly #binding: Binding
  readonly #metrics: Metrics
  readonly #ring: BufferRing
  readonly #mask: number
  readonly #buffersMax: number
  readonly #regions: Region[] = []
  /** Ids in publish order. */
  readonly #order: Uint16Array
  /** Position of the next buffer that the kernel will take, and of the next that will be pushed. */
  #taken = 0
  #pushed = 0
  #published = 0
  #buffers = 0
  readonly #addresses: Float64Array
  readonly #bytes: Uint8Array[] = []
  readonly bufferBytes: number

  constructor(binding: Binding, native: NativeRing, metrics: Metrics, options: ReceivePoolOptions) {
    this.#binding = binding
    this.#metrics = metrics
    this.bufferBytes = options.bufferBytes
    this.#buffersMax = Math.min(Math.max(options.buffers, options.buffersMax), limits.bufferRingEntriesMax)
    const entries = 2 ** Math.ceil(Math.log2(this.#buffersMax))
    this.#ring = new BufferRing(binding, native, receiveGroup, entries)
    this.#mask = entries - 1
    this.#order = new Uint16Array(entries)
    this.#addresses = new Float64Array(entries)
    this.#add(options.buffers)
    this.publish()
  }

  /** Buffers there are. */
  get buffers(): number {
    return this.#buffers
  }

  /** Buffers that the kernel may take. */
  get available(): number {
    return (this.#published - this.#taken) | 0
  }

  /** Buffers that completions have handed over and nobody has recycled yet. */
  get held(): number {
    return this.#buffers - ((this.#pushed - this.#taken) | 0)
  }

  /** Takes the next buffer in the kernel's order. */
  take(): number {
    const id = this.#order[this.#taken & this.#mask]
    this.#taken = (this.#taken + 1) | 0
    return id
  }

  /** Checks that a completion begins where the cursor stands. */
  expect(id: number): void {
    invariant(
      this.#taken !== this.#published && this.#order[this.#taken & this.#mask] === id,
      'a receive completion names another buffer than the next',
    )
  }

  /** Takes what a completion of `bytes` covers and recycles it unread. */
  skip(bytes: number): void {
    for (let left = bytes; left > 0; left -= this.bufferBytes) this.recycle(this.take())
  }

  /**
   * Fills `target` from the next buffers, each of which begins with `skipped` bytes that do not count, and recycles
   * them.
   */
  copyOut(target: Uint8Array, skipped: number): void {
    const capacity = this.bufferBytes - skipped
    const size = target.byteLength
    let offset = 0
    let buffers = 0
    while (offset < size) {
      const id = this.take()
      const count = Math.min(capacity, size - offset)
      const bytes = this.#bytes[id]
      target.set(count === bytes.byteLength ? bytes : bytes.subarray(skipped, skipped + count), offset)
      this.recycle(id)
      offset += count
      buffers++
    }
    this.countBundle(buffers)
  }

  /** Notes in the metrics that a completion covered so many buffers. */
  countBundle(buffers: number): void {
    this.#metrics.receiveBuffers += buffers
    countBundle(this.#metrics.receiveBundles, buffers)
  }

  /**
   * A completion without bytes names a buffer. Whether the kernel has used it up depends on its version, so it is asked
   * (6.8 and later; before that it has).
   */
  reconcile(id: number): void {
    this.expect(id)
    const head = this.#ring.kernelHead
    if (head < 0 || head !== (this.#taken & 0xffff)) this.recycle(this.take())
  }

  address(id: number): number {
    return this.#addresses[id]
  }

  /** The buffer's memory, valid until it is recycled. */
  bytes(id: number): Uint8Array {
    return this.#bytes[id]
  }

  /** Gives a buffer back. The kernel sees it at the next {@link publish}. */
  recycle(id: number): void {
    this.#order[this.#pushed & this.#mask] = id
    this.#pushed = (this.#pushed + 1) | 0
    this.#ring.push(this.#addresses[id], this.bufferBytes, id)
  }

  /** Lets the kernel have what was recycled. @returns whether there was anything. */
  publish(): boolean {
    if (this.#pushed === this.#published) return false
    this.#metrics.poolPositions += (this.#pushed - this.#published) | 0
    this.#published = this.#pushed
    this.#ring.publish()
    return true
  }

  /** Doubles the pool. @returns false at its bound, or if there is no memory. */
  grow(): boolean {
    const more = Math.min(this.#buffers, this.#buffersMax - this.#buffers)
    if (more <= 0) return false
    try {
      this.#add(more)
    } catch {
      return false
    }
    this.#metrics.poolGrowths++
    return true
  }

  unregister(): void {
    this.#ring.unregister()
  }

  #add(buffers: number): void {
    const region = this.#binding.createRegion(buffers * this.bufferBytes)
    if (typeof region === 'number') throw systemError(region, 'mmap')
    this.#regions.push(region)
    for (let index = 0; index < buffers; index++) {
      const id = this.#buffers++
      const offset = index * this.bufferBytes
      this.#addresses[id] = region.address + offset
      this.#bytes[id] = new Uint8Array(region.buffer, offset, this.bufferBytes)
      this.recycle(id)
    }
  }
}
