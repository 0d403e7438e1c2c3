import type { SubmissionQueue } from '../queue/submission-queue'
import type { ReceivePool } from './receive-pool'
import type { SendBlock, SendMemory } from './send-memory'

/** What the spans of a group are parts of, and where each goes back to when it has been sent. */
export interface SpanOwners {
  readonly pool: ReceivePool
  readonly sendMemory: SendMemory
}

/** Marks a span of send memory, where a received buffer has its id. */
const notReceived = -1

/**
 * Spans of one connection in the order they are to leave, and the way they are handed to the kernel: the subclasses
 * differ in nothing else. A group is leased to a connection while it has several spans to send.
 *
 * Entries are handed over only while no request is in flight, so what a request should send is always known: all
 * that was there when it was submitted (`#goal`). Ending before that is a short send.
 */
export abstract class SendGroup {
  readonly #owners: SpanOwners
  readonly #mask: number
  readonly #addresses: Float64Array
  readonly #lengths: Uint32Array
  /** The receive buffer that a span is, or `notReceived`: then it is part of the block at the same index. */
  readonly #received: Int32Array
  readonly #blocks: (SendBlock | undefined)[]
  #head = 0
  #tail = 0
  #goal = 0
  /** Requests that have not ended. */
  #requests = 0
  /** Completions of the request in flight; and the spans that the last one covered. */
  completions = 0
  covered = 0

  constructor(entries: number, owners: SpanOwners) {
    this.#owners = owners
    this.#mask = entries - 1
    this.#addresses = new Float64Array(entries)
    this.#lengths = new Uint32Array(entries)
    this.#received = new Int32Array(entries)
    this.#blocks = new Array<SendBlock | undefined>(entries).fill(undefined)
  }

  get spans(): number {
    return (this.#tail - this.#head) | 0
  }

  /** Spans that can be queued. */
  get room(): number {
    return this.#mask + 1 - this.spans
  }

  get inFlight(): boolean {
    return this.#requests !== 0
  }

  /** Queues part of a block and takes a reference to it. There must be room. */
  pushBlock(block: SendBlock, start: number, end: number): void {
    block.references++
    this.#blocks[this.#tail & this.#mask] = block
    this.#push(block.address + start, end - start, notReceived)
  }

  /** Queues a received buffer, which is recycled when it has been sent. There must be room. */
  pushReceived(address: number, lengthBytes: number, id: number): void {
    this.#push(address, lengthBytes, id)
  }

  /** Asks the kernel to send everything queued. Nothing must be in flight, and something queued. */
  submit(queue: SubmissionQueue, slot: number, fd: number): void {
    this.completions = 0
    const handedOver = this.handOver(queue, slot, fd, this.spans)
    this.#goal = (this.#head + handedOver.spans) | 0
    this.#requests = handedOver.requests
  }

  /** Takes `bytes` that the kernel has sent off the front. */
  sent(bytes: number): void {
    this.completions++
    const lengths = this.#lengths
    const received = this.#received
    let left = bytes
    let covered = 0
    while (left > 0) {
      const index = this.#head & this.#mask
      const length = lengths[index]
      covered++
      if (left < length) {
        this.#addresses[index] = this.#addresses[index] + left
        lengths[index] = length - left
        break
      }
      left -= length
      const id = received[index]
      if (id === notReceived) this.#releaseBlock(index)
      else this.#owners.pool.recycle(id)
      this.#head = (this.#head + 1) | 0
    }
    this.covered = covered
  }

  /**
   * One request has ended. When it was the last: what a short send left is made ready to be sent again.
   * @returns whether there was such a short send.
   */
  requestEnded(): boolean {
    if (--this.#requests !== 0 || this.#head === this.#goal) return false
    this.restore()
    return true
  }

  /** Gives every span back unsent. No request may be in flight. */
  abandon(): void {
    this.#requests = 0
    if (this.spans === 0) return
    while (this.#head !== this.#tail) {
      const index = this.#head & this.#mask
      const id = this.#received[index]
      if (id === notReceived) this.#releaseBlock(index)
      else this.#owners.pool.recycle(id)
      this.#head = (this.#head + 1) | 0
    }
    this.restore()
  }

  /** Calls `each` for every span in order. */
  protected forEachSpan(count: number, each: (address: number, lengthBytes: number, id: number) => void): void {
    for (let offset = 0; offset < count; offset++) {
      const index = (this.#head + offset) & this.#mask
      each(this.#addresses[index], this.#lengths[index], index)
    }
  }

  /** The id that the kernel should name as the first of the next completion. */
  get firstId(): number {
    return this.#head & this.#mask
  }

  /** A span has been queued. */
  protected abstract queued(address: number, lengthBytes: number, id: number): void
  /** Submits requests for the first `spans` spans, or for fewer of them. */
  protected abstract handOver(
    queue: SubmissionQueue,
    slot: number,
    fd: number,
    spans: number,
  ): { spans: number, requests: number }
  /** Makes the kernel's view of the group that of this object again, after a request took entries it did not send. */
  protected abstract restore(): void
  /** Gives the kernel's side of the group back. */
  abstract unregister(): void

  #push(address: number, lengthBytes: number, received: number): void {
    const index = this.#tail & this.#mask
    this.#addresses[index] = address
    this.#lengths[index] = lengthBytes
    this.#received[index] = received
    this.#tail = (this.#tail + 1) | 0
    this.queued(address, lengthBytes, index)
  }

  #releaseBlock(index: number): void {
    const block = this.#blocks[index] as SendBlock
    this.#blocks[index] = undefined
    this.#owners.sendMemory.release(block)
  }
}
