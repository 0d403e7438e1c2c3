import { limits } from '../limits'
import type { Ring } from '../ring'
import type { StreamConnection } from './connection'
import { Forwarding } from './forwarding'

/** A forwarding between two connections of a ring: what lies in its receive pool goes on as it is. */
export class PoolForwarding extends Forwarding {
  readonly #to: StreamConnection
  readonly #ring: Ring
  /** Each buffer is to be a span of its own. */
  readonly #separate: boolean

  constructor(from: StreamConnection, to: StreamConnection) {
    super(from, to)
    this.#to = to
    this.#ring = from.ring
    this.#separate = !from.ring.mergeAdjacent
  }

  /**
   * Passes on the next `bytes` of the receive pool; each buffer begins with `skipped` bytes that are not payload.
   * Buffers are copied instead (spilled) where they can't be passed on as they are, or where the pool must keep the
   * rest.
   */
  received(bytes: number, skipped: number): void {
    const { pool } = this.#ring
    const queue = this.#to.forwardQueue
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
    return this.#to.bytesQueued !== 0
  }

  /** A full queue alone says nothing of how fast the receiver is: see {@link #checkPressure}. */
  protected override holdBack(): void {
    // It is held back there.
  }

  /** Sends bytes whose memory is used again as soon as this returns: in pieces that are copied at once. */
  #spill(bytes: Uint8Array): void {
    for (let offset = 0; offset < bytes.byteLength; offset += limits.copyAtOnceBytes) {
      this.write(bytes.subarray(offset, offset + limits.copyAtOnceBytes))
    }
  }

  #checkPressure(): void {
    const to = this.#to
    // What has come in this turn has not been tried yet: only a receiver that keeps an earlier send waiting is full.
    if (!(to.sending || to.waitsForRoom) || to.bytesQueued < to.writableHighWaterMark) return
    this.#ring.metrics.forwardPauses++
    super.holdBack()
  }
}
