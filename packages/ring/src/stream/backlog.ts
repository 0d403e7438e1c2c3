import { SheafError } from '../errors'
import { limits } from '../limits'
import type { SentDescriptors } from '../socket/rights'
import { Fifo } from './fifo'

export const nothing = new Uint8Array(0)

interface Piece {
  readonly bytes: Uint8Array
  /** `bytes.byteLength` when it was queued; less now means that its memory was taken away. */
  readonly lengthBytes: number
  readonly ours: boolean
  /** Go along with its first bytes, which are not {@link Backlog.copyTo}'s. */
  descriptors?: SentDescriptors
}

/**
 * What was written and is not in memory that may be sent from yet: large chunks by reference, small ones gathered in
 * JavaScript memory.
 */
export class Backlog {
  readonly #pieces = new Fifo<Piece>()
  /** Bytes of the first piece that have been taken. */
  #offset = 0
  /** Where the next small chunk goes, if it has room: the last piece, not among the others yet. */
  #gather: Buffer | undefined
  #gathered = 0
  sizeBytes = 0

  get empty(): boolean {
    return this.sizeBytes === 0
  }

  /** @param chunk kept by reference if larger than `limits.copyAtOnceBytes`, else copied. */
  add(chunk: Uint8Array): void {
    const length = chunk.byteLength
    if (length === 0) return
    this.sizeBytes += length
    if (length > limits.copyAtOnceBytes) {
      this.#endGathering()
      this.#pieces.push({ bytes: chunk, lengthBytes: length, ours: false })
      return
    }
    this.#room(length).set(chunk, this.#gathered)
    this.#gathered += length
  }

  /** @param chunk is the backlog's own from now on. */
  addWithDescriptors(chunk: Uint8Array, descriptors: SentDescriptors): void {
    this.#endGathering()
    this.sizeBytes += chunk.byteLength
    this.#pieces.push({ bytes: chunk, lengthBytes: chunk.byteLength, ours: true, descriptors })
  }

  /** The descriptors of {@link nextWithDescriptors} are the caller's: the bytes go without them from now on. */
  takeDescriptors(): void {
    const piece = this.#pieces.at(0)
    delete piece?.descriptors
  }

  closeDescriptors(): void {
    for (const piece of this.#pieces) piece.descriptors?.close()
  }

  /**
   * Copies up to `room` bytes into `target` at `offset`. @returns how many; 0 if empty, or if
   * descriptors go along with what is next.
   * @throws SheafError `ERR_SHEAF_DETACHED` if a chunk's memory has been transferred or has shrunk meanwhile. It may
   * have grown.
   */
  copyTo(target: Buffer, offset: number, room: number): number {
    const piece = this.#first
    if (piece === undefined || piece.descriptors !== undefined) return 0
    const count = Math.min(room, piece.lengthBytes - this.#offset)
    target.set(piece.bytes.subarray(this.#offset, this.#offset + count), offset)
    this.#offset += count
    this.sizeBytes -= count
    if (this.#offset === piece.lengthBytes) this.#next()
    return count
  }

  /** @throws SheafError as {@link copyTo}. */
  get #first(): Piece | undefined {
    if (this.#pieces.length === 0) this.#endGathering()
    const piece = this.#pieces.at(0)
    if (piece !== undefined && !piece.ours && piece.bytes.byteLength < piece.lengthBytes) {
      throw new SheafError('ERR_SHEAF_DETACHED', 'A chunk was transferred or resized before it was sent')
    }
    return piece
  }

  /**
   * What is left of the next chunk, whichever it is, as far as one call sends it; undefined if descriptors go along
   * with it. @throws SheafError as {@link copyTo}.
   */
  get next(): Uint8Array | undefined {
    const piece = this.#first
    if (piece === undefined || piece.descriptors !== undefined) return undefined
    return piece.bytes.subarray(this.#offset, Math.min(piece.lengthBytes, this.#offset + limits.sendCallBytesMax))
  }

  /** What descriptors go along with, if that is next, and they. */
  get nextWithDescriptors(): { readonly bytes: Uint8Array, readonly descriptors: SentDescriptors } | undefined {
    const piece = this.#pieces.at(0)
    return piece?.descriptors && { bytes: piece.bytes, descriptors: piece.descriptors }
  }

  /**
   * What is left of the next chunk, as far as one call sends it, if that was kept by reference; not if its memory has
   * been taken away, which {@link copyTo} says.
   */
  get inPlace(): Uint8Array | undefined {
    const piece = this.#pieces.at(0)
    if (piece === undefined) return undefined
    const { bytes, lengthBytes, ours } = piece
    if (ours || bytes.byteLength < lengthBytes) return undefined
    const end = Math.min(lengthBytes, this.#offset + limits.sendCallBytesMax)
    return this.#offset === 0 && end === bytes.byteLength ? bytes : bytes.subarray(this.#offset, end)
  }

  /** The small chunks right behind {@link inPlace} or {@link next}, which may be sent along with it. */
  get behind(): Uint8Array {
    if ((this.#pieces.at(0)?.lengthBytes ?? 0) - this.#offset > limits.sendCallBytesMax) return nothing
    const piece = this.#pieces.at(1)
    if (piece === undefined) return this.#gather?.subarray(0, this.#gathered) ?? nothing
    return piece.ours && piece.descriptors === undefined ? piece.bytes : nothing
  }

  /** Drops the first bytes of {@link next} and {@link behind}, which have been sent. */
  skip(sizeBytes: number): void {
    this.sizeBytes -= sizeBytes
    for (let left = sizeBytes; left !== 0;) {
      if (this.#pieces.length === 0) this.#endGathering()
      const { lengthBytes } = this.#pieces.at(0) as Piece
      const count = Math.min(left, lengthBytes - this.#offset)
      left -= count
      this.#offset += count
      if (this.#offset === lengthBytes) this.#next()
    }
  }

  #next(): void {
    this.#offset = 0
    this.#pieces.shift()
  }

  /** Memory with room for `lengthBytes` after what is gathered: twice the last, so that few bytes take little. */
  #room(lengthBytes: number): Buffer {
    const last = this.#gather
    if (last !== undefined && last.byteLength - this.#gathered >= lengthBytes) return last
    this.#endGathering()
    const sizeBytes = Math.max(lengthBytes, (last?.byteLength ?? 0) * 2)
    this.#gather = Buffer.allocUnsafe(Math.min(sizeBytes, limits.copyAtOnceBytes * 4))
    return this.#gather
  }

  #endGathering(): void {
    if (this.#gather === undefined) return
    const bytes = this.#gather.subarray(0, this.#gathered)
    this.#pieces.push({ bytes, lengthBytes: bytes.byteLength, ours: true })
    this.#gather = undefined
    this.#gathered = 0
  }
}
