import { Errno } from '../abi'
import { guarded, invalidArgumentValue, invariant, SheafError, systemError, type SystemError } from '../errors'
import { limits } from '../limits'
import { Cancellation } from '../queue/cancellation'
import { Operation, type OperationOwner } from '../queue/operation-table'
import type { Ring } from '../ring'
import { closeUnclaimed, SentDescriptors } from '../socket/rights'
import { assertTransition } from '../stream/state'
import { nowMs, setImmediate } from '../timers'
import type {
  Address, MessageDetails, MessageHandler, MessageTransport, TransportState, WriteCallback,
} from '../transport'
import { afterAll, checkCallback, checkChunk, checkChunks, checkTo } from './arguments'
import type { Lane } from './lane'
import { MessageReceiver, type MessageReceiverOwner } from './receiver'
import { MessageSender, type MessageSenderOwner } from './sender'
import { SettledMessages } from './settled'
import type { MessageShare } from './share'

/** How a datagram socket behaves, whatever its address traits. */
export interface MessageSocketOptions {
  /** `send` returns false from this many queued bytes on. Default 262144. */
  writableHighWaterMark?: number
}

/** What sets the sockets of an address family apart. */
export interface MessageSocketTraits {
  /** Receive buffers and requests. */
  readonly share: MessageShare
  /** Room for the control messages of a received datagram. */
  readonly controlBytesMax: number
  /** Descriptors are received: that some did not arrive is an error. */
  readonly receivesDescriptors: boolean
  /** Whether datagrams may be bundled. */
  readonly segmentable: boolean
  /** Largest payload that is worth showing to the kernel. */
  readonly messageBytesMax: number
}

/**
 * A datagram socket on a ring: what UDP and Unix datagram sockets share.
 *
 * As with {@link StreamConnection}, completions only change state, and {@link advance}, once a turn, tells the owner
 * what has happened and asks the kernel for what is wanted.
 */
export abstract class MessageSocket<A extends Address, To extends object = A>
implements MessageTransport<A, To>, OperationOwner, MessageReceiverOwner<A>, MessageSenderOwner {
  /** Either all sockets of a {@link MessageShare} are, or none: what is in its pool is taken in the kernel's order. */
  readonly quiet: boolean = false
  readonly ring: Ring
  readonly fd: number
  handler: MessageHandler<MessageTransport<A, To>, A>
  readonly writableHighWaterMark: number
  readonly segmentable: boolean
  readonly messageBytesMax: number
  readonly receivesDescriptors: boolean
  /** @internal */
  details: MessageDetails | undefined
  protected readonly slot: number
  readonly #receiver: MessageReceiver<A>
  readonly #sender: MessageSender
  readonly #settled = new SettledMessages()
  /** More may arrive. */
  protected awaitsMessages = true
  /** It is a connection that has been open. */
  protected begun = false
  #state: TransportState
  scheduled = false
  parked = false
  #referenced = false
  #needsDrain = false
  /** What is left of the batch waits for the next iteration of the event loop; nothing is received until then. */
  #yielding = false
  readonly #cancellation = new Cancellation()
  #closeSubmitted = false
  #descriptorClosed = false
  #error: Error | undefined
  /** Told when the socket is closed, before the handler. */
  onClosed: (() => void) | undefined

  /** @param fd it is this one's from now on. */
  constructor(
    ring: Ring,
    fd: number,
    handler: MessageHandler<MessageTransport<A, To>, A>,
    traits: MessageSocketTraits,
    options: MessageSocketOptions = {},
    state: 'connecting' | 'open' = 'open',
  ) {
    this.#state = state
    this.ring = ring
    this.fd = fd
    this.handler = handler
    this.writableHighWaterMark = options.writableHighWaterMark ?? limits.messageHighWaterMark
    this.segmentable = traits.segmentable
    this.messageBytesMax = traits.messageBytesMax
    this.receivesDescriptors = traits.receivesDescriptors
    this.slot = ring.operations.allocate(this)
    this.#receiver = new MessageReceiver(this, this.slot, traits)
    this.#sender = new MessageSender(this, traits.share, this.#settled)
    ring.members.add(this, this.slot)
    ring.own(fd)
    this.ref()
    ring.turn.schedule(this)
  }

  abstract get localAddress(): A | undefined
  abstract get remoteAddress(): A | undefined
  /**
   * Where datagrams to `to` (absent: to the peer) are queued. @throws if that is no destination for this socket.
   * @internal
   */
  abstract lane(to: To | undefined): Lane
  /** @internal */
  abstract decodeAddress(bytes: Buffer, offset: number, lengthBytes: number): A
  /** @internal */
  abstract readControls(words: Int32Array, offset: number, lengthBytes: number): number

  /** For logs: neither the ring nor the handler. */
  toJSON(): { state: TransportState, messagesRead: number, bytesRead: number, bytesWritten: number } {
    const { state, messagesRead, bytesRead, bytesWritten } = this
    return { state, messagesRead, bytesRead, bytesWritten }
  }

  get state(): TransportState {
    return this.#state
  }

  get bytesRead(): number {
    return this.#receiver.bytesRead
  }

  get messagesRead(): number {
    return this.#receiver.messagesRead
  }

  get bytesWritten(): number {
    return this.#sender.bytesWritten
  }

  get messagesWritten(): number {
    return this.#sender.messagesWritten
  }

  get bytesQueued(): number {
    return this.#sender.bytesQueued
  }

  get messagesQueued(): number {
    return this.#sender.messagesQueued
  }

  get paused(): boolean {
    return this.#receiver.paused
  }

  /** As {@link StreamConnection.exactChunks}. */
  set exactChunks(exact: boolean) {
    this.#receiver.batch.exactChunks = exact
  }

  // ---------------------------------------------------------------- what the owner asks for

  send(chunk: Uint8Array | string, toOrCallback?: To | WriteCallback, callback?: WriteCallback): boolean {
    const to = typeof toOrCallback === 'function' ? undefined : toOrCallback
    const told = typeof toOrCallback === 'function' ? toOrCallback : callback
    checkCallback(told)
    checkChunk(chunk)
    checkTo(to)
    const lane = this.lane(to)
    if (!this.accepts()) return this.#refuseClosed(told)
    const fds = to === undefined ? undefined : this.descriptorsFor(to)
    this.#sender.queue(lane, chunk, told, fds === undefined ? undefined : new SentDescriptors(this.ring, fds))
    return this.#writable()
  }

  sendMany(chunks: Iterable<Uint8Array | string> & object, to?: To, callback?: WriteCallback): boolean {
    const all = checkChunks(chunks)
    checkCallback(callback)
    checkTo(to)
    if (to !== undefined && this.descriptorsFor(to) !== undefined) {
      throw invalidArgumentValue('to.fds', 'must not be given: they go along with one message', to)
    }
    const lane = this.lane(to)
    if (!this.accepts()) return this.#refuseClosed(callback)
    const told = callback === undefined ? undefined : afterAll(all.length, callback)
    if (all.length === 0 && callback !== undefined) this.#settle(callback, undefined)
    for (const chunk of all) this.#sender.queue(lane, chunk, told)
    return this.#writable()
  }

  flush(): void {
    if (!this.sends || this.ring.closed) return
    this.#steer()
    this.ring.submit()
  }

  sendWritten(): void {
    if (this.sends) this.#sender.submit()
  }

  /**
   * Has the kernel take what is queued, as far as it does so without waiting, and makes room for more. What is learnt
   * of it is told in the next turn.
   */
  flushAndReap(): void {
    let left: number
    do {
      if (!this.sends) return
      left = this.messagesQueued
      this.#sender.submit()
      this.ring.reap()
    } while (this.messagesQueued !== 0 && this.messagesQueued < left)
  }

  /** Has what a lane still has to send go to `name`. @throws SystemError `EBUSY` if the kernel keeps some of it. */
  protected redirect(lane: Lane, name: Uint8Array): void {
    if (!this.#sender.recall(lane, this.slot)) throw systemError(-Errno.EBUSY, 'connect')
    lane.redirect(name)
  }

  close(): void {
    if (this.#state !== 'open') return
    this.enter('ended')
    this.ring.turn.schedule(this)
  }

  /**
   * Closes, and if the kernel doesn't have to wait for anything, gives the descriptor back before it returns: the
   * address is free again. The owner is told in the next turn.
   */
  closeNow(): void {
    if (this.#state !== 'open') return
    this.close()
    this.flushAndReap()
    if (this.messagesQueued !== 0) return
    this.enter('closing')
    this.#steerClose(true)
    this.ring.reap()
    this.#steerClose(true)
  }

  destroy(error?: Error): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.#error = error
    this.enter('closing')
    this.ring.turn.schedule(this)
  }

  pause(): void {
    if (this.paused) return
    this.#receiver.paused = true
    if (this.#state !== 'closed') this.ring.turn.schedule(this)
  }

  resume(): void {
    if (!this.paused) return
    this.#receiver.paused = false
    if (this.#state !== 'closed') this.ring.turn.schedule(this)
  }

  ref(): void {
    if (this.#referenced || this.#state === 'closed') return
    this.#referenced = true
    this.ring.ref()
  }

  unref(): void {
    if (!this.#referenced) return
    this.#referenced = false
    this.ring.unref()
  }

  /** The descriptor, for socket options. @throws SheafError `ERR_SHEAF_CLOSED`: its number may be another's by then. */
  protected get openDescriptor(): number {
    if (this.#state === 'closing' || this.#state === 'closed') throw closedError()
    return this.fd
  }

  /** Descriptors that are to go along, where there is such a thing. */
  protected descriptorsFor(_to: To): unknown {
    return undefined
  }

  /** Whether datagrams may be queued. */
  protected accepts(): boolean {
    return this.#state === 'open'
  }

  #writable(): boolean {
    const { bytesQueued, messagesQueued } = this.#sender
    if (bytesQueued < this.writableHighWaterMark && messagesQueued < limits.messagesHighWaterMark) return true
    if (!this.#needsDrain) this.ring.metrics.backPressure++
    this.#needsDrain = true
    return false
  }

  #refuseClosed(callback: WriteCallback | undefined): boolean {
    if (callback !== undefined) process.nextTick(callback, this.#error ?? closedError())
    return false
  }

  #settle(callback: WriteCallback | undefined, error: Error | undefined): void {
    this.#settled.add(callback, error)
    this.ring.turn.schedule(this)
  }

  // ---------------------------------------------------------------- what the kernel says

  complete(operation: Operation, result: number, flags: number): void {
    if (!this.scheduled) this.ring.turn.schedule(this)
    switch (operation) {
      case Operation.Receive:
        this.#receiver.complete(result, flags)
        break
      case Operation.Cancel:
        this.#receiver.cancelled()
        break
      case Operation.CancelAll:
        this.#cancellation.answered(result)
        break
      case Operation.Recall:
        // What it has taken back has completed, too.
        break
      case Operation.Close:
        this.#descriptorClosed = true
        break
      default:
        invariant(false, 'a datagram socket has a completion that it can\'t have')
    }
  }

  /** @internal */
  get sends(): boolean {
    return this.#state === 'open' || this.#state === 'ended'
  }

  /** @internal */
  get receives(): boolean {
    return this.#state === 'open'
  }

  /** @internal */
  receivedNothing(): boolean {
    return false
  }

  /** @internal */
  sendFailed(_error: SystemError): void {
    // The socket goes on; the error is the datagram's.
  }

  /** @internal */
  openProbe(_lane: Lane): number {
    throw new Error('A lane that is never refused waits for room')
  }

  /** @internal */
  receiveFailed(error: Error, passes: boolean): void {
    if (passes) this.#settle(undefined, error)
    else this.destroy(error)
  }

  // ---------------------------------------------------------------- what is asked of the kernel

  /** As {@link StreamConnection.advance}. */
  advance(): void {
    this.scheduled = false
    let told = false
    try {
      this.#tellSettled()
      this.#tellReceived()
      this.tellEnd()
      this.#tellDrained()
      told = true
    } finally {
      this.#steer()
      if (!told && this.#state !== 'closed') this.ring.turn.schedule(this)
    }
  }

  #steer(): void {
    if (this.receives) this.#receiver.steer(this.awaitsMessages && !this.#yielding)
    else if (this.#state === 'ended' && this.messagesQueued !== 0) this.#throwAway()
    if (this.sends) this.#sender.submit()
    // Where sending is a call, no completion comes.
    if (this.#drained) this.ring.turn.schedule(this)
    if (this.#state === 'ended' && this.messagesQueued === 0) this.steerEnd()
    if (this.#state === 'closing' && this.#descriptorClosed) this.#finish()
    if (this.#state === 'closing') this.#steerClose()
  }

  /**
   * Closed, but for what is queued: what still comes is thrown away. Two sockets of which each has something for the
   * other, and nobody reads, would not close otherwise.
   */
  #throwAway(): void {
    this.#receiver.paused = false
    this.#receiver.steer(this.awaitsMessages)
  }

  /** What is received waits to be handed over. */
  protected get holdsMessages(): boolean {
    return this.#receiver.batch.count !== 0
  }

  /** No more is accepted, and everything that was has been sent. */
  protected steerEnd(): void {
    this.enter('closing')
  }

  /** @param atOnce closes the descriptor, if it can be, by a system call. */
  #steerClose(atOnce = false): void {
    if (this.#closeSubmitted) return
    this.#receiver.unpark()
    this.#receiver.discard()
    const outstanding = this.#sender.inFlight + this.ring.operations.outstanding(this.slot)
    if (outstanding === 0) {
      this.#closeSubmitted = true
      if (atOnce) {
        this.#descriptorClosed = true
        this.ring.sockets.close(this.fd)
        this.ring.turn.schedule(this)
      } else {
        this.ring.submissions.close(this.slot, this.fd)
      }
    } else if (this.#cancellation.isDue(outstanding)) {
      this.#sender.cancelWaits()
      this.ring.submissions.cancelDescriptor(this.slot, this.fd)
    }
  }

  /** The ring is closed: nothing is in the kernel any more. Closes the descriptor, and tells the owner. */
  ringClosed(error: Error): void {
    this.#error ??= error
    if (this.#state !== 'closing') this.enter('closing')
    this.ring.operations.abandon(this.slot)
    this.#sender.abandon()
    if (!this.#closeSubmitted) this.ring.sockets.close(this.fd)
    this.#finish()
  }

  /** The kernel holds nothing of this socket any more, and the descriptor is closed. */
  #finish(): void {
    this.enter('closed')
    this.#receiver.discard()
    this.#receiver.batch.release()
    this.#sender.discard(() => this.#error ?? closedError())
    this.ring.operations.release(this.slot)
    this.ring.members.delete(this.slot)
    if (this.begun) this.ring.metrics.closed++
    this.unref()
    this.onClosed?.()
    while (!this.#settled.empty) guarded(() => { this.#tellSettled() })
    this.handler.close?.(this, this.#error)
  }

  // ---------------------------------------------------------------- what the owner is told

  #tellSettled(): void {
    if (!this.#settled.empty) this.#settled.tell(this.#tellError)
  }

  readonly #tellError = (error: Error): void => {
    if (this.#state !== 'closed') this.handler.error?.(this, error)
  }

  get #hasToTell(): boolean {
    return this.receives && !this.paused && this.#receiver.batch.count !== 0
  }

  #tellReceived(): void {
    if (this.#receiver.batch.count === 0) return
    try {
      if (!this.#yielding) this.#tellForAWhile()
    } finally {
      this.#receiver.handedOver()
    }
  }

  /** Tells of what was received, for `limits.messagesTellMs`, and has the rest told in the next iteration. */
  #tellForAWhile(): void {
    const endMs = nowMs() + limits.messagesTellMs
    for (let told = 1; this.#hasToTell; told++) {
      // It may be another's after each.
      if (this.handler.messages === undefined) this.#tellNext()
      else this.#tellBatch()
      this.ring.turn.endEvent()
      if (told % limits.messagesPerLook === 0 && nowMs() >= endMs) break
    }
    if (this.#hasToTell) this.#yield()
  }

  #yield(): void {
    this.#yielding = true
    setImmediate(() => {
      this.#yielding = false
      if (this.receives) this.ring.turn.schedule(this)
    })
  }

  #tellBatch(): void {
    const { batch } = this.#receiver
    batch.beginTelling()
    try {
      this.handler.messages?.(this, batch)
    } finally {
      batch.endTelling()
      if (!this.receives) this.#receiver.discard()
    }
  }

  #tellNext(): void {
    const { batch } = this.#receiver
    const { handler } = this
    if (handler.message === undefined) {
      batch.shift()
      return
    }
    const chunk = batch.chunk(0)
    const from = batch.from(0)
    const details = batch.details(0)
    batch.shift()
    try {
      handler.message(this, chunk, from, details)
    } finally {
      closeUnclaimed(details)
    }
  }

  /** There is room again, which has not been told. */
  get #drained(): boolean {
    if (!this.#needsDrain || this.#state !== 'open') return false
    const { bytesQueued, messagesQueued } = this.#sender
    return bytesQueued <= this.writableHighWaterMark * limits.writableLowWaterFraction
      && messagesQueued <= limits.messagesHighWaterMark * limits.writableLowWaterFraction
  }

  #tellDrained(): void {
    if (!this.#drained) return
    this.#needsDrain = false
    this.handler.drain?.(this)
  }

  /** Tells of the peer's end, where there is such a thing. */
  protected tellEnd(): void {
    // Only connections have one.
  }

  protected enter(state: TransportState): void {
    assertTransition(this.#state, state)
    this.#state = state
  }
}

/** What is refused, or was never sent, because the socket was closed. */
function closedError(): SheafError {
  return new SheafError('ERR_SHEAF_CLOSED', 'The socket is closed')
}
