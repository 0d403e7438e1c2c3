import { bufferIdShift, CompletionFlag, Errno, MessageFlag, Mode } from '../abi'
import type { BufferEntry } from './buffer-group'
import type { OpenFile } from './descriptors'
import { poisonMemory } from './memory'
import type { NamedSpan } from './named-memory'
import { Request, type RequestRing } from './request'
import type { StreamSocket } from './stream-socket'
import type { Submission } from './submission'

export interface Span {
  readonly address: number
  readonly lengthBytes: number
}

/** What a send on a stream sends: a span, a vector, or buffers of a group (one, or a bundle of all that there are). */
export type SendSource = readonly Span[] | 'group'

/** A send on a stream: `io_send`, `io_sendmsg`. */
export class SendRequest extends Request {
  readonly #socket: StreamSocket
  readonly #bundle: boolean
  readonly #waitsForAll: boolean
  readonly #neverWaits: boolean
  /** What is being sent, the part of it that has been, and where that ends. */
  #spans: NamedSpan[] | undefined
  #index = 0
  #offset = 0
  #sent = 0
  /** The buffer that the completion names, and whether it is the last. */
  #first: BufferEntry | undefined
  #last = true
  /** Room for vectors, which a bundle may have to enlarge. */
  #vectors: number
  /** The socket has refused to take more. */
  #refused = false

  constructor(ring: RequestRing, submission: Submission, file: OpenFile, socket: StreamSocket, source: SendSource) {
    super(ring, submission, file)
    this.#socket = socket
    this.#bundle = (submission.mode & Mode.Bundle) !== 0
    this.#neverWaits = (submission.operationFlags & MessageFlag.DontWait) !== 0
    this.#waitsForAll = (submission.operationFlags & MessageFlag.WaitAll) !== 0
    if (source !== 'group') this.#spans = this.#name(source)
    this.#vectors = Math.max(ring.vectorCache.take(), source === 'group' ? 1 : source.length)
    socket.writers.add(this)
  }

  protected override leave(): void {
    this.#socket.writers.delete(this)
    for (const span of this.#spans ?? []) this.ring.named.release(span)
    this.#spans = []
  }

  protected override go(): void {
    while (!this.over) {
      if (this.#spans === undefined && !this.#select()) return
      const result = this.#send()
      if (result === -Errno.EAGAIN) {
        this.#meetNoRoom()
        return
      }
      this.#stepDone(result)
    }
  }

  #meetNoRoom(): void {
    const { choices, temperament } = this.ring
    if (this.#neverWaits) this.#giveUp(Errno.EAGAIN)
    else if (choices.chance(temperament.shortSend)) this.#giveUp(Errno.EINTR)
  }

  /** Ends early. Whatever it has sent counts. */
  #giveUp(errno: number): void {
    this.end(this.#sent === 0 ? -errno : this.#sent, this.#flags(), true)
  }

  protected override end(result: number, flags = 0, failed = result < 0): void {
    if (result !== -Errno.ECANCELED) this.ring.vectorCache.give(this.#vectors)
    super.end(result, flags, failed)
  }

  protected override cancelled(): void {
    this.#giveUp(Errno.ECANCELED)
  }

  /** Takes buffers of the group: a bundle commits them now, whatever becomes of it. */
  #select(): boolean {
    const group = this.ring.group(this.submission.group)
    const peeked = group?.peek(1, this.#bundle ? 2 ** 31 - 1 : 0)
    if (group === undefined || peeked === undefined || peeked.buffers.length === 0) {
      this.end(-Errno.ENOBUFS)
      return false
    }
    group.commit(peeked.buffers.length)
    this.#vectors = Math.max(this.#vectors, peeked.buffers.length)
    this.#first = peeked.buffers[0]
    this.#last = !this.#bundle || peeked.empty
    this.#spans = this.#name(peeked.buffers)
    return this.#spans !== undefined
  }

  #name(spans: readonly Span[]): NamedSpan[] | undefined {
    const named: NamedSpan[] = []
    for (const { address, lengthBytes } of spans) {
      const span = this.ring.named.name(address, lengthBytes)
      if (span === undefined) {
        this.ring.violated('a request sends memory that is not mapped')
        continue
      }
      named.push(span)
    }
    return named
  }

  /** @returns bytes sent in all, `-EAGAIN` to wait for room, or `-errno`. */
  #send(): number {
    const spans = this.#spans ?? []
    const { choices, temperament } = this.ring
    while (this.#index < spans.length) {
      const span = spans[this.#index]
      this.ring.named.check(span)
      const taken = this.#socket.send(span.bytes.subarray(this.#offset))
      if (taken < 0) {
        this.#refused = taken !== -Errno.EAGAIN
        if (this.#refused) return this.#sent === 0 ? taken : this.#sent
        return this.#waitsForAll || this.#sent === 0 ? taken : this.#sent
      }
      this.#sent += taken
      this.#offset += taken
      if (this.#offset === span.bytes.byteLength) {
        this.#offset = 0
        this.#index++
      }
      if (choices.chance(temperament.shortSend)) break
    }
    return this.#sent
  }

  #stepDone(result: number): void {
    const flags = this.#flags()
    const all = this.#index === (this.#spans ?? []).length
    this.#spoil()
    // As `io_send_finish` does, a bundle goes on even when its socket has failed in the middle of this part.
    if (result > 0 && !this.#last && (all || this.#refused)) {
      this.#spans = undefined
      this.#index = this.#offset = this.#sent = 0
      if (this.post(result, flags)) return
    }
    this.end(result, flags, !all)
  }

  /** What has been sent is nobody's to send again. */
  #spoil(): void {
    const spans = this.#spans ?? []
    for (const span of spans) this.ring.named.release(span)
    this.#spans = []
    for (const [index, span] of spans.entries()) {
      if (index < this.#index) poisonMemory(span.bytes)
      else if (index === this.#index) poisonMemory(span.bytes.subarray(0, this.#offset))
    }
  }

  #flags(): number {
    return this.#first === undefined ? 0 : CompletionFlag.Buffer | (this.#first.id << bufferIdShift)
  }
}
