import type { NativeRing, Region } from '@sheaf/native'
import { bufferEntryBytes } from '../abi'
import { invariant, systemError } from '../errors'
import type { Metrics } from '../metrics'
import { BufferRing } from './buffer-ring'
import { EntryRing } from './entry-ring'

/** Group id of the receive pool; the leased send groups follow. */
export const receiveGroup = 0

export interface ReceivePoolOptions {
  /** Group id: that of the shared pool if absent. */
  readonly group?: number
  readonly bufferBytes: number
  readonly buffers: number
  readonly buffersMax: number
  /** Part of the buffers that {@link ReceivePool.allowance} leaves to others. */
  readonly reserveFraction: number
}

/** Received bytes that lie together in memory: all of a buffer, or of several that are neighbours there too. */
export interface Run {
  /** Offset in the pool's memory. */
  offset: number
  lengthBytes: number
  /** The run's buffers are `first` to `first + count - 1`. */
  first: number
  count: number
}

/**
 * The buffers that all sockets of a ring receive into. The kernel takes them in the order they were published, for
 * whichever socket has data, so one cursor in publish order says which buffers a completion covers: it begins with
 * the one it names and goes on until its bytes are used up.
 *
 * How many bytes a buffer holds is read from its entry in the ring, because the kernel may write there: when it knows
 * that less will arrive than the first buffer of a bundle holds, it shortens the entry, and if then nothing arrives
 * (a reset), the entry stays short for whoever receives next (`io_ring_buffers_peek`, 6.10 to 6.18).
 *
 * A buffer is in one of three places: with the kernel (`available`), taken and not recycled (`held`), or recycled and
 * not published yet.
 */
export class ReceivePool {
  readonly #metrics: Metrics
  readonly #ring: BufferRing
  readonly #buffersMax: number
  readonly #reserveFraction: number
  readonly #region: Region
  /** The entry of each buffer as it is published, by id. */
  readonly #templates: EntryRing
  /** Position of the next buffer that the kernel will take. */
  #taken = 0
  #published = 0
  /** Whether the kernel has used up the buffer at the cursor, which a completion without bytes has named, is open. */
  #doubtful = false
  readonly bufferBytes: number
  /** All buffers, those of the lower ids first. Bytes of a buffer are valid until it is recycled. */
  readonly memory: Uint8Array
  /** Buffers there are. */
  buffers = 0
  /** The kernel knows it. */
  #opened = false
  /** What {@link takeRun} took. */
  readonly run: Run = { offset: 0, lengthBytes: 0, first: 0, count: 0 }

  constructor(native: NativeRing, metrics: Metrics, options: ReceivePoolOptions) {
    this.#metrics = metrics
    this.bufferBytes = options.bufferBytes
    this.#buffersMax = options.buffersMax
    this.#reserveFraction = options.reserveFraction
    // Mapped for as many as there may ever be: pages that are never used cost nothing, and all is one piece.
    const region = native.createRegion(options.buffersMax * options.bufferBytes)
    if (typeof region === 'number') throw systemError(region, 'mmap')
    this.#region = region
    this.memory = new Uint8Array(region.buffer)
    const entries = 2 ** Math.ceil(Math.log2(options.buffersMax))
    this.#templates = new EntryRing(entries, new ArrayBuffer(entries * bufferEntryBytes))
    this.#ring = new BufferRing(native, options.group ?? receiveGroup, entries)
    this.#add(options.buffers)
    this.publish()
  }

  /** Has the kernel know it, if it doesn't. @throws SystemError if the kernel refuses: it may not the next time. */
  open(): this {
    if (!this.#opened) this.#ring.open()
    this.#opened = true
    return this
  }

  /** Buffers that the kernel may take. */
  get available(): number {
    return (this.#published - this.#taken) | 0
  }

  /** Counts the buffers that the kernel has taken, in 32 bits. */
  get taken(): number {
    return this.#taken
  }

  /** Buffers that completions have handed over and nobody has recycled yet. */
  get held(): number {
    return this.buffers - ((this.#ring.tail - this.#taken) | 0)
  }

  /** Buffers that must be left to sockets that recycle theirs at once: none as long as the pool can grow for them. */
  get reserve(): number {
    return this.buffers < this.#buffersMax ? 0 : Math.ceil(this.buffers * this.#reserveFraction)
  }

  /** How many more buffers may be held. */
  get allowance(): number {
    return this.buffers - this.reserve - this.held
  }

  /** Checks that a completion begins where the cursor stands. */
  expect(id: number): void {
    if (this.#doubtful) this.#settleDoubt(this.#ring.id(this.#taken) !== id)
    invariant(
      this.#taken !== this.#published && this.#ring.id(this.#taken) === id,
      'a receive completion names another buffer than the next',
    )
  }

  /** How many whole buffers the `bytes` are that follow the next `before` buffers; 0 if they end within one. */
  wholeBuffers(bytes: number, before: number): number {
    const ring = this.#ring
    let count = 0
    let left = bytes
    while (left > 0) left -= ring.words[ring.at((this.#taken + before + count++) | 0) + 2]
    return left === 0 ? count : 0
  }

  /**
   * Of the next `bytes` as many as whole buffers hold, those of one at least: `bytesMax` of them at most, if one buffer
   * has no more. Whoever takes a part of a buffer has taken the rest as well.
   * @param skipped bytes at the beginning of each buffer that are not payload.
   */
  bytesOfWhole(bytes: number, bytesMax: number, skipped: number): number {
    if (bytes <= bytesMax) return bytes
    const ring = this.#ring
    let sum = 0
    for (let position = this.#taken; sum < bytes; position = (position + 1) | 0) {
      const length = ring.words[ring.at(position) + 2] - skipped
      if (sum !== 0 && sum + length > bytesMax) return sum
      sum += length
    }
    return bytes
  }

  /**
   * Takes the next bytes in the kernel's order, at most `bytesMax` of them and as many as lie together, and describes
   * them in {@link run}.
   * @param skipped bytes at the beginning of each buffer that are not payload.
   * @param buffersMax end the run after so many buffers, at least 1.
   */
  takeRun(bytesMax: number, skipped: number, buffersMax = Infinity): Run {
    const { run } = this
    const ring = this.#ring
    const { words } = ring
    const full = this.bufferBytes
    let position = this.#taken
    let at = ring.at(position)
    const first = words[at + 3] & 0xffff
    let length = Math.min(bytesMax, words[at + 2] - skipped)
    let count = 1
    position = (position + 1) | 0
    if (skipped === 0) {
      while (length < bytesMax && length === count * full && count < buffersMax) {
        at = ring.at(position)
        if ((words[at + 3] & 0xffff) !== first + count) break
        length += Math.min(bytesMax - length, words[at + 2])
        count++
        position = (position + 1) | 0
      }
    }
    this.#taken = position
    run.offset = first * full + skipped
    run.lengthBytes = length
    run.first = first
    run.count = count
    return run
  }

  /**
   * Takes buffers of a completion of `bytes`, at most `buffersMax`, and pushes their entries, as they are, to `target`,
   * which must have room for so many.
   * @returns the bytes in them.
   */
  moveTo(target: EntryRing, bytes: number, buffersMax: number): number {
    const ring = this.#ring
    const { words } = ring
    const start = this.#taken
    let position = start
    let left = bytes
    let last = 0
    let count = 0
    while (left > 0 && count < buffersMax) {
      last = Math.min(left, words[ring.at(position) + 2])
      left -= last
      position = (position + 1) | 0
      count++
    }
    const from = ring.at(start) >>> 2
    const untilWrap = Math.min(count, ring.entries - from)
    target.pushFrom(words, from, untilWrap)
    if (untilWrap !== count) target.pushFrom(words, 0, count - untilWrap)
    target.words[target.at(target.tail - 1) + 2] = last
    this.#taken = position
    return bytes - left
  }

  /** Takes what a completion of `bytes` covers and recycles it unread. */
  skip(bytes: number): void {
    for (let left = bytes; left > 0;) {
      const run = this.takeRun(left, 0)
      left -= run.lengthBytes
      this.recycle(run.first, run.count)
    }
  }

  /** Fills `target` with the next bytes and recycles their buffers. */
  copyOut(target: Uint8Array, skipped: number): void {
    const size = target.byteLength
    let offset = 0
    while (offset < size) {
      const run = this.takeRun(size - offset, skipped)
      target.set(this.memory.subarray(run.offset, run.offset + run.lengthBytes), offset)
      offset += run.lengthBytes
      this.recycle(run.first, run.count)
    }
  }

  /**
   * A completion without bytes names a buffer. Whether the kernel has used it up depends on its version, so it is asked
   * (6.8 and later; before that it has). If its head has moved, that may have been for completions that come after this
   * one: the first of them will tell.
   */
  reconcile(id: number): void {
    this.expect(id)
    const head = this.#ring.kernelHead
    if (head === (this.#taken & 0xffff)) return
    this.#doubtful = true
    if (head < 0) this.#settleDoubt(true)
  }

  /** A receive found no buffer. */
  exhausted(): void {
    this.#metrics.poolExhausted++
    // Of what the kernel should have there is only the buffer in doubt, and it has not got that.
    if (this.#doubtful && this.available === 1) this.#settleDoubt(true)
  }

  #settleDoubt(used: boolean): void {
    this.#doubtful = false
    if (!used) return
    const { first, count } = this.takeRun(1, 0)
    this.recycle(first, count)
  }

  /** Address of a byte of {@link memory}. */
  address(offset: number): number {
    return this.#region.address + offset
  }

  /** Gives buffers back. The kernel sees them at the next {@link publish}. */
  recycle(first: number, count: number): void {
    this.#ring.pushFrom(this.#templates.words, first, count)
  }

  /** Lets the kernel have what was recycled. @returns whether there was anything. */
  publish(): boolean {
    const { tail } = this.#ring
    if (tail === this.#published) return false
    this.#metrics.poolPositions += (tail - this.#published) | 0
    this.#published = tail
    this.#ring.publish()
    return true
  }

  get canGrow(): boolean {
    return this.buffers < this.#buffersMax
  }

  /** Doubles the pool, up to its bound. @returns false at its bound. */
  grow(): boolean {
    if (!this.canGrow) return false
    this.#add(Math.min(this.buffers, this.#buffersMax - this.buffers))
    this.#metrics.poolGrowths++
    return true
  }

  unregister(): void {
    this.#ring.unregister()
  }

  #add(buffers: number): void {
    const first = this.buffers
    for (let id = first; id < first + buffers; id++) {
      this.#templates.push(this.address(id * this.bufferBytes), this.bufferBytes, id)
    }
    this.buffers += buffers
    this.recycle(first, buffers)
  }
}
