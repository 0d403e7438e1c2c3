import type { Region } from '@sheaf/native'
import { bufferEntryBytes, messageHeaderBytes, vectorBytes } from '../abi'
import { limits } from '../limits'
import type { SendWaits, SubmissionQueue } from '../queue/submission-queue'
import { setAddress } from './address'
import { EntryRing } from './entry-ring'
import { SendGroup, type SpanOwners } from './send-group'

/** Word offsets in `struct msghdr` on 64-bit Linux: `msg_iov` at byte 16, `msg_iovlen` at byte 24. */
const vectorAddressWord = 4
const vectorCountWord = 6
/** The vector begins behind the header, aligned. */
const vectorOffsetBytes = messageHeaderBytes + 8

/** Bytes of memory that a vector group needs. */
export const vectorGroupBytes = vectorOffsetBytes + limits.vectorEntriesMax * vectorBytes

/** Spans that leave as one vectored `SENDMSG`: what is used where the kernel has no bundles. */
export class VectorGroup extends SendGroup {
  readonly #region: Region
  readonly #words: Uint32Array

  /** @param region `vectorGroupBytes` for what the kernel reads; the queue itself is JavaScript's. */
  constructor(region: Region, entries: number, owners: SpanOwners) {
    super(new EntryRing(entries, new ArrayBuffer(entries * bufferEntryBytes)), owners)
    this.#region = region
    const words = new Uint32Array(region.buffer, 0, vectorGroupBytes / 4)
    setAddress(words, vectorAddressWord, region.address + vectorOffsetBytes)
    this.#words = words
  }

  protected override handOver(submissions: SubmissionQueue, slot: number, fd: number, waits: SendWaits, spans: number) {
    const count = Math.min(spans, limits.vectorEntriesMax)
    const words = this.#words
    const { queue } = this
    words[vectorCountWord] = count
    let to = vectorOffsetBytes / 4
    for (let offset = 0; offset < count; offset++) {
      const at = queue.at(this.head + offset)
      words[to] = queue.words[at]
      words[to + 1] = queue.words[at + 1]
      words[to + 2] = queue.words[at + 2]
      words[to + 3] = 0
      to += 4
    }
    submissions.sendMessage(slot, fd, this.#region.address, false, waits)
    return { spans: count, requests: 1 }
  }

  protected override restore(): number {
    // The kernel keeps nothing between requests.
    return 0
  }

  override unregister(): void {
    // Nothing is registered.
  }
}
