import { lockedMemoryError } from '../errors'
import type { SendWaits, SubmissionQueue } from '../queue/submission-queue'
import { setAddress } from './address'
import type { EntryRing } from './entry-ring'
import type { ReceivePool } from './receive-pool'
import type { SendBlock, SendMemory } from './send-memory'

/** What the spans of a group are parts of, and where each goes back to when it has been sent. */
export interface SpanOwners {
  readonly pool: ReceivePool
  readonly sendMemory: SendMemory
}

/** Ids from here on are spans of send memory; those below are receive buffers. */
const firstBlockId = 0x8000

/**
 * Spans of one connection in the order they are to leave, and the way they are handed to the kernel: the subclasses
 * differ in nothing else. A group is leased to a connection while it has several spans to send.
 *
 * A span is a receive buffer, a run of neighbouring ones, or a part of a send block. Entries are handed over only while
 * no request is in flight, so what a request should send is always known: all that was there when it was submitted
 * (`#goal`). Ending before that is a short send.
 */
export abstract class SendGroup {
  protected readonly queue: EntryRing
  readonly #owners: SpanOwners
  readonly #mask: number
  /** Receive buffers of the span at each index, beginning with the one that its id names; 1 where there is none. */
  readonly #counts: Uint16Array
  /** The blocks that spans are parts of, a reference each, in the order of the spans. */
  readonly #blocks: SendBlock[] = []
  #blocksPushed = 0
  #blocksReleased = 0
  protected head = 0
  #goal = 0
  /** Requests that have not ended. */
  #requests = 0
  /** Completions of the request in flight; and the spans that the last one covered. */
  completions = 0
  covered = 0
  /** That ended within a span, of which the rest is still to be sent. */
  splitsSpan = false

  /** @param queue has a power of two of entries, at most 32768. */
  constructor(queue: EntryRing, owners: SpanOwners) {
    this.queue = queue
    this.#owners = owners
    this.#mask = queue.entries - 1
    this.#counts = new Uint16Array(queue.entries).fill(1)
  }

  get spans(): number {
    return (this.queue.tail - this.head) | 0
  }

  /** Spans that can be queued. */
  get room(): number {
    return this.queue.entries - this.spans
  }

  get inFlight(): boolean {
    return this.#requests !== 0
  }

  /** The id that the kernel should name as the first of the next completion. */
  get firstId(): number {
    return this.queue.id(this.head)
  }

  /** Queues part of a block and takes a reference to it. There must be room. */
  pushBlock(block: SendBlock, start: number, end: number): void {
    block.references++
    // There are no more of them than entries: they move less often than once a push.
    if (this.#blocksPushed === 2 * this.queue.entries) this.#moveBlocks()
    this.#blocks[this.#blocksPushed++] = block
    this.queue.push(block.address + start, end - start, firstBlockId + (this.queue.tail & this.#mask))
  }

  /** Queues neighbouring receive buffers as one span. They are recycled when it has been sent. There must be room. */
  pushRun(address: number, lengthBytes: number, first: number, count: number): void {
    this.#counts[this.queue.tail & this.#mask] = count
    this.queue.push(address, lengthBytes, first)
  }

  /**
   * Queues buffers of a receive completion of `bytes`, at most `buffersMax`, as a span each. @returns the bytes in
   * them.
   */
  pushReceived(bytes: number, buffersMax: number): number {
    return this.#owners.pool.moveTo(this.queue, bytes, Math.min(buffersMax, this.room))
  }

  /** Asks the kernel to send everything queued. Nothing must be in flight, and something queued. */
  submit(queue: SubmissionQueue, slot: number, fd: number, waits: SendWaits = 0): void {
    this.completions = 0
    const handedOver = this.handOver(queue, slot, fd, waits, this.spans)
    this.#goal = (this.head + handedOver.spans) | 0
    this.#requests = handedOver.requests
  }

  /** Takes `bytes` that the kernel has sent off the front. */
  sent(bytes: number): void {
    this.completions++
    this.covered = this.#takeOff(bytes)
  }

  /**
   * One request has ended. When it was the last: what a short send left is made ready to be sent again.
   * @returns whether there was such a short send.
   * @throws SystemError if the kernel refuses to have it: what is queued can only be given back.
   */
  requestEnded(): boolean {
    if (--this.#requests !== 0 || this.head === this.#goal) return false
    const result = this.restore()
    if (result < 0) throw lockedMemoryError(result, 'io_uring_register')
    return true
  }

  /** Has the kernel know the group, if it doesn't. @returns 0 or `-errno`. */
  prepare(): number {
    return 0
  }

  /** Gives every span back unsent. No request may be in flight. */
  abandon(): void {
    this.#requests = 0
    if (this.spans === 0) return
    this.#takeOff(Infinity)
    this.restore()
  }

  /** Submits requests for the first `spans` spans, or for fewer of them. */
  protected abstract handOver(
    queue: SubmissionQueue,
    slot: number,
    fd: number,
    waits: SendWaits,
    spans: number,
  ): { spans: number, requests: number }
  /**
   * Makes the kernel's view of the group that of this object again, after a request took entries it did not send.
   * @returns 0 or `-errno`: then {@link prepare} is to be called before anything is submitted.
   */
  protected abstract restore(): number
  /** Gives the kernel's side of the group back. */
  abstract unregister(): void

  /** Forgets what runs the spans were when they were at other positions. */
  protected moved(from: number, to: number, count: number): void {
    const counts: number[] = []
    for (let offset = 0; offset < count; offset++) {
      const index = (from + offset) & this.#mask
      counts.push(this.#counts[index])
      this.#counts[index] = 1
    }
    counts.forEach((buffers, offset) => {
      this.#counts[(to + offset) & this.#mask] = buffers
    })
  }

  /**
   * Takes bytes off the front and gives their spans back to where they came from, neighbouring receive buffers
   * together.
   * One pass over the entries: at 32 bytes a buffer this loop is most of what sending costs in TypeScript.
   * @returns the spans that the bytes covered, in part or whole.
   */
  #takeOff(bytes: number): number {
    const { pool } = this.#owners
    const { words, tail } = this.queue
    const mask = this.#mask
    const counts = this.#counts
    let left = bytes
    let position = this.head
    let first = 0
    let count = 0
    this.splitsSpan = false
    for (; left > 0 && position !== tail; position = (position + 1) | 0) {
      const index = position & mask
      const at = index << 2
      const length = words[at + 2]
      if (length > left) {
        this.#shorten(position, left)
        this.splitsSpan = true
        break
      }
      left -= length
      const id = words[at + 3] & 0xffff
      if (id >= firstBlockId) {
        this.#releaseBlock()
        continue
      }
      if (id !== first + count) {
        if (count !== 0) pool.recycle(first, count)
        first = id
        count = 0
      }
      count += counts[index]
      counts[index] = 1
    }
    if (count !== 0) pool.recycle(first, count)
    const covered = ((position - this.head) | 0) + (left > 0 && position !== tail ? 1 : 0)
    this.head = position
    return covered
  }

  #shorten(position: number, bytes: number): void {
    const { queue } = this
    const address = queue.address(position) + bytes
    const length = queue.lengthBytes(position) - bytes
    const at = queue.at(position)
    setAddress(queue.words, at, address)
    queue.words[at + 2] = length
  }

  #releaseBlock(): void {
    this.#owners.sendMemory.release(this.#blocks[this.#blocksReleased++])
    if (this.#blocksReleased === this.#blocksPushed) this.#blocksReleased = this.#blocksPushed = 0
  }

  #moveBlocks(): void {
    this.#blocks.copyWithin(0, this.#blocksReleased, this.#blocksPushed)
    this.#blocksPushed -= this.#blocksReleased
    this.#blocksReleased = 0
  }
}
