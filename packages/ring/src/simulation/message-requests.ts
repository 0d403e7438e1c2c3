import {
  bufferIdShift, CompletionFlag, controlHeaderBytes, Errno, MessageFlag, receivedMessageHeaderBytes,
} from '../abi'
import type { BufferEntry } from './buffer-group'
import { coalesceOption, type DatagramSocket } from './datagram-socket'
import type { OpenFile } from './descriptors'
import { LocalMessageSocket } from './local-message-socket'
import type { NamedSpan } from './named-memory'
import { Request, type RequestRing } from './request'
import type { Span } from './send-request'
import type { Submission } from './submission'

const udpLevel = 17

/** `SOL_SOCKET`, and what comes along with messages of Unix sockets. */
const socketLevel = 1
const rightsType = 1
const credentialsType = 2
const credentialsBytes = 12

/** A message, or several datagrams to be segmented, to be sent. */
export interface OutgoingMessage {
  readonly spans: readonly Span[]
  readonly to: Uint8Array | undefined
  /** Size of each datagram if there are to be several, else 0. */
  readonly segmentBytes: number
  /** Descriptors that go along (`SCM_RIGHTS`). */
  readonly fds: readonly number[]
}

/** What one receive gets: a message, or datagrams of a size (but for a shorter last). */
export interface MessageReceived {
  /** Empty for an unnamed sender. */
  readonly from: Uint8Array
  readonly payload: Buffer
  /** Size of each if there are several, else 0. */
  readonly segmentBytes: number
  /** Files that are the receiver's to let go of. */
  readonly files?: readonly OpenFile[]
  /** The kernel says who sent it. */
  readonly credentials?: boolean
}

/** A socket that sends and receives messages. */
export type MessageEnd = DatagramSocket | LocalMessageSocket

export class SendMessageRequest extends Request {
  readonly #socket: MessageEnd
  readonly #message: OutgoingMessage
  readonly #fileOf: (fd: number) => OpenFile | undefined
  readonly #spans: NamedSpan[] = []

  constructor(
    ring: RequestRing,
    submission: Submission,
    file: OpenFile,
    socket: MessageEnd,
    message: OutgoingMessage,
    fileOf: (fd: number) => OpenFile | undefined,
  ) {
    super(ring, submission, file)
    this.#socket = socket
    this.#message = message
    this.#fileOf = fileOf
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
    if (this.#mayWait && choices.chance(temperament.datagramWait)) {
      this.ring.ready(this)
      return
    }
    for (const span of this.#spans) this.ring.named.check(span)
    const payload = Buffer.concat(this.#spans.map(({ bytes }) => bytes))
    const { to, segmentBytes } = this.#message
    this.end(this.#socket instanceof LocalMessageSocket
      ? this.#sendLocal(this.#socket, payload)
      : this.#socket.send(payload, to, segmentBytes))
  }

  /** Rather than say so, the kernel is to wait for room. */
  get #mayWait(): boolean {
    return (this.submission.operationFlags & MessageFlag.DontWait) === 0
  }

  #sendLocal(socket: LocalMessageSocket, payload: Buffer): number {
    const { to, fds } = this.#message
    const files = fds.map((fd) => this.#fileOf(fd))
    if (!files.every((file) => file !== undefined)) return -Errno.EBADF
    const result = socket.send(payload, to, files)
    // Linux would send an empty message when there is room (`docs/decisions/0010-unix-messages.md`).
    if (result === -Errno.EAGAIN && this.#mayWait) this.ring.violated('a Unix message waits in the kernel')
    return result
  }
}

/** A multishot `RECVMSG` on a socket that keeps message boundaries. */
export class ReceiveMessageRequest extends Request {
  readonly #socket: MessageEnd
  /** Gives a received file a descriptor. @returns it, or `-errno`. */
  readonly #install: (file: OpenFile) => number
  /** What the `msghdr` reserves in each buffer. */
  readonly #nameBytes: number
  readonly #controlBytes: number

  constructor(
    ring: RequestRing,
    submission: Submission,
    file: OpenFile,
    socket: MessageEnd,
    nameBytes: number,
    controlBytes: number,
    install: (file: OpenFile) => number,
  ) {
    super(ring, submission, file)
    this.#socket = socket
    this.#install = install
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
    if (this.interrupted()) return
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
      const { from, payload } = received
      const offset = receivedMessageHeaderBytes + this.#nameBytes + this.#controlBytes
      const taken = Math.min(payload.byteLength, target.byteLength - offset)
      const controls = this.#writeControls(target, received)
      target.writeUInt32LE(from.byteLength, 0)
      target.writeUInt32LE(controls.lengthBytes, 4)
      target.writeUInt32LE(taken, 8)
      target.writeUInt32LE(controls.flags | (taken < payload.byteLength ? MessageFlag.Truncated : 0), 12)
      target.set(from.subarray(0, this.#nameBytes), receivedMessageHeaderBytes)
      payload.copy(target, offset, 0, taken)
      const flags = CompletionFlag.Buffer | (buffer.id << bufferIdShift)
      // A receive of nothing is the last, whether it is an empty message or the end (`io_recvmsg_multishot`).
      if (taken === 0 || !this.post(offset + taken, flags)) this.end(offset + taken, flags, false)
    }
  }

  /** What comes along, as far as there is room. */
  #writeControls(target: Buffer, received: MessageReceived): { lengthBytes: number, flags: number } {
    const { segmentBytes, files = [], credentials = false } = received
    const begin = receivedMessageHeaderBytes + this.#nameBytes
    let flags = 0
    let at = begin
    if (segmentBytes !== 0) at = writeControl(target, at, udpLevel, coalesceOption, [segmentBytes])
    if (credentials) {
      if (this.#controlBytes < controlHeaderBytes + credentialsBytes) flags |= MessageFlag.ControlTruncated
      else at = writeControl(target, at, socketLevel, credentialsType, [process.pid, 0, 0])
    }
    if (files.length === 0) return { lengthBytes: at - begin, flags }
    const room = Math.floor((this.#controlBytes - (at - begin) - controlHeaderBytes) / 4)
    const fds: number[] = []
    for (const file of files.slice(0, Math.max(0, room))) {
      const fd = this.#install(file)
      if (fd < 0) break
      fds.push(fd)
    }
    for (const file of files) file.leave()
    if (fds.length < files.length) flags |= MessageFlag.ControlTruncated
    if (fds.length !== 0) at = writeControl(target, at, socketLevel, rightsType, fds)
    return { lengthBytes: at - begin, flags }
  }
}

/** Writes a control message of words. @returns where the next may be. */
function writeControl(target: Buffer, at: number, level: number, type: number, words: readonly number[]): number {
  const lengthBytes = controlHeaderBytes + words.length * 4
  const end = at + ((lengthBytes + 7) & ~7)
  target.fill(0, at, end)
  target.writeUInt32LE(lengthBytes, at)
  target.writeUInt32LE(level, at + 8)
  target.writeUInt32LE(type, at + 12)
  for (const [index, word] of words.entries()) target.writeUInt32LE(word, at + controlHeaderBytes + index * 4)
  return end
}
