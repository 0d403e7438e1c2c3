import { bufferIdShift, MessageFlag, receivedMessageHeaderBytes, ReceivedMessageWord } from '../abi'
import { limits } from '../limits'
import type { MessageShare } from '../message/share'
import { countBundle } from '../metrics'
import { closeUnclaimed, descriptorsLost } from '../socket/rights'
import type { ReceivedDetails } from '../transport'
import { Receiver, type ReceiverOwner } from './receiver'

/** What an address family makes of the control messages that come along with a stream's bytes. */
export interface DetailReader {
  /** Receive buffers with room for them. */
  readonly share: MessageShare
  readonly controlBytesMax: number
  /** Descriptors are received: that some did not arrive is an error. */
  readonly receivesDescriptors: boolean
  read(words: Int32Array, offset: number, lengthBytes: number): ReceivedDetails | undefined
}

/**
 * A {@link Receiver} that is told what came along with the bytes. It receives by `RECVMSG`, into the buffers of message
 * sockets, and never more at once than the kernel says belongs together: a receive ends with the bytes that
 * descriptors were sent with.
 */
export class DetailReceiver extends Receiver {
  readonly #reader: DetailReader
  readonly #payloadOffsetBytes: number

  constructor(owner: ReceiverOwner, slot: number, reader: DetailReader) {
    super(owner, slot)
    this.#reader = reader
    this.#payloadOffsetBytes = receivedMessageHeaderBytes + limits.messageNameBytes + reader.controlBytesMax
  }

  override unpark(): void {
    if (this.owner.parked) this.#reader.share.unpark(this.owner)
  }

  protected override mayArm(): boolean {
    return this.#reader.share.pool.available !== 0
  }

  protected override park(): void {
    this.#reader.share.park(this.owner)
  }

  /** As every receive without bundles: `Ring.receiveMissesResets`. */
  protected override get missesResets(): boolean {
    return true
  }

  protected override arm(): void {
    this.#reader.share.receive(this.slot, this.owner.fd, this.#reader.controlBytesMax)
  }

  protected override exhausted(): void {
    this.#reader.share.exhausted()
  }

  protected override take(bytes: number, flags: number): void {
    const { share, controlBytesMax, receivesDescriptors } = this.#reader
    const { pool, words } = share
    pool.expect(flags >>> bufferIdShift)
    const run = pool.takeRun(bytes, 0, 1)
    const at = run.offset >> 2
    const controlBytes = Math.min(words[at + ReceivedMessageWord.ControlBytes], controlBytesMax)
    const controlOffset = run.offset + receivedMessageHeaderBytes + limits.messageNameBytes
    const details = controlBytes === 0 ? undefined : this.#reader.read(words, controlOffset, controlBytes)
    const lost = receivesDescriptors && (words[at + ReceivedMessageWord.Flags] & MessageFlag.ControlTruncated) !== 0
    const payload = bytes - this.#payloadOffsetBytes
    const wanted = payload !== 0 && !lost && this.owner.state !== 'closing'
    const chunk = wanted ? this.allocate(payload) : undefined
    chunk?.set(share.bytes.subarray(run.offset + this.#payloadOffsetBytes, run.offset + bytes))
    pool.recycle(run.first, 1)
    share.publish()
    if (chunk === undefined) {
      closeUnclaimed(details)
      if (lost) this.owner.destroy(descriptorsLost())
      else if (payload === 0) this.end()
      return
    }
    const { metrics } = this.ring
    metrics.receives++
    metrics.receiveBuffers++
    metrics.bytesRead += payload
    countBundle(metrics.receiveBundles, 1)
    this.deliver(chunk, details)
  }
}
