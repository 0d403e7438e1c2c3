import {
  bufferIdShift, CompletionFlag, controlHeaderBytes, Errno, MessageFlag, receivedMessageHeaderBytes,
} from '../abi'
import type { BufferEntry } from './buffer-group'
import { coalesceOption, type DatagramSocket } from './datagram-socket'
import type { OpenFile } from './descriptors'
import type { NamedSpan } from './named-memory'
import { Request, type RequestRing } from './request'
import type { Span } from './send-request'
import type { Submission } from './submission'

const udpLevel = 17

/** A datagram, or several to be segmented, to be sent. */
export interface OutgoingMessage {
  readonly spans: readonly Span[]
  readonly to: Uint8Array | undefined
  /** Size of each datagram if there are to be several, else 0. */
  readonly segmentBytes: number
}

export class SendMessageRequest extends Request {
  readonly #socket: DatagramSocket
  readonly #message: OutgoingMessage
  readonly #spans: NamedSpan[] = []

  constructor(
    ring: RequestRing,
    submission: Submission,
    file: OpenFile,
    socket: DatagramSocket,
    message: OutgoingMessage,
  ) {
    super(ring, submission, file)
    this.#socket = socket
    this.#message = message
    for (const { address, lengthBytes } of message.spans) {
      const span = ring.named.name(address, lengthBytes)
      if (span === undefined) ring.violated('a request sends memory that is not mapped')
      else this.#spans.push(span)
    }
  }

  protected override leave(): void {
    for (const span of this.#spans) this.ring.named.release(span)
    this.#spans.length = 0
  }

  protected override go(): void {
    const { choices, temperament } = this.ring
    if (choices.chance(temperament.datagramWait)) {
      this.ring.ready(this)
      return
    }
    for (const span of this.#spans) this.ring.named.check(span)
    const payload = Buffer.concat(this.#spans.map(({ bytes }) => bytes))
    this.end(this.#socket.send(payload, this.#message.to, this.#message.segmentBytes))
  }
}

/** A multishot `RECVMSG` on a datagram socket. */
export class ReceiveMessageRequest extends Request {
  readonly #socket: DatagramSocket
  /** What the `msghdr` reserves in each buffer. */
  readonly #nameBytes: number
  readonly #controlBytes: number

  constructor(
    ring: RequestRing,
    submission: Submission,
    file: OpenFile,
    socket: DatagramSocket,
    nameBytes: number,
    controlBytes: number,
  ) {
    super(ring, submission, file)
    this.#socket = socket
    this.#nameBytes = nameBytes
    this.#controlBytes = controlBytes
    socket.readers.add(this)
  }

  protected override leave(): void {
    this.#socket.readers.delete(this)
  }

  protected override go(): void {
    const group = this.ring.group(this.submission.group)
    group?.receive()
    while (!this.over) {
      const [buffer] = (group?.peek(1, 0).buffers ?? []) as (BufferEntry | undefined)[]
      if (group === undefined || buffer === undefined) {
        this.end(-Errno.ENOBUFS)
        return
      }
      const received = this.#socket.receive()
      if (received === -Errno.EAGAIN) return
      if (typeof received === 'number') {
        this.end(received)
        return
      }
      const target = group.target(buffer)
      group.commit(1)
      const { from, payload, segmentBytes } = received
      const offset = receivedMessageHeaderBytes + this.#nameBytes + this.#controlBytes
      const taken = Math.min(payload.byteLength, target.byteLength - offset)
      target.writeUInt32LE(from.byteLength, 0)
      target.writeUInt32LE(this.#writeControl(target, segmentBytes), 4)
      target.writeUInt32LE(taken, 8)
      target.writeUInt32LE(taken < payload.byteLength ? MessageFlag.Truncated : 0, 12)
      target.set(from.subarray(0, this.#nameBytes), receivedMessageHeaderBytes)
      payload.copy(target, offset, 0, taken)
      const flags = CompletionFlag.Buffer | (buffer.id << bufferIdShift)
      if (!this.post(offset + taken, flags)) this.end(offset + taken, flags, false)
    }
  }

  #writeControl(target: Buffer, segmentBytes: number): number {
    if (segmentBytes === 0) return 0
    const at = receivedMessageHeaderBytes + this.#nameBytes
    target.fill(0, at, at + controlHeaderBytes + 8)
    target.writeUInt32LE(controlHeaderBytes + 4, at)
    target.writeUInt32LE(udpLevel, at + 8)
    target.writeUInt32LE(coalesceOption, at + 12)
    target.writeUInt32LE(segmentBytes, at + controlHeaderBytes)
    return controlHeaderBytes + 8
  }
}
