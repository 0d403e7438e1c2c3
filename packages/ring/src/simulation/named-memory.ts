import type { SimulatedMemory } from './memory'

/** A piece of memory that a request reads from. */
export interface NamedSpan {
  readonly address: number
  readonly bytes: Buffer
  /** What was there when the request began. */
  readonly copy: Buffer
}

/**
 * Which memory requests in the kernel name, and which is in buffer rings to be received into. Nobody may write to the
 * former, and nothing may be both: that is how memory given back too early shows.
 */
export class NamedMemory {
  readonly #memory: SimulatedMemory
  readonly #violated: (what: string) => void
  /** Spans by the multiple of `bucketBytes` that they touch. */
  readonly #spans = new Map<number, Set<NamedSpan>>()
  /** Buffers to receive into, by their addresses. */
  readonly #provided = new Map<number, number>()

  constructor(memory: SimulatedMemory, violated: (what: string) => void) {
    this.#memory = memory
    this.#violated = violated
  }

  /** A request begins to read from memory. @returns undefined if that is not mapped. */
  name(address: number, lengthBytes: number): NamedSpan | undefined {
    const bytes = this.#memory.at(address, lengthBytes)
    if (bytes === undefined) return undefined
    const span = { address, bytes, copy: Buffer.from(bytes) }
    const last = bucketOf(address + lengthBytes)
    for (let bucket = bucketOf(address); bucket <= last; bucket++) {
      const spans = this.#spans.get(bucket)
      if (spans === undefined) this.#spans.set(bucket, new Set([span]))
      else spans.add(span)
    }
    return span
  }

  /** The request has ended. */
  release(span: NamedSpan): void {
    this.check(span)
    const last = bucketOf(span.address + span.bytes.byteLength)
    for (let bucket = bucketOf(span.address); bucket <= last; bucket++) {
      const spans = this.#spans.get(bucket)
      spans?.delete(span)
      if (spans?.size === 0) this.#spans.delete(bucket)
    }
  }

  check(span: NamedSpan): void {
    if (span.bytes.equals(span.copy)) return
    this.#violated('memory was written to while a request that sends it was in the kernel')
  }

  /** A buffer to receive into has been published. */
  provide(address: number, lengthBytes: number): void {
    if (this.#provided.has(address)) this.#violated('a buffer was published that the kernel has already')
    this.#provided.set(address, lengthBytes)
    if (this.#spans.size === 0) return
    const last = bucketOf(address + lengthBytes)
    for (let bucket = bucketOf(address); bucket <= last; bucket++) {
      for (const span of this.#spans.get(bucket) ?? []) {
        if (span.address >= address + lengthBytes || span.address + span.bytes.byteLength <= address) continue
        this.#violated('a buffer was published while a request that sends it was in the kernel')
        return
      }
    }
  }

  /** The kernel has taken a buffer to receive into, or its ring is gone. */
  take(address: number): void {
    this.#provided.delete(address)
  }

  get named(): number {
    return this.#spans.size
  }
}

const bucketBytes = 2048

function bucketOf(address: number): number {
  return Math.floor(address / bucketBytes)
}
