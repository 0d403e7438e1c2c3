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
  #vectors: number
  /** Bytes that were left when it last read, or -1 when it does not know. */
  #left = -1
  /** Bytes that the next step asks for, or 0: after a single buffer it goes on asking for so many (`sr->len`). */
  #asked = 0
  /** It has seen the last buffer since its last completion: the next will end it (`REQ_F_BL_EMPTY`). */
  #empty = false
  /** What a bundle has gathered: bytes, and the buffer it began with. */
  #gathered = 0
  #first: BufferEntry | undefined

  constructor(ring: RequestRing, submission: Submission, file: OpenFile, socket: StreamSocket) {
    super(ring, submission, file)
    this.#socket = socket
    this.#bundle = (submission.mode & Mode.Bundle) !== 0
    this.#headerBytes = submission.opcode === Opcode.ReceiveMessage ? receivedMessageHeaderBytes : 0
    this.#vectors = ring.vectorCache.take()
    socket.readers.add(this)
    if (++socket.receives > 1) ring.violated('two receives of one stream were in the kernel')
  }

  protected override leave(): void {
    this.#socket.receives--
    this.#socket.readers.delete(this)
  }

  protected override go(): void {
    const group = this.ring.group(this.submission.group)
    if (group === undefined) {
      this.end(-Errno.ENOBUFS)
      return
    }
    group.receive()
    if (this.#first === undefined && this.interrupted()) return
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
    return this.#socket.readableHint > 0
  }

  #receiveBundle(group: BufferGroup): boolean {
    const known = this.#left > 1 ? this.#left : 0
    const { buffers, empty, partial } = group.peek(this.#vectors, this.#asked === 0 ? known : this.#asked)
    if (buffers.length === 0) {
      this.#left = -1
      this.#endBundle(-Errno.ENOBUFS, group)
      return false
    }
    this.#vectors = Math.max(this.#vectors, buffers.length)
    if (empty) this.#empty = true
    if (buffers.length === 1) this.#asked = buffers[0].lengthBytes
    let bytes = 0
    let used = 0
    let result = 0
    for (const buffer of buffers) {
      // It is one call of `recvmsg` to the kernel: what comes behind some bytes is for the next.
      if (bytes !== 0 && this.#socket.readable === 0) break
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
    if (!this.#empty && !retrying && !partial && full && this.#left > 1) {
      this.#asked = this.#left
      return true
    }
    const flags = this.#bufferFlags(this.#first)
    const gathered = this.#gathered
    this.#gathered = 0
    this.#first = undefined
    if (this.#empty || !this.post(gathered, flags)) {
      this.end(gathered, flags, false)
      return false
    }
    this.#asked = 0
    return this.#left > 0
  }

  /** A bundle ends with what it has gathered, if it has. */
  #endBundle(result: number, group: BufferGroup): void {
    if (this.#first === undefined) this.#endWithout(group, result)
    else this.end(this.#gathered, this.#bufferFlags(this.#first), false)
  }

  protected override end(result: number, flags = 0, failed = result < 0): void {
    if (result !== -Errno.ECANCELED) this.ring.vectorCache.give(this.#vectors)
    super.end(result, flags, failed)
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
