import { bufferEntryBytes } from '../abi'
import { addressAt, setAddress } from './address'

const wordsPerEntry = bufferEntryBytes / 4
/** Below this many entries a loop is faster than the set-up of a block copy. */
const blockCopyEntries = 8

/**
 * Provided-buffer entries in ring order: address, length and a 16-bit id each, laid out as the kernel has them. The
 * first entry's last two bytes are not the entry's: a registered ring has its tail there.
 *
 * Positions count up for ever (as 32-bit integers); a position's entry is in place until `entries` more are pushed.
 */
export class EntryRing {
  readonly entries: number
  /** Four words an entry. */
  readonly words: Uint32Array
  readonly #mask: number
  /** The position that is pushed next. */
  tail = 0

  /** @param entries a power of two. @param memory `entries` * 16 bytes. */
  constructor(entries: number, memory: ArrayBuffer) {
    this.entries = entries
    this.#mask = entries - 1
    this.words = new Uint32Array(memory, 0, entries * wordsPerEntry)
  }

  /** Index of a position's first word. */
  at(position: number): number {
    return (position & this.#mask) << 2
  }

  address(position: number): number {
    return addressAt(this.words, this.at(position))
  }

  lengthBytes(position: number): number {
    return this.words[this.at(position) + 2]
  }

  id(position: number): number {
    return this.words[this.at(position) + 3] & 0xffff
  }

  push(address: number, lengthBytes: number, id: number): void {
    const at = this.at(this.tail)
    const words = this.words
    setAddress(words, at, address)
    words[at + 2] = lengthBytes
    words[at + 3] = (words[at + 3] & 0xffff0000) | id
    this.tail = (this.tail + 1) | 0
  }

  /**
   * Pushes `count` entries as they are in `source`, which begins with entry `from` of another table, without
   * wrapping.
   */
  pushFrom(source: Uint32Array, from: number, count: number): void {
    let next = from
    let left = count
    while (left > 0) {
      const at = this.at(this.tail)
      const part = Math.min(left, this.entries - (at >>> 2))
      this.#copy(source, next << 2, at, part << 2)
      next += part
      left -= part
      this.tail = (this.tail + part) | 0
    }
  }

  #copy(source: Uint32Array, from: number, to: number, count: number): void {
    const words = this.words
    if (to === 0) {
      // Not even for a moment may there be another tail: without deferred task work the kernel may look at any time.
      words[0] = source[from]
      words[1] = source[from + 1]
      words[2] = source[from + 2]
      words[3] = (words[3] & 0xffff0000) | (source[from + 3] & 0xffff)
      if (count > wordsPerEntry) this.#copy(source, from + wordsPerEntry, wordsPerEntry, count - wordsPerEntry)
    } else if (count < blockCopyEntries * wordsPerEntry) {
      for (let index = 0; index < count; index++) words[to + index] = source[from + index]
    } else {
      words.set(source.subarray(from, from + count), to)
    }
  }
}
