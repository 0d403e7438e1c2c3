import { SheafError } from '../errors'
import { limits } from '../limits'

interface Piece {
  readonly bytes: Uint8Array
  /** `bytes.byteLength` when it was queued; less now means that its memory was taken away. */
  readonly lengthBytes: number
  readonly ours: boolean
}

/**
 * What a connection on Node's sockets has been given to write. Small chunks are gathered in memory of our own, large
 * ones kept by reference; Node is only ever shown memory of our own, as the kernel is on a ring.
 */
export class NodeSendQueue {
  #pieces: Piece[] = []
  #head = 0
  /** Bytes of the first piece that have been taken. */
  #offset = 0
  /** Where small chunks are gathered: the last piece, not among the others yet. */
  #gather: Buffer | undefined
  #gathered = 0
  acceptedBytes = 0
  sentBytes = 0
  /** Taken, and not sent yet. */
  inFlightBytes = 0

  get queuedBytes(): number {
    return this.acceptedBytes - this.sentBytes
  }

  write(chunk: Uint8Array): void {
    const length = chunk.byteLength
    this.acceptedBytes += length
    if (length > limits.copyAtOnceBytes) {
      this.#endGathering()
      this.#pieces.push({ bytes: chunk, lengthBytes: length, ours: false })
    } else if (length !== 0) {
      this.#room(length).set(chunk, this.#gathered)
      this.#gathered += length
    }
  }

  writeString(text: string, encoding: BufferEncoding): void {
    const bytes = Buffer.from(text, encoding)
    if (bytes.byteLength <= limits.copyAtOnceBytes) {
      this.write(bytes)
      return
    }
    this.acceptedBytes += bytes.byteLength
    this.#endGathering()
    this.#pieces.push({ bytes, lengthBytes: bytes.byteLength, ours: true })
  }

  /**
   * Takes what is to be sent next, of memory that nobody changes: as much as one connection may have under way.
   * @throws SheafError `ERR_SHEAF_DETACHED` if a chunk's memory has been transferred or has shrunk meanwhile.
   */
  take(): Uint8Array[] {
    this.#endGathering()
    const taken: Uint8Array[] = []
    let room = limits.sendWindowBlocks * limits.sendBlockBytes
    while (room > 0 && this.#head < this.#pieces.length) {
      const bytes = this.#takePiece(this.#pieces[this.#head], room)
      taken.push(bytes)
      room -= bytes.byteLength
      this.inFlightBytes += bytes.byteLength
    }
    return taken
  }

  /** What was taken has been sent. */
  complete(): void {
    this.sentBytes += this.inFlightBytes
    this.inFlightBytes = 0
  }

  /** Nothing is sent any more. */
  discard(): void {
    this.#pieces = []
    this.#head = 0
    this.#gather = undefined
  }

  #takePiece(piece: Piece, room: number): Uint8Array {
    if (!piece.ours && piece.bytes.byteLength !== piece.lengthBytes) {
      throw new SheafError('ERR_SHEAF_DETACHED', 'A chunk was transferred or resized before it was sent')
    }
    const start = this.#offset
    const end = Math.min(piece.lengthBytes, start + room)
    this.#offset = end
    if (end === piece.lengthBytes) this.#next()
    const bytes = piece.bytes.subarray(start, end)
    return piece.ours ? bytes : Buffer.from(bytes)
  }

  #next(): void {
    this.#offset = 0
    this.#head++
    if (this.#head === this.#pieces.length) {
      this.#pieces = []
      this.#head = 0
    } else if (this.#head === 1024) {
      this.#pieces.splice(0, this.#head)
      this.#head = 0
    }
  }

  /** Memory with room for `lengthBytes` after what is gathered: twice the last, so that few bytes take little. */
  #room(lengthBytes: number): Buffer {
    const last = this.#gather
    if (last !== undefined && last.byteLength - this.#gathered >= lengthBytes) return last
    this.#endGathering()
    const sizeBytes = Math.min(Math.max(lengthBytes, (last?.byteLength ?? 0) * 2), limits.sendBlockBytes * 4)
    this.#gather = Buffer.allocUnsafe(sizeBytes)
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
