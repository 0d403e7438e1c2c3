import type { ReceivePool } from '../memory/receive-pool'
import { messageSlabs, Slab } from '../memory/slab'
import { ReceivedDescriptors } from '../socket/rights'
import type { Address, BorrowedChunk, Chunk, MessageBatch, MessageDetails } from '../transport'

/**
 * Datagrams that a socket has received and not handed over: first in receive buffers, which are held as long; in memory
 * of their own ({@link detach}) if the owner pauses.
 */
export class ReceivedBatch<A extends Address> implements MessageBatch<A> {
  readonly #slab = new Slab(messageSlabs)
  readonly #memories: Buffer[] = []
  readonly #offsets: number[] = []
  readonly #lengths: number[] = []
  readonly #senders: A[] = []
  readonly #details: (MessageDetails | undefined)[] = []
  /** What came along with them. */
  readonly #descriptors: ReceivedDescriptors[] = []
  /** Some are in memory that is no receive buffer. */
  #hasOwnMemory = false
  /** Receive buffers, by id. */
  readonly #held: number[] = []
  /** Of those added, the first that has not been handed over. */
  #next = 0
  #added = 0
  /** Of those added, the first that is not among those being told. */
  #toldEnd: number | undefined

  /** Whether each {@link chunk} is to have an `ArrayBuffer` of its own. */
  set exactChunks(exact: boolean) {
    this.#slab.exact = exact
  }

  get count(): number {
    return this.#end - this.#next
  }

  get #end(): number {
    return this.#toldEnd ?? this.#added
  }

  /** All that there are now are being told: they stay as they are, whatever comes or becomes of the socket. */
  get telling(): boolean {
    return this.#toldEnd !== undefined
  }

  beginTelling(): void {
    this.#toldEnd = this.#added
  }

  endTelling(): void {
    this.#next = this.#end
    this.#toldEnd = undefined
  }

  add(memory: Buffer, offset: number, lengthBytes: number, from: A, details: MessageDetails | undefined): void {
    const at = this.#added++
    this.#memories[at] = memory
    this.#offsets[at] = offset
    this.#lengths[at] = lengthBytes
    this.#senders[at] = from
    this.#details[at] = details
    if (details?.fds instanceof ReceivedDescriptors) this.#descriptors.push(details.fds)
  }

  /** Keeps a receive buffer until {@link clear} or {@link detach}. */
  hold(buffer: number): void {
    this.#held.push(buffer)
  }

  memory(index: number): BorrowedChunk {
    return this.#memories[this.#at(index)] as BorrowedChunk
  }

  offset(index: number): number {
    return this.#offsets[this.#at(index)]
  }

  lengthBytes(index: number): number {
    return this.#lengths[this.#at(index)]
  }

  from(index: number): A {
    return this.#senders[this.#at(index)]
  }

  details(index: number): MessageDetails | undefined {
    return this.#details[this.#at(index)]
  }

  chunk(index: number): Chunk {
    const view = this.view(index)
    const chunk = this.#slab.allocate(view.byteLength)
    chunk.set(view)
    return chunk
  }

  view(index: number): BorrowedChunk {
    const at = this.#at(index)
    const offset = this.#offsets[at]
    return this.#memories[at].subarray(offset, offset + this.#lengths[at]) as BorrowedChunk
  }

  /** The first datagram has been handed over. */
  shift(): void {
    this.#next++
  }

  /** Forgets everything and gives the receive buffers back. @param pool absent where none are held. */
  clear(pool?: ReceivePool): void {
    this.#next = this.#added = 0
    for (const descriptors of this.#descriptors) descriptors.close()
    this.#descriptors.length = 0
    // What is not overwritten soon would keep it alive. The array of receive buffers is kept, as it would grow anew.
    if (pool === undefined || this.#hasOwnMemory) this.#memories.length = 0
    this.#hasOwnMemory = false
    if (pool !== undefined) this.#recycle(pool)
  }

  /** Lets the memory for chunks go: nothing more is received. */
  release(): void {
    this.#slab.forget()
  }

  /** Moves what has not been handed over out of the receive buffers, and gives those back. */
  detach(pool: ReceivePool): void {
    if (this.#held.length === 0) return
    for (let at = this.#next; at < this.#added; at++) {
      if (this.#memories[at].buffer !== pool.memory.buffer) continue
      this.#memories[at] = this.chunk(at - this.#next)
      this.#hasOwnMemory = true
      this.#offsets[at] = 0
    }
    this.#recycle(pool)
  }

  #recycle(pool: ReceivePool): void {
    for (const buffer of this.#held) pool.recycle(buffer, 1)
    this.#held.length = 0
  }

  #at(index: number): number {
    const at = this.#next + index
    const isThere = Number.isInteger(index) && index >= 0 && at < this.#end
    if (!isThere) throw new RangeError(`The batch has no datagram ${index}`)
    return at
  }
}
