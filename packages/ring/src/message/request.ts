import type { Region } from '@sheaf/native'
import { controlHeaderBytes, messageHeaderBytes, MessageHeaderWord, vectorBytes } from '../abi'
import { limits } from '../limits'
import { setAddress } from '../memory/address'
import type { SendBlock, SendMemory } from '../memory/send-memory'
import type { Operation, OperationOwner } from '../queue/operation-table'
import type { SubmissionQueue } from '../queue/submission-queue'
import type { SentDescriptors } from '../socket/rights'
import type { WriteCallback } from '../transport'
import type { MessageBurst } from './burst'
import type { Lane } from './lane'

/** `SOL_UDP`, `UDP_SEGMENT` (`include/uapi/linux/udp.h`); its value is 16 bits. */
const segmentLevel = 17
const segmentType = 103
const segmentControlBytes = controlHeaderBytes + 2

/** A request's memory: header, one control message (24 bytes, in a line of its own), name, vector. */
const controlOffsetBytes = messageHeaderBytes + 8
const nameOffsetBytes = controlOffsetBytes + 32
const vectorOffsetBytes = nameOffsetBytes + limits.messageNameBytes
export const requestBytes = (vectorOffsetBytes + limits.messagePiecesMax * vectorBytes + 63) & ~63

/** Whose request it is. */
export interface RequestOwner {
  requestCompleted(request: MessageRequest, result: number): void
}

/**
 * A datagram, or consecutive ones of one size (the last may be shorter) to one destination: one `SENDMSG`, which the
 * kernel is asked to segment, or a part of a {@link MessageBurst}. The memory that the kernel reads, the header here
 * and the payload in send memory, is its until the completion.
 */
export class MessageRequest implements OperationOwner {
  readonly #address: number
  readonly #words: Uint32Array
  readonly #bytes: Uint8Array
  /**
   * Where the payload lies: pieces of send memory, in order, from the first that has bytes. The arrays only grow, as
   * cutting them off would cost more than the rest of a request.
   */
  readonly #pieceAddresses: number[] = []
  readonly #pieceLengths: number[] = []
  #firstPiece = 0
  #pieces = 0
  readonly #blocks: SendBlock[] = []
  #blockCount = 0
  /** Where the last piece ends, in the last block. */
  #pieceEnd = 0
  /** One entry a datagram if any of them has a callback. */
  #callbacks: (WriteCallback | undefined)[] | undefined
  #lastBytes = 0
  /** What goes along, and the memory of the control message that says so. */
  #descriptors: SentDescriptors | undefined
  #controlAddress = 0
  #controlBytes = 0
  readonly quiet = true
  slot = -1
  /** The next of its lane. */
  next: MessageRequest | undefined
  owner: RequestOwner | undefined
  lane: Lane | undefined
  /** Datagrams, and their payload, that have neither been sent nor failed. */
  count = 0
  sizeBytes = 0
  /** Payload of each but the last. */
  segmentBytes = 0
  /** Nothing may be added behind a shorter datagram. */
  #sealed = false
  /** Datagrams that the request in the kernel covers. */
  covered = 0

  constructor(region: Region, offsetBytes: number) {
    this.#address = region.address + offsetBytes
    this.#words = new Uint32Array(region.buffer, offsetBytes, requestBytes / 4)
    this.#bytes = new Uint8Array(region.buffer, offsetBytes, requestBytes)
    setAddress(this.#words, MessageHeaderWord.Vector, this.#address + vectorOffsetBytes)
  }

  begin(owner: RequestOwner, slot: number, lane: Lane): void {
    this.owner = owner
    this.slot = slot
    this.lane = lane
    this.#sealed = false
    this.address(lane.name)
  }

  /** @param name the `sockaddr` to send to; empty for the peer of a connected socket. */
  address(name: Uint8Array): void {
    const words = this.#words
    if (name.byteLength !== 0) this.#bytes.set(name, nameOffsetBytes)
    setAddress(words, MessageHeaderWord.Name, name.byteLength === 0 ? 0 : this.#address + nameOffsetBytes)
    words[MessageHeaderWord.NameBytes] = name.byteLength
  }

  /** Whether a datagram of `lengthBytes` may join. */
  takes(lengthBytes: number, segmentsMax: number): boolean {
    return !this.#sealed
      && this.count < segmentsMax
      && lengthBytes <= this.segmentBytes
      && lengthBytes !== 0
      && this.sizeBytes + lengthBytes <= limits.datagramBytesMax
  }

  /** Counts one more datagram, whose bytes follow by {@link addPiece}. */
  addDatagram(lengthBytes: number, callback: WriteCallback | undefined): void {
    if (this.count === 0) this.segmentBytes = lengthBytes
    if (lengthBytes !== this.segmentBytes || lengthBytes === 0) this.#sealed = true
    if (callback !== undefined) {
      this.#callbacks ??= new Array<WriteCallback | undefined>(this.count).fill(undefined)
    }
    this.#callbacks?.push(callback)
    this.count++
    this.sizeBytes += lengthBytes
    this.#lastBytes = lengthBytes
  }

  /** Has descriptors go along with the one datagram. Takes over the reference to `block`, for the control message. */
  attach(descriptors: SentDescriptors, block: SendBlock): void {
    this.#descriptors = descriptors
    this.#blocks[this.#blockCount++] = block
    this.#controlAddress = block.address
    this.#controlBytes = descriptors.write(block.bytes, 0)
    this.seal()
  }

  /** Nothing may join any more: it must be sent as it is, or is too large to be bundled. */
  seal(): void {
    this.#sealed = true
  }

  /** The next bytes of the payload: those of `block` from `start` on. Takes a reference to the block. */
  addPiece(block: SendBlock, start: number, lengthBytes: number): void {
    const isLastBlock = this.#blockCount !== 0 && this.#blocks[this.#blockCount - 1] === block
    if (isLastBlock && this.#pieces !== 0 && this.#pieceEnd === start) {
      this.#pieceLengths[this.#pieces - 1] += lengthBytes
    } else {
      if (!isLastBlock) {
        block.references++
        this.#blocks[this.#blockCount++] = block
      }
      this.#pieceAddresses[this.#pieces] = block.address + start
      this.#pieceLengths[this.#pieces++] = lengthBytes
    }
    this.#pieceEnd = start + lengthBytes
  }

  /**
   * Asks the kernel to send the first datagrams, at most `segmentsMax`. @param namedSends a plain send may have a name.
   */
  submit(queue: SubmissionQueue, fd: number, segmentsMax: number, linked: boolean, namedSends: boolean): void {
    const words = this.#words
    const covered = this.covered = Math.min(this.count, segmentsMax)
    const nameBytes = words[MessageHeaderWord.NameBytes]
    const inOnePiece = this.#pieces !== 0 && this.#pieceLengths[this.#firstPiece] >= this.segmentBytes
    if (covered === 1 && inOnePiece && (nameBytes === 0 || namedSends)) {
      const name = this.#address + nameOffsetBytes
      const address = this.#pieceAddresses[this.#firstPiece]
      queue.sendDatagram(this.slot, fd, address, this.segmentBytes, name, nameBytes, linked)
      return
    }
    words[MessageHeaderWord.VectorCount] = this.#writeVector(this.#bytesOf(covered))
    if (covered === 1) {
      words[MessageHeaderWord.ControlBytes] = 0
    } else {
      setAddress(words, MessageHeaderWord.Control, this.#address + controlOffsetBytes)
      words[MessageHeaderWord.ControlBytes] = segmentControlBytes + 6
      const at = controlOffsetBytes / 4
      words[at] = segmentControlBytes
      words[at + 1] = 0
      words[at + 2] = segmentLevel
      words[at + 3] = segmentType
      words[at + 4] = this.segmentBytes
    }
    queue.sendMessage(this.slot, fd, this.#address, linked)
  }

  /** Adds its datagrams to a burst. @returns whether there was room for all. */
  addTo(burst: MessageBurst): boolean {
    const nameBytes = this.#words[MessageHeaderWord.NameBytes]
    const name = nameBytes === 0 ? 0 : this.#address + nameOffsetBytes
    let piece = this.#firstPiece
    let offset = 0
    let left = this.sizeBytes
    for (let index = 0; index < this.count; index++) {
      if (!burst.hasRoom) return false
      burst.add(name, nameBytes, this.#controlAddress, this.#controlBytes)
      let lengthBytes = Math.min(this.segmentBytes, left)
      left -= lengthBytes
      while (lengthBytes > 0) {
        const taken = Math.min(lengthBytes, this.#pieceLengths[piece] - offset)
        burst.addPiece(this.#pieceAddresses[piece] + offset, taken)
        lengthBytes -= taken
        offset += taken
        if (offset !== this.#pieceLengths[piece]) continue
        piece++
        offset = 0
      }
    }
    return true
  }

  /** Payload bytes of the first `count` datagrams. */
  #bytesOf(count: number): number {
    return count === this.count ? this.sizeBytes : count * this.segmentBytes
  }

  #writeVector(sizeBytes: number): number {
    const words = this.#words
    let at = vectorOffsetBytes / 4
    let left = sizeBytes
    let index = this.#firstPiece
    for (; left > 0; index++) {
      const length = Math.min(left, this.#pieceLengths[index])
      setAddress(words, at, this.#pieceAddresses[index])
      words[at + 2] = length
      words[at + 3] = 0
      left -= length
      at += 4
    }
    return index - this.#firstPiece
  }

  complete(_operation: Operation, result: number): void {
    this.owner?.requestCompleted(this, result)
  }

  /**
   * Takes the first `count` datagrams off and calls `settle` with the callback of each. @returns their payload bytes.
   */
  takeOff(count: number, settle: ((callback: WriteCallback | undefined) => void) | undefined): number {
    const taken = this.#bytesOf(count)
    if (this.#callbacks !== undefined || settle !== undefined) {
      for (let index = 0; index < count; index++) settle?.(this.#callbacks?.[index])
      this.#callbacks?.splice(0, count)
    }
    this.count -= count
    this.sizeBytes -= taken
    if (this.count === 1) this.segmentBytes = this.#lastBytes
    if (this.count !== 0) this.#dropBytes(taken)
    return taken
  }

  get hasCallbacks(): boolean {
    return this.#callbacks !== undefined
  }

  #dropBytes(sizeBytes: number): void {
    let left = sizeBytes
    for (; left > 0; this.#firstPiece++) {
      const length = this.#pieceLengths[this.#firstPiece]
      if (length > left) {
        this.#pieceAddresses[this.#firstPiece] += left
        this.#pieceLengths[this.#firstPiece] -= left
        return
      }
      left -= length
    }
  }

  /** Gives its send memory back. No request may be in the kernel. */
  release(memory: SendMemory): void {
    for (let index = 0; index < this.#blockCount; index++) memory.release(this.#blocks[index])
    this.#blockCount = this.#firstPiece = this.#pieces = 0
    this.#callbacks = undefined
    this.#descriptors?.close()
    this.#descriptors = undefined
    this.#controlAddress = this.#controlBytes = 0
    this.count = this.sizeBytes = this.segmentBytes = this.covered = 0
    this.owner = this.lane = undefined
    this.slot = -1
  }
}
