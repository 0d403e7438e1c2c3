import { Buffer } from 'node:buffer'
import type { SocketCalls } from '@sheaf/native'
import { MessageFlag } from '../abi'
import { limits } from '../limits'
import type { Slab } from '../memory/slab'
import type { Chunk } from '../transport'
import { Wish } from '../wish'
import { Fifo } from './fifo'

/** A stream of which the kernel has more than the pool had buffers for. */
export interface DirectReader {
  /** Receives once. @returns whether there may be more. */
  receiveDirectly(): boolean
}

/**
 * Streams that have found the receive pool empty. They are received from by system calls of their own, each into a
 * chunk that the application gets as it is, in turn, until the kernel has nothing left of them: that takes no buffers
 * from others, and saves the copy out of the pool. Each is received from once before it waits for its turn.
 */
export class DirectReceives {
  /** What is received at once: what a chunk may have, or as much as the pool if that has less. */
  readonly chunkBytes: number
  readonly #sockets: SocketCalls
  /** Those that have not been received from yet: most have less than a chunk, and are armed again. */
  readonly #new = new Fifo<DirectReader>()
  /** Those that have filled a chunk. */
  readonly #readers = new Fifo<DirectReader>()
  /** Says to the loop hook that there are readers. */
  readonly #wanted: Uint32Array
  /** What the first of them has received in a row. */
  #inARow = 0
  /** What may still be received in this turn. */
  #leftBytes = 0
  /** What is received into next. */
  #chunk: Buffer | undefined

  constructor(sockets: SocketCalls, wanted: Uint32Array, poolBytes: number) {
    this.chunkBytes = Math.min(limits.chunkBytesMax, poolBytes)
    this.#sockets = sockets
    this.#wanted = wanted
  }

  add(reader: DirectReader): void {
    this.#new.push(reader)
    this.#wanted[Wish.Events] = 1
  }

  /** Lets those that wait receive, as much as one turn allows. Who asks for little does not wait for who sends much. */
  run(): void {
    this.#leftBytes = limits.directBytesPerTurn
    this.#runNew()
    this.#runOthers()
    this.#wanted[Wish.Events] = this.#new.length === 0 && this.#readers.length === 0 ? 0 : 1
  }

  /** Those that are added meanwhile come in the next turn. */
  #runNew(): void {
    const keptBytes = this.#readers.length === 0 ? 0 : limits.directBytesPerTurn / 2
    for (let count = this.#new.length; count > 0 && this.#leftBytes > keptBytes; count--) {
      const reader = this.#new.shift()
      if (reader === undefined) return
      // Who throws has been told, and may have more.
      let goesOn = true
      try {
        goesOn = reader.receiveDirectly()
      } finally {
        if (goesOn) this.#readers.push(reader)
      }
    }
  }

  #runOthers(): void {
    while (this.#leftBytes > 0) {
      const reader = this.#readers.at(0)
      if (reader === undefined) return
      const goesOn = reader.receiveDirectly()
      this.#inARow += this.chunkBytes
      if (goesOn && this.#inARow < limits.directBytesInARow) continue
      this.#inARow = 0
      this.#readers.shift()
      if (goesOn) this.#readers.push(reader)
    }
  }

  /**
   * Receives from `fd`.
   * @param slab where a chunk is made of what does not fill one.
   * @returns a chunk, of {@link chunkBytes} if there may be more; 0 at the end; or `-errno`.
   */
  receive(fd: number, slab: Slab): Chunk | number {
    const chunk = this.#chunk ??= Buffer.allocUnsafeSlow(this.chunkBytes)
    const result = this.#sockets.receive(fd, chunk, MessageFlag.DontWait)
    if (result <= 0) return result
    this.#leftBytes -= result
    if (result === chunk.byteLength) {
      this.#chunk = undefined
      return chunk
    }
    const received = chunk.subarray(0, result)
    let part: Chunk
    try {
      part = slab.allocate(result)
    } catch {
      // There is no memory for a copy, and the bytes are the kernel's no more.
      this.#chunk = undefined
      return received
    }
    part.set(received)
    return part
  }
}
