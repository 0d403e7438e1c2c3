import type { Region } from '@sheaf/native'
import { messageHeaderBytes, vectorBytes } from '../abi'
import { limits } from '../limits'
import type { SubmissionQueue } from '../queue/submission-queue'
import { SendGroup, type SpanOwners } from './send-group'

const twoTo32 = 2 ** 32
/** Word offsets in `struct msghdr` on 64-bit Linux: `msg_iov` at byte 16, `msg_iovlen` at byte 24. */
const vectorAddressWord = 4
const vectorCountWord = 6

/** Bytes of memory that a vector group needs. */
export const vectorGroupBytes = messageHeaderBytes + 8 + limits.vectorEntriesMax * vectorBytes

/** Spans that leave as one vectored `SENDMSG`: what is used where the kernel has no bundles. */
export class VectorGroup extends SendGroup {
  readonly #region: Region
  readonly #words: Uint32Array

  constructor(region: Region, entries: number, owners: SpanOwners) {
    super(entries, owners)
    this.#region = region
    const words = new Uint32Array(region.buffer, 0, vectorGroupBytes / 4)
    const vectors = region.address + messageHeaderBytes + 8
    words[vectorAddressWord] = vectors >>> 0
    words[vectorAddressWord + 1] = (vectors / twoTo32) >>> 0
    this.#words = words
  }

  protected override queued(): void {
    // The vector is written when it is handed over: only then is it known where it begins.
  }

  protected override handOver(queue: SubmissionQueue, slot: number, fd: number, spans: number) {
    const count = Math.min(spans, limits.vectorEntriesMax)
    const words = this.#words
    words[vectorCountWord] = count
    let at = (messageHeaderBytes + 8) / 4
    this.forEachSpan(count, (address, lengthBytes) => {
      words[at] = address >>> 0
      words[at + 1] = (address / twoTo32) >>> 0
      words[at + 2] = lengthBytes
      words[at + 3] = 0
      at += 4
    })
    queue.sendMessage(slot, fd, this.#region.address)
    return { spans: count, requests: 1 }
  }

  protected override restore(): void {
    // The kernel keeps nothing between requests.
  }

  override unregister(): void {
    // Nothing is registered.
  }
}
