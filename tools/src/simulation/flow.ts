import { pattern } from '@sheaf/ring/testing'
import { check } from './violation'

/** A prime, so that what is a buffer or a block too late is not the same again. */
const patternBytes = 131_071
const bytes = pattern(patternBytes, 42)
const flowStride = 7919

/** The bytes of flow `id` from `position` on. */
export function bytesOf(id: number, position: number, lengthBytes: number): Buffer {
  const start = (position + id * flowStride) % patternBytes
  if (start + lengthBytes <= patternBytes) return bytes.subarray(start, start + lengthBytes)
  const pieces: Buffer[] = []
  for (let left = lengthBytes, at = start; left > 0; at = 0) {
    const piece = bytes.subarray(at, Math.min(patternBytes, at + left))
    pieces.push(piece)
    left -= piece.byteLength
  }
  return Buffer.concat(pieces)
}

/**
 * What one end of a connection sends, and the other must receive: bytes of its own, then perhaps what is forwarded to
 * it. The bytes are a function of flow and position, so that none can be lost, doubled, swapped or another's unseen.
 */
export class Flow {
  readonly #id: number
  #ownBytes = 0
  #forwarded: { readonly flow: Flow, readonly from: number } | undefined

  constructor(id: number) {
    this.#id = id
  }

  /** The next bytes that this end writes. */
  next(lengthBytes: number): Buffer {
    const chunk = bytesOf(this.#id, this.#ownBytes, lengthBytes)
    this.#ownBytes += lengthBytes
    return chunk
  }

  /** What `flow` has from position `from` on follows. */
  continueWith(flow: Flow, from: number): void {
    this.#forwarded = { flow, from }
  }

  get forwards(): boolean {
    return this.#forwarded !== undefined
  }

  /** Bytes that have been sent so far. */
  get lengthBytes(): number {
    const forwarded = this.#forwarded
    return this.#ownBytes + (forwarded === undefined ? 0 : Math.max(0, forwarded.flow.lengthBytes - forwarded.from))
  }

  /** Checks bytes that have been received at `position`. */
  verify(position: number, received: Buffer): void {
    const own = Math.max(0, Math.min(received.byteLength, this.#ownBytes - position))
    if (own > 0 && !bytesOf(this.#id, position, own).equals(received.subarray(0, own))) {
      const expected = bytesOf(this.#id, position, own)
      const at = expected.findIndex((byte, index) => byte !== received[index])
      check(false, 'every byte once and in order', `flow ${this.#id} differs at byte ${position + at}`)
    }
    if (own === received.byteLength) return
    const forwarded = this.#forwarded
    check(forwarded !== undefined, 'no byte that nobody sent', `flow ${this.#id} has ${this.#ownBytes} bytes`)
    const rest = position + own - this.#ownBytes
    forwarded.flow.verify(forwarded.from + rest, received.subarray(own))
  }
}
