import type { Region } from '@sheaf/native'

const pageBytes = 4096
/** User space addresses on 64-bit Linux need more than 32 bits, and so do these. */
const firstAddress = 0x7f5a_0000_0000
/** Nothing is mapped here, so that what runs past a region is seen. */
const guardBytes = 16 * pageBytes
const poisonByte = 0xa5
/** Of a large buffer so much is poisoned at its beginning and at its end. */
const poisonedBytes = 2048

/** More is for receiving into, which nobody reads before it is written: clearing it would take the most of a run. */
const clearedBytesMax = 4 * 2 ** 20

const poison = Buffer.alloc(poisonedBytes, poisonByte)

interface Mapping extends Region {
  readonly bytes: Buffer
}

/**
 * Memory of simulated kernels that are gone, by size. Each has megabytes of it: left to the collector it would cost
 * more time than all that a short run does.
 */
const spare = new Map<number, ArrayBuffer[]>()

function allocate(sizeBytes: number): ArrayBuffer {
  const buffer = spare.get(sizeBytes)?.pop()
  if (buffer === undefined) return new ArrayBuffer(sizeBytes)
  if (sizeBytes <= clearedBytesMax) new Uint8Array(buffer).fill(0)
  return buffer
}

/** The memory that a simulated kernel shares with its process, by address. */
export class SimulatedMemory {
  readonly #mappings: Mapping[] = []
  #last: Mapping | undefined
  #next = firstAddress

  map(sizeBytes: number): Region {
    const rounded = Math.ceil(sizeBytes / pageBytes) * pageBytes
    const buffer = allocate(rounded)
    const mapping: Mapping = { buffer, address: this.#next, sizeBytes: rounded, bytes: Buffer.from(buffer) }
    this.#next += rounded + guardBytes
    this.#mappings.push(mapping)
    return mapping
  }

  /** Leaves the memory to other kernels. Nobody must touch it any more. */
  unmap(): void {
    for (const { buffer, sizeBytes } of this.#mappings) {
      const buffers = spare.get(sizeBytes)
      if (buffers === undefined) spare.set(sizeBytes, [buffer])
      else buffers.push(buffer)
    }
    this.#mappings.length = 0
    this.#last = undefined
  }

  /** The bytes at an address, or undefined if not all of them are mapped. */
  at(address: number, lengthBytes: number): Buffer | undefined {
    const mapping = this.#mappingOf(address)
    if (mapping === undefined) return undefined
    const offset = address - mapping.address
    if (offset + lengthBytes > mapping.sizeBytes) return undefined
    return mapping.bytes.subarray(offset, offset + lengthBytes)
  }

  #mappingOf(address: number): Mapping | undefined {
    const last = this.#last
    if (last !== undefined && address >= last.address && address < last.address + last.sizeBytes) return last
    this.#last = this.#mappings.find((mapping) =>
      address >= mapping.address && address < mapping.address + mapping.sizeBytes)
    return this.#last
  }
}

/** Fills memory that is nobody's to read, so that whoever reads it gets what nobody has sent. */
export function poisonMemory(bytes: Buffer): void {
  if (bytes.byteLength <= 2 * poisonedBytes) {
    bytes.fill(poisonByte)
    return
  }
  bytes.fill(poisonByte, 0, poisonedBytes)
  bytes.fill(poisonByte, bytes.byteLength - poisonedBytes)
}

/** Whether nobody has written to the beginning of poisoned memory. */
export function isPoisoned(bytes: Buffer): boolean {
  const length = Math.min(bytes.byteLength, poisonedBytes)
  return poison.compare(bytes, 0, length, 0, length) === 0
}
