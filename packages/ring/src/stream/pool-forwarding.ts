import { limits } from '../limits'
import type { Ring } from '../ring'
import type { Transport } from '../transport'
import { StreamConnection } from './connection'
import { Forwarding } from './forwarding'

/** A forwarding from a ring's receive pool: buffers go on as they are where `to` is on the same ring. */
export class PoolForwarding extends Forwarding {
  /** `to`, if received buffers can enter its send group as they are. */
  readonly #sameRing: StreamConnection | undefined
  readonly #ring: Ring
  /** Each buffer is to be a span of its own. */
  readonly #separate: boolean

  constructor(from: StreamConnection, to: Transport) {
    super(from, to)
    this.#ring = from.ring
    this.#sameRing = to instanceof StreamConnection && to.ring === from.ring ? to : undefined
    this.#separate = !from.ring.mergeAdjacent
  }

  /**
   * Passes on the next `bytes` of the receive pool; each buffer begins with `skipped` bytes that are not payload.
   * Buffers
   * are copied instead (spilled) where they can't be passed on as they are, or where the pool must keep the rest.
   */
  received(bytes: number, skipped: number): void {
    const { pool } = this.#ring
    const queue = this.#sameRing?.forwardQueue
    let left = bytes
    if (this.#separate && skipped === 0 && pool.allowance > 0) {
      left -= queue?.forwardSeparate(bytes, pool.allowance) ?? 0
    }
    while (left > 0) {
      const allowed = pool.allowance
      const { offset, lengthBytes, first, count } = pool.takeRun(left, skipped, allowed > 0 ? allowed : Infinity)
      left -= lengthBytes
      if (allowed > 0 && queue?.forwardRun(pool.address(offset), lengthBytes, first, count) === true) continue
      this.#ring.metrics.spilledBytes += lengthBytes
      this.#spill(pool.memory.subarray(offset, offset + lengthBytes))
      pool.recycle(first, count)
    }
    this.#checkPressure()
  }

  override write(chunk: Uint8Array): void {
    super.write(chunk)
    this.#checkPressure()
  }

  /** Buffers of the pool may be waiting to be sent. */
  get holding(): boolean {
    return this.#sameRing !== undefined && this.#sameRing.bytesQueued !== 0
  }

  /** On one ring it is {@link received} that finds out, when a receiver is slow: a full queue alone says nothing. */
  protected override holdBack(): void {
    if (this.#sameRing === undefined) super.holdBack()
  }

  /**
   * Sends bytes whose memory is used again as soon as this returns: in pieces that are copied at once, or as a copy.
   */
  #spill(bytes: Uint8Array): void {
    if (this.#sameRing === undefined) {
      // Not of Node's pool, which others can see all of.
      const copy = Buffer.allocUnsafeSlow(bytes.byteLength)
      copy.set(bytes)
      this.write(copy)
      return
    }
    for (let offset = 0; offset < bytes.byteLength; offset += limits.copyAtOnceBytes) {
      this.write(bytes.subarray(offset, offset + limits.copyAtOnceBytes))
    }
  }

  #checkPressure(): void {
    const to = this.#sameRing
    // What has come in this turn has not been tried yet: only a receiver that keeps an earlier send waiting is full.
    if (to === undefined || !to.sending || to.bytesQueued < to.writableHighWaterMark) return
    this.#ring.metrics.forwardPauses++
    super.holdBack()
  }
}
