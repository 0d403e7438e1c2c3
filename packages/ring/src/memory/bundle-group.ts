import type { Metrics } from '../metrics'
import type { SendWaits, SubmissionQueue } from '../queue/submission-queue'
import type { BufferRing } from './buffer-ring'
import { SendGroup, type SpanOwners } from './send-group'

/**
 * Spans in a provided-buffer ring, which one request sends as a bundle: one trip through the socket for all of them.
 */
export class BundleGroup extends SendGroup {
  protected readonly ring: BufferRing
  readonly #metrics: Metrics
  /** The kernel knows the ring. */
  #registered = false

  /** @param ring that the kernel does not know yet. */
  constructor(ring: BufferRing, owners: SpanOwners, metrics: Metrics) {
    super(ring, owners)
    this.ring = ring
    this.#metrics = metrics
  }

  override prepare(): number {
    const result = this.#registered ? 0 : this.ring.register()
    this.#registered = result === 0
    return result
  }

  protected override handOver(queue: SubmissionQueue, slot: number, fd: number, waits: SendWaits, spans: number) {
    this.ring.publish()
    queue.sendBundle(slot, fd, this.ring.group, waits)
    return { spans, requests: 1 }
  }

  /** Only registering the ring anew takes back entries that the kernel has committed. */
  protected override restore(): number {
    this.#metrics.groupResets++
    const { ring, spans, head } = this
    const left: { address: number, lengthBytes: number, id: number }[] = []
    for (let offset = 0; offset < spans; offset++) {
      const position = (head + offset) | 0
      left.push({ address: ring.address(position), lengthBytes: ring.lengthBytes(position), id: ring.id(position) })
    }
    ring.clear()
    this.#registered = false
    this.head = 0
    this.moved(head, 0, spans)
    for (const { address, lengthBytes, id } of left) ring.push(address, lengthBytes, id)
    return this.prepare()
  }

  override unregister(): void {
    this.ring.unregister()
  }
}

/** Requests of one chain. Longer chains gain nothing and fill the submission queue. */
const chainMax = 256

/**
 * The same ring without bundles, one request a buffer: what bundles are compared with. The requests are linked:
 * independent ones could overtake each other when the socket fills up in the middle of a buffer.
 */
export class SingleBufferGroup extends BundleGroup {
  protected override handOver(queue: SubmissionQueue, slot: number, fd: number, waits: SendWaits, spans: number) {
    this.ring.publish()
    // A chain that is submitted in two parts would be two chains.
    const requests = queue.reserve(Math.min(spans, chainMax))
    for (let left = requests; left > 0; left--) queue.sendBuffer(slot, fd, this.ring.group, left > 1, waits)
    return { spans: requests, requests }
  }
}
