import {
  bufferIdShift, CompletionFlag, Errno, messageHeaderBytes, MessageFlag, multipleMessageHeaderBytes,
} from '../abi'
import { invariant, systemError } from '../errors'
import { limits } from '../limits'
import type { BlockHolder, SendBlock } from '../memory/send-memory'
import type { SendGroup } from '../memory/send-group'
import { countBundle } from '../metrics'
import type { SendWaits } from '../queue/submission-queue'
import type { Ring } from '../ring'
import type { SentDescriptors } from '../socket/rights'
import { Backlog, nothing } from './backlog'
import { descriptorPayloadOffsetBytes, writeDescriptorMessage } from './descriptor-message'

/** The most bytes that one UTF-16 unit takes in any of Node's encodings. */
const bytesPerCharacterMax = 3

/**
 * What one connection has to send, in order:
 *
 *   in flight → spans in the leased group → the open span of the block being written → the backlog
 *
 * Small writes meet in the open span, which is sent as it is. The group comes in when there are several spans: full
 * blocks, and received buffers that are forwarded. The backlog begins where the connection's share of send memory ends,
 * or all of it is in use, and with a large chunk. There is never more than one request in flight, a bundle's chain of
 * completions being one.
 *
 * Requests name none but send memory and the receive pool. A large chunk is not copied there: when its turn comes it is
 * sent from where it lies, by a system call that has returned before anybody could take it away. So is everything when
 * others have all send memory: they may have it for as long as their peers do not read. What the application wrote from
 * is its own again as soon as it has been copied or sent.
 */
export class SendQueue implements BlockHolder {
  readonly #ring: Ring
  readonly #slot: number
  readonly #fd: number
  /** The block being written, and the part of it that is neither sent nor in the group. */
  #block: SendBlock | undefined
  #start = 0
  #end = 0
  /** The span that a plain send is sending, or has left a part of. */
  #flightBlock: SendBlock | undefined
  #flying = false
  #flightStart = 0
  #flightEnd = 0
  #flightDescriptors: SentDescriptors | undefined
  #group: SendGroup | undefined
  #backlog: Backlog | undefined
  /** Bytes put where the kernel can be shown them, and bytes that it has taken, since the connection was made. */
  #placedBytes = 0
  sentBytes = 0
  /** Of what is submitted from now on, and of what is in flight. */
  waits: SendWaits = 0
  #flightWaits: SendWaits = 0
  /** `-errno` if sending in place has failed: the connection has. */
  failure = 0
  /** Blocks of send memory that have bytes of this connection. */
  blocks = 0

  constructor(ring: Ring, slot: number, fd: number) {
    this.#ring = ring
    this.#slot = slot
    this.#fd = fd
  }

  /** Bytes accepted since the connection was made. */
  get acceptedBytes(): number {
    return this.#backlog === undefined ? this.#placedBytes : this.#placedBytes + this.#backlog.sizeBytes
  }

  get queuedBytes(): number {
    return this.acceptedBytes - this.sentBytes
  }

  /** Some of it is not in send memory yet, and may be the application's own. */
  get waiting(): boolean {
    return this.#backlog !== undefined
  }

  get inFlight(): boolean {
    return this.#flying || (this.#group !== undefined && this.#group.inFlight)
  }

  /** What is in flight waits in the kernel for as long as there is no room. */
  get flightWaits(): boolean {
    return this.inFlight && this.#flightWaits === 0
  }

  write(chunk: Uint8Array): void {
    const length = chunk.byteLength
    const block = this.#block
    if (block !== undefined && this.#backlog === undefined && length <= limits.sendBlockBytes - this.#end) {
      block.bytes.set(chunk, this.#end)
      this.#end += length
      this.#placedBytes += length
      return
    }
    if (length >= limits.sendInPlaceBytes) this.#keep(chunk)
    else if (length !== 0) this.#writeAcross(chunk, length)
  }

  writeString(text: string, encoding: BufferEncoding): void {
    if (this.#backlog === undefined && text.length * bytesPerCharacterMax <= limits.sendBlockBytes) {
      if (this.#block === undefined) this.#nextBlock()
      const block = this.#block
      if (block !== undefined && text.length * bytesPerCharacterMax <= limits.sendBlockBytes - this.#end) {
        // Not named, it is UTF-8: Node need not look it up.
        const written = block.bytes.write(text, this.#end, encoding === 'utf8' ? undefined : encoding)
        this.#end += written
        this.#placedBytes += written
        return
      }
    }
    this.write(Buffer.from(text, encoding))
  }

  /**
   * Queues bytes that descriptors go along with. What is written before and after them stays before and after: the
   * message is a request of its own.
   */
  writeWithDescriptors(chunk: Uint8Array, descriptors: SentDescriptors): void {
    this.#backlog ??= new Backlog()
    this.#backlog.addWithDescriptors(chunk, descriptors)
  }

  /** Nothing more is sent. */
  closeDescriptors(): void {
    this.#flightDescriptors?.close()
    this.#flightDescriptors = undefined
    this.#backlog?.closeDescriptors()
  }

  /**
   * Queues neighbouring received buffers as one span.
   * @returns false if that can't be (no group, or it is full, or bytes wait in the backlog before it): then their bytes
   *   are to be written.
   */
  forwardRun(address: number, lengthBytes: number, first: number, count: number): boolean {
    const group = this.#groupWithRoom(1)
    if (group === undefined) return false
    group.pushRun(address, lengthBytes, first, count)
    this.#placedBytes += lengthBytes
    return true
  }

  /**
   * Queues buffers of a receive completion of `bytes`, at most `buffersMax`, each as it is. @returns the bytes in
   * them.
   */
  forwardSeparate(bytes: number, buffersMax: number): number {
    const queued = this.#groupWithRoom(1)?.pushReceived(bytes, buffersMax) ?? 0
    this.#placedBytes += queued
    return queued
  }

  /**
   * Sends what there is, unless something is in flight. Called once a turn. @returns false if nothing is in flight
   * though something is left: it {@link awaitsTurn}, or there was no send memory, and the kernel has no room.
   */
  submit(): boolean {
    if (this.inFlight) return true
    if (this.awaitsTurn) return false
    this.#flightWaits = this.waits
    if (this.#flightBlock !== undefined) {
      this.#submitFlight(this.#flightBlock)
      return true
    }
    if (this.#backlog !== undefined) this.#refill(this.#backlog)
    const group = this.#group
    if (group !== undefined && group.spans !== 0) {
      if (this.#end !== this.#start && group.room !== 0) this.#closeSpan(group)
      group.submit(this.#ring.submissions, this.#slot, this.#fd, this.waits)
      return true
    }
    if (group !== undefined) this.#giveGroup(group)
    const block = this.#block
    if (block === undefined || this.#end === this.#start) {
      if (block !== undefined) this.#dropBlock(block)
      return this.#backlog === undefined || this.#sendWithDescriptors(this.#backlog)
    }
    block.references++
    this.#flightBlock = block
    this.#flightStart = this.#start
    this.#flightEnd = this.#start = this.#end
    this.#submitFlight(block)
    return true
  }

  /** A send completion that is not an error. @returns whether it is short, though it waited in the kernel for room. */
  complete(result: number, flags: number): boolean {
    const { metrics } = this.#ring
    metrics.sends++
    metrics.bytesWritten += result
    this.sentBytes += result
    const block = this.#flightBlock
    const isShort = block === undefined ? this.#completeGroup(result, flags) : this.#completeFlight(block, result)
    return isShort && this.#flightWaits === 0
  }

  #completeFlight(block: SendBlock, result: number): boolean {
    const { metrics } = this.#ring
    metrics.sendBuffers++
    countBundle(metrics.sendBundles, 1)
    this.#flying = false
    this.#flightStart += result
    const descriptors = this.#flightDescriptors
    this.#flightDescriptors = undefined
    descriptors?.close()
    if (this.#flightStart === this.#flightEnd) {
      this.#flightBlock = undefined
      this.#ring.sendMemory.release(block)
      return false
    }
    // A socket that is failing, or a request that was cancelled: if there is a next attempt it says why.
    metrics.shortSends++
    // What descriptors go along with never waits for more room.
    return descriptors === undefined
  }

  #completeGroup(result: number, flags: number): boolean {
    const group = this.#group
    invariant(group !== undefined, 'a send completion for a connection that sends nothing')
    if ((flags & CompletionFlag.Buffer) !== 0) {
      invariant(flags >>> bufferIdShift === group.firstId, 'a send completion names another buffer than the next')
    }
    group.sent(result)
    const metrics = this.#ring.metrics
    metrics.sendBuffers += group.covered
    if (group.covered !== 0) countBundle(metrics.sendBundles, group.covered)
    const ended = (flags & CompletionFlag.More) === 0
    if (!ended && group.completions === 1) metrics.chainedBundles++
    return (ended && this.#requestEnded(group)) || group.splitsSpan
  }

  /**
   * A send completion that is an error, or of a request cancelled or without buffers: nothing was sent.
   * @param again it is to be sent again. If not, a plain send has lost it; a group keeps it.
   * @returns whether what was to be sent is queued still.
   */
  completeEmpty(flags: number, again: boolean): boolean {
    if (this.#flightBlock !== undefined) {
      this.#flying = false
      if (again) return true
      this.#ring.sendMemory.release(this.#flightBlock)
      this.#flightBlock = undefined
      return false
    }
    if ((flags & CompletionFlag.More) === 0 && this.#group !== undefined) this.#requestEnded(this.#group)
    return true
  }

  /** Forgets what was not sent. No request may be in flight. */
  discard(): void {
    this.closeDescriptors()
    const memory = this.#ring.sendMemory
    if (this.#flightBlock !== undefined) memory.release(this.#flightBlock)
    if (this.#block !== undefined) memory.release(this.#block)
    this.#flightBlock = this.#block = undefined
    this.#backlog = undefined
    const group = this.#group
    this.#group = undefined
    if (group === undefined) return
    group.abandon()
    this.#ring.groups.give(group)
  }

  #requestEnded(group: SendGroup): boolean {
    const isShort = group.requestEnded()
    if (isShort) this.#ring.metrics.shortSends++
    return isShort
  }

  #submitFlight(block: SendBlock): void {
    const { submissions } = this.#ring
    this.#flying = true
    if (this.#flightDescriptors !== undefined) {
      submissions.sendMessageOnce(this.#slot, this.#fd, block.address, this.waits)
      return
    }
    const lengthBytes = this.#flightEnd - this.#flightStart
    submissions.send(this.#slot, this.#fd, block.address + this.#flightStart, lengthBytes, this.waits)
  }

  /**
   * Sends the next bytes of the backlog in a block of their own, behind the header of the message, if descriptors go
   * along with them. @returns false if nothing could be sent.
   */
  #sendWithDescriptors(backlog: Backlog): boolean {
    const next = backlog.nextWithDescriptors
    if (next === undefined) return false
    const { sendMemory } = this.#ring
    const block = sendMemory.acquire(this)
    const memory = block ?? sendMemory.scratch
    if (memory === undefined) throw systemError(-Errno.ENOMEM, 'write')
    const start = descriptorPayloadOffsetBytes
    const end = start + Math.min(next.bytes.byteLength, limits.sendBlockBytes - start)
    memory.bytes.set(next.bytes.subarray(0, end - start), start)
    writeDescriptorMessage(memory, start, end, next.descriptors)
    const sent = block === undefined ? this.#sendScratch(memory) : end - start
    if (sent === 0) return false
    backlog.takeDescriptors()
    backlog.skip(sent)
    if (backlog.empty) this.#backlog = undefined
    this.#placedBytes += sent
    if (block === undefined) {
      next.descriptors.close()
      return true
    }
    this.#flightDescriptors = next.descriptors
    this.#flightBlock = block
    this.#flightStart = start
    this.#flightEnd = end
    this.#submitFlight(block)
    return true
  }

  /** Sends the message at the beginning of a block by a system call. @returns bytes sent. */
  #sendScratch({ bytes }: SendBlock): number {
    if (this.#ring.turn.sentEnough || this.failure !== 0) return 0
    const header = bytes.subarray(0, multipleMessageHeaderBytes)
    const taken = this.#ring.sockets.sendmmsg(this.#fd, header, 1, MessageFlag.DontWait | MessageFlag.NoSignal)
    return taken < 0 ? this.#taken(taken) : this.#taken(header.readUInt32LE(messageHeaderBytes))
  }

  /**
   * Writes what does not fit the open block: into further blocks as far as the window goes, the rest to the backlog.
   */
  #writeAcross(chunk: Uint8Array, length: number): void {
    let offset = 0
    while (this.#backlog === undefined && offset !== length) {
      const room = this.#room()
      if (room === 0) break
      const count = Math.min(room, length - offset)
      const block = this.#block as SendBlock
      block.bytes.set(count === length ? chunk : chunk.subarray(offset, offset + count), this.#end)
      this.#end += count
      this.#placedBytes += count
      offset += count
    }
    if (offset !== length) this.#keep(offset === 0 ? chunk : chunk.subarray(offset))
  }

  #keep(chunk: Uint8Array): void {
    this.#backlog ??= new Backlog()
    this.#backlog.add(chunk)
  }

  /**
   * Sends the open span, `chunk`, which comes after it and is the next of the backlog, and what is behind that, as far
   * as the kernel has room for them. Nothing else may be before them.
   * @returns whether all of `chunk` has been sent.
   */
  #sendInPlace(backlog: Backlog, chunk: Uint8Array): boolean {
    if (this.#ring.turn.sentEnough || this.failure !== 0) return false
    const before = this.#end - this.#start
    const open = before === 0 ? nothing : (this.#block as SendBlock).bytes.subarray(this.#start, this.#end)
    const flags = MessageFlag.DontWait | MessageFlag.NoSignal
    const sent = this.#taken(this.#ring.sockets.send(this.#fd, open, chunk, backlog.behind, flags))
    this.#start += Math.min(sent, before)
    const ofBacklog = Math.max(0, sent - before)
    this.#placedBytes += ofBacklog
    backlog.skip(ofBacklog)
    return ofBacklog >= chunk.byteLength
  }

  /** @param sent by a system call, or `-errno`. @returns bytes sent. */
  #taken(sent: number): number {
    if (sent < 0) {
      // For want of memory as for want of room it is tried again.
      if (sent !== -Errno.EAGAIN && sent !== -Errno.ENOBUFS && sent !== -Errno.ENOMEM) this.failure = sent
      return 0
    }
    const { metrics } = this.#ring
    metrics.sendsInPlace++
    metrics.bytesWritten += sent
    this.sentBytes += sent
    return sent
  }

  #refill(backlog: Backlog): void {
    this.#takeFrom(backlog)
    if (backlog.empty) this.#backlog = undefined
  }

  /** Sends the next of the backlog in place, or copies it where it can be sent from, as far as there is room. */
  #takeFrom(backlog: Backlog): void {
    while (!backlog.empty) {
      const large = backlog.inPlace
      if (large !== undefined) {
        // They come first.
        if (this.#holdsSpans) return
        if (this.#sendInPlace(backlog, large)) continue
        if (this.awaitsTurn) return
      }
      const room = this.#room()
      if (room === 0) {
        // Others have all send memory, and their peers may never read: these bytes do without.
        const next = large === undefined && !this.#holdsSpans ? backlog.next : undefined
        if (next === undefined || !this.#sendInPlace(backlog, next)) return
        continue
      }
      const count = backlog.copyTo((this.#block as SendBlock).bytes, this.#end, room)
      // Descriptors go along with what is next.
      if (count === 0) return
      this.#end += count
      this.#placedBytes += count
      // These bytes wait in the kernel until it has room; then the rest is tried again.
      if (large !== undefined) return
    }
  }

  /** What is next is large, and others have sent enough in this turn. */
  get awaitsTurn(): boolean {
    return this.#backlog?.inPlace !== undefined && !this.#holdsSpans && this.#ring.turn.sentEnough
  }

  get #holdsSpans(): boolean {
    return this.#group !== undefined && this.#group.spans !== 0
  }

  /** Bytes that can be written to the open block, which is a new one if the last is full; 0 if there can be none. */
  #room(): number {
    if ((this.#block === undefined || this.#end === limits.sendBlockBytes) && !this.#nextBlock()) return 0
    return limits.sendBlockBytes - this.#end
  }

  /** Makes the open block one with room, within the connection's window. @returns false if there is none. */
  #nextBlock(): boolean {
    const { sendMemory } = this.#ring
    const block = this.#block
    if (block !== undefined) {
      if (this.blocks >= limits.sendWindowBlocks) return false
      if (this.#end !== this.#start) {
        const group = this.#group ?? this.#lease()
        if (group === undefined || group.room === 0) return false
        const next = sendMemory.acquire(this)
        if (next === undefined) return false
        this.#closeSpan(group)
        this.#dropBlock(block)
        this.#block = next
        return true
      }
      this.#dropBlock(block)
    }
    this.#block = sendMemory.acquire(this)
    this.#start = this.#end = 0
    return this.#block !== undefined
  }

  /** Moves the open span to the group. The block stays open behind it. */
  #closeSpan(group: SendGroup): void {
    group.pushBlock(this.#block as SendBlock, this.#start, this.#end)
    this.#start = this.#end
  }

  #dropBlock(block: SendBlock): void {
    this.#block = undefined
    this.#start = this.#end = 0
    this.#ring.sendMemory.release(block)
  }

  /** The group, with what was written before in it, if so many more spans fit. */
  #groupWithRoom(spans: number): SendGroup | undefined {
    const group = this.#group ?? this.#lease()
    const open = this.#end !== this.#start
    if (group === undefined || this.#backlog !== undefined || group.room < (open ? spans + 1 : spans)) return undefined
    if (open) this.#closeSpan(group)
    return group
  }

  #lease(): SendGroup | undefined {
    this.#group = this.#ring.groups.lease()
    return this.#group
  }

  #giveGroup(group: SendGroup): void {
    this.#group = undefined
    this.#ring.groups.give(group)
  }
}
