/** Bytes in the kernel, first in first out. They are its own: copied in and out. */
export class ByteQueue {
  #chunks: Buffer[] = []
  #offset = 0
  sizeBytes = 0

  push(bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return
    this.#chunks.push(Buffer.from(bytes))
    this.sizeBytes += bytes.byteLength
  }

  /** Takes what there is, at most what fits into `target`. @returns how many bytes. */
  take(target: Uint8Array): number {
    let filled = 0
    while (filled < target.byteLength && this.sizeBytes !== 0) {
      const chunk = this.#chunks[0]
      const count = Math.min(target.byteLength - filled, chunk.byteLength - this.#offset)
      target.set(chunk.subarray(this.#offset, this.#offset + count), filled)
      filled += count
      this.#offset += count
      this.sizeBytes -= count
      if (this.#offset === chunk.byteLength) {
        this.#chunks.shift()
        this.#offset = 0
      }
    }
    return filled
  }

  /** Moves up to `sizeBytes` to another queue. */
  moveTo(other: ByteQueue, sizeBytes: number): void {
    const bytes = Buffer.allocUnsafe(Math.min(sizeBytes, this.sizeBytes))
    this.take(bytes)
    other.push(bytes)
  }

  clear(): void {
    this.#chunks = []
    this.#offset = this.sizeBytes = 0
  }
}
