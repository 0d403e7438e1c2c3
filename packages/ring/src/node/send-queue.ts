import { limits } from '../limits'
import { Backlog } from '../stream/backlog'

/**
 * What a connection on Node's sockets has been given to write. Node is only ever shown memory of our own, as the kernel
 * is on a ring: it may read it when the chunk is the application's again.
 */
export class NodeSendQueue {
  #backlog = new Backlog()
  acceptedBytes = 0
  sentBytes = 0
  /** Taken, and not sent yet. */
  inFlightBytes = 0

  /** There is nothing to {@link take}. */
  get empty(): boolean {
    return this.#backlog.empty
  }

  get queuedBytes(): number {
    return this.acceptedBytes - this.sentBytes
  }

  write(chunk: Uint8Array): void {
    this.acceptedBytes += chunk.byteLength
    this.#backlog.add(chunk)
  }

  writeString(text: string, encoding: BufferEncoding): void {
    this.write(Buffer.from(text, encoding))
  }

  /**
   * Takes what is to be sent next: as much as one connection may have under way. Undefined if there is nothing.
   * @throws SheafError `ERR_SHEAF_DETACHED` if a chunk's memory has been transferred or has shrunk meanwhile.
   */
  take(): Buffer | undefined {
    if (this.#backlog.empty) return undefined
    const bytes = Buffer.allocUnsafe(Math.min(this.#backlog.sizeBytes, limits.sendWindowBlocks * limits.sendBlockBytes))
    let taken = 0
    while (taken < bytes.byteLength) taken += this.#backlog.copyTo(bytes, taken, bytes.byteLength - taken)
    this.inFlightBytes += taken
    return bytes
  }

  /** What was taken has been sent. */
  complete(): void {
    this.sentBytes += this.inFlightBytes
    this.inFlightBytes = 0
  }

  /** Nothing is sent any more. */
  discard(): void {
    this.#backlog = new Backlog()
    this.acceptedBytes = this.sentBytes
  }
}
