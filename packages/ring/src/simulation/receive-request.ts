import { bufferIdShift, CompletionFlag, Errno, Mode, Opcode, receivedMessageHeaderBytes } from '../abi'
import type { BufferEntry, BufferGroup } from './buffer-group'
import type { OpenFile } from './descriptors'
import { Request, type RequestRing } from './request'
import type { StreamSocket } from './stream-socket'
import type { Submission } from './submission'

/** `IORING_CQE_F_SOCK_NONEMPTY`. */
const socketNotEmpty = 1 << 2
/** `MULTISHOT_MAX_RETRY` of `io_uring/net.c`. */
const retriesMax = 32

/** A multishot receive on a stream: `io_recv`, or `io_recvmsg` where each buffer begins with a header. */
export class ReceiveRequest extends Request {
  readonly #socket: StreamSocket
  readonly #bundle: boolean
  readonly #headerBytes: number
  /** Vectors that earlier steps have made room for. */
  #vectors = 1
  /** Bytes that were left when it last read, or -1 when it does not know. */
  #left = -1
  /** What a bundle has gathered: bytes, and the buffer it began with. */
  #gathered = 0
  #first: BufferEntry | undefined

  constructor(ring: RequestRing, submission: Submission, file: OpenFile, socket: StreamSocket) {
    super(ring, submission, file)
    this.#socket = socket
    this.#bundle = (submission.mode & Mode.Bundle) !== 0
    this.#headerBytes = submission.opcode === Opcode.ReceiveMessage ? receivedMessageHeaderBytes : 0
    socket.readers.add(this)
  }

  protected override leave(): void {
    this.#socket.readers.delete(this)
  }

  protected override go(): void {
    const group = this.ring.group(this.submission.group)
    if (group === undefined) {
      this.end(-Errno.ENOBUFS)
      return
    }
    group.receive()
    for (let tries = 0; !this.over; tries++) {
      if (tries === retriesMax) {
        // What comes after a reset without data wakes nobody: such a receive waits for ever (seen on 6.18).
        if (this.#bundle || this.#socket.readable !== 0) this.ring.ready(this)
        return
      }
      if (!(this.#bundle ? this.#receiveBundle(group) : this.#receiveOne(group))) return
    }
  }

  /** @returns whether to go on at once. */
  #receiveOne(group: BufferGroup): boolean {
    const [buffer] = group.peek(1, 0).buffers as (BufferEntry | undefined)[]
    if (buffer === undefined) {
      this.end(-Errno.ENOBUFS)
      return false
    }
    const target = group.target(buffer)
    const result = this.#socket.read(target.subarray(this.#headerBytes))
    if (result === -Errno.EAGAIN) return false
    if (result < 0 || (result === 0 && this.#headerBytes === 0)) {
      this.#endWithout(group, result)
      return false
    }
    group.commit(1)
    if (this.#headerBytes !== 0) writeMessageHeader(target, result)
    const flags = this.#bufferFlags(buffer)
    if (result === 0 || !this.post(result + this.#headerBytes, flags)) {
      this.end(result + this.#headerBytes, flags)
      return false
    }
    return true
  }

  #receiveBundle(group: BufferGroup): boolean {
    const { buffers, empty, partial } = group.peek(this.#vectors, this.#left > 1 ? this.#left : 0)
    if (buffers.length === 0) {
      this.#left = -1
      this.#endBundle(-Errno.ENOBUFS, group)
      return false
    }
    this.#vectors = Math.max(this.#vectors, buffers.length)
    let bytes = 0
    let used = 0
    let result = 0
    for (const buffer of buffers) {
      const target = group.target(buffer)
      result = this.#socket.read(target)
      if (result <= 0) break
      bytes += result
      used++
      if (result < target.byteLength) break
    }
    if (bytes === 0) {
      this.#left = -1
      if (result === -Errno.EAGAIN) return false
      this.#endBundle(result, group)
      return false
    }
    group.commit(used)
    const retrying = this.#first !== undefined
    this.#first ??= buffers[0]
    this.#gathered += bytes
    this.#left = this.#socket.readableHint
    const full = used === buffers.length && result === buffers[used - 1].lengthBytes
    if (!empty && !retrying && !partial && full && this.#left > 1) return true
    const flags = this.#bufferFlags(this.#first)
    const gathered = this.#gathered
    this.#gathered = 0
    this.#first = undefined
    if (empty || !this.post(gathered, flags)) {
      this.end(gathered, flags, false)
      return false
    }
    return this.#left > 0
  }

  /** A bundle ends with what it has gathered, if it has. */
  #endBundle(result: number, group: BufferGroup): void {
    if (this.#first === undefined) this.#endWithout(group, result)
    else this.end(this.#gathered, this.#bufferFlags(this.#first), false)
  }

  protected override cancelled(): void {
    if (this.#first === undefined) this.end(-Errno.ECANCELED)
    else this.end(this.#gathered, this.#bufferFlags(this.#first), true)
  }

  /** No data: older kernels name a buffer all the same. */
  #endWithout(group: BufferGroup, result: number): void {
    const { endNames } = this.ring.temperament
    const [buffer] = group.peek(1, 0).buffers as (BufferEntry | undefined)[]
    if (result !== 0 || endNames === 'nothing' || buffer === undefined) {
      this.end(result)
      return
    }
    if (endNames === 'used') group.commit(1)
    this.end(0, this.#bufferFlags(buffer))
  }

  #bufferFlags(buffer: BufferEntry): number {
    const more = this.#socket.readable === 0 ? 0 : socketNotEmpty
    return CompletionFlag.Buffer | more | (buffer.id << bufferIdShift)
  }
}

/** `struct io_uring_recvmsg_out` of a stream: neither name nor control messages. */
function writeMessageHeader(target: Buffer, payloadBytes: number): void {
  target.fill(0, 0, receivedMessageHeaderBytes)
  target.writeUInt32LE(payloadBytes, 8)
}
