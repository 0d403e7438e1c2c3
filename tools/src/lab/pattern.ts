/**
 * The bytes that the source sends, so that the sink can tell a lost, doubled or reordered one: a pseudo-random block of
 * a prime length, over and over. Each connection starts somewhere else in it and says where in a header of four bytes.
 */

/** Prime, so that no power-of-two buffer size divides it. Large, so that one write is one system call's worth. */
export const patternBytes = 1_048_573

export const headerBytes = 4

/** Distance between the starting places of two successive connections. */
const strideBytes = 104_729

export function createPattern(): Buffer {
  const pattern = Buffer.allocUnsafe(patternBytes)
  let state = 0x9e3779b9
  for (let i = 0; i < patternBytes; i++) {
    // xorshift32
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    pattern[i] = state
  }
  return pattern
}

export function startOf(connection: number): number {
  return (connection * strideBytes) % patternBytes
}

/** Follows one connection's bytes and finds the first that is wrong. */
export class PatternCheck {
  private header = Buffer.alloc(0)
  private position = -1
  private checkedBytes = 0

  constructor(private readonly pattern: Buffer) {}

  /** @returns what is wrong, or undefined. `chunk` is not kept. */
  add(chunk: Uint8Array): string | undefined {
    let at = 0
    if (this.position < 0) {
      const taken = Math.min(headerBytes - this.header.length, chunk.length)
      this.header = Buffer.concat([this.header, chunk.subarray(0, taken)])
      if (this.header.length < headerBytes) return undefined
      this.position = this.header.readUInt32LE(0)
      at = taken
      if (this.position >= patternBytes) return `the header says ${this.position}, which is outside the pattern`
    }
    while (at < chunk.length) {
      const length = Math.min(chunk.length - at, patternBytes - this.position)
      if (this.pattern.compare(chunk, at, at + length, this.position, this.position + length) !== 0) {
        let same = 0
        while (chunk[at + same] === this.pattern[this.position + same]) same++
        return `byte ${this.checkedBytes + same} is ${chunk[at + same]}, sent was ${this.pattern[this.position + same]}`
      }
      at += length
      this.checkedBytes += length
      this.position = (this.position + length) % patternBytes
    }
    return undefined
  }
}
