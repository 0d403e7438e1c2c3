import type { Ring } from '../ring'
import type { Chunk, Transport } from '../transport'
import { StreamConnection } from './connection'

/** One direction of a proxy: what `from` receives goes to `to`, as it is where both are on one ring. */
export class Forwarding {
  readonly from: StreamConnection
  readonly #to: Transport
  /** `to`, if received buffers can enter its send group as they are. */
  readonly #sameRing: StreamConnection | undefined
  readonly #ring: Ring
  /** Buffers that the pool must keep for others. */
  readonly #reserve: number

  constructor(from: StreamConnection, to: Transport) {
    this.from = from
    this.#to = to
    this.#ring = from.ring
    this.#sameRing = to instanceof StreamConnection && to.ring === from.ring ? to : undefined
    this.#reserve = from.ring.receiveReserveFraction
  }

  /** Passes on the next `bytes` of the receive pool; each buffer begins with `skipped` bytes that are not payload. */
  received(bytes: number, skipped: number): void {
    const pool = this.#ring.pool
    const to = this.#sameRing
    const mayHold = to === undefined ? 0 : pool.buffers * (1 - this.#reserve)
    let left = bytes
    let buffers = 0
    while (left > 0) {
      const id = pool.take()
      const length = Math.min(left, pool.bufferBytes - skipped)
      left -= length
      buffers++
      if (to === undefined || pool.held > mayHold || !to.sendReceived(pool.address(id) + skipped, length, id)) {
        this.#ring.metrics.spilledBytes += length
        this.write(Buffer.from(pool.bytes(id).subarray(skipped, skipped + length)))
        pool.recycle(id)
      }
    }
    pool.countBundle(buffers)
    this.#checkPressure()
  }

  /** Passes on bytes that are not in the pool. */
  write(chunk: Chunk): void {
    const to = this.#to
    if (to.state !== 'open') {
      this.from.destroy()
      return
    }
    if (this.#sameRing !== undefined) to.write(chunk)
    else if (!to.write(chunk, this.#drainedForeign)) this.from.holdBack(true)
    this.#checkPressure()
  }

  /** The peer of `from` has finished. */
  ended(): void {
    this.#to.end()
  }

  /** `from` is closed. */
  closed(error: Error | undefined): void {
    if (error !== undefined || this.#to.state === 'open') this.#to.destroy(error)
  }

  /** `to` is below its low-water mark. */
  drained(): void {
    this.from.holdBack(false)
  }

  readonly #drainedForeign = (): void => {
    this.from.holdBack(false)
  }

  #checkPressure(): void {
    const to = this.#sameRing
    if (to === undefined || to.bytesQueued < to.writableHighWaterMark) return
    this.#ring.metrics.forwardPauses++
    this.from.holdBack(true)
  }
}
