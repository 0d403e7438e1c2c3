import { AsyncResource } from 'node:async_hooks'
import { Errno } from '../abi'
import { invalidArgumentValue, invariant, SheafError, systemError, throwLater } from '../errors'
import { limits } from '../limits'
import { Operation, type OperationOwner } from '../queue/operation-table'
import { checkInteger } from '../option-checks'
import type { Ring } from '../ring'
import { ConnectCall, type ConnectCallOwner } from '../socket/connect-call'
import { Connecting } from '../socket/connecting'
import { commonSocketOption, getSocketOption, setSocketOption } from '../socket/socket-option'
import { closeUnclaimed, SentDescriptors } from '../socket/rights'
import type {
  Address, Chunk, ReceivedDetails, StreamHandler, Transport, TransportState, WriteCallback,
} from '../transport'
import { Closing } from './closing'
import { checkForwarding, Forwarding, type ForwardingSource, type ForwardingTarget } from './forwarding'
import type { ConnectionOptions } from './options'
import { PoolForwarding } from './pool-forwarding'
import { type DetailReader, DetailReceiver } from './detail-receiver'
import { Receiver, type ReceiverOwner } from './receiver'
import type { SendQueue } from './send-queue'
import { Sender, type SenderOwner, type Write } from './sender'
import { assertTransition } from './state'
import { checkCallback, checkWrite } from './write-arguments'

/**
 * A connected stream on a ring: the state machine that TCP and Unix sockets share.
 *
 * What happens to it arrives in {@link complete}; what it wants from the kernel is asked for in {@link advance}, which
 * the ring calls once a turn after anything has changed. In between, methods only change state and schedule.
 */
export abstract class StreamConnection implements
  Transport, ForwardingTarget, OperationOwner, ReceiverOwner, SenderOwner, ConnectCallOwner {
  readonly ring: Ring
  readonly fd: number
  handler: StreamHandler
  readonly writableHighWaterMark: number
  readonly #slot: number
  readonly #receiver: Receiver
  readonly #sender: Sender
  /** Where what is received goes, instead of to the owner. */
  #forwarding: Forwarding | undefined
  readonly #allowHalfOpen: boolean
  readonly #context: AsyncResource | undefined
  #state: TransportState = 'connecting'
  /** The owner has ended it, and knows. */
  #endAsked = false
  /** On the ring's list of those to advance. */
  scheduled = false
  /** See {@link AwaitingMore}. */
  awaitsMore = false
  /** On the ring's list of those that wait for receive buffers. */
  parked = false
  readonly receivesDescriptors: boolean
  /** The owner wants the process kept alive, and it is kept alive. */
  #wantsReference = false
  #referenced = false
  /** See {@link serveSocket}. */
  underSocket = false
  /** Closing it waits for what the peer has not acknowledged: `SO_LINGER`, if that is not 0. */
  lingers = false

  /** It has been open. */
  #begun = false
  /** `end` has been told. */
  #endTold = false

  /** From `closing` on. */
  #closing: Closing | undefined
  #error: Error | undefined
  #connecting: Connecting | ConnectCall | undefined
  /** The kernel has connected it, of which the owner is told in the turn's advance. */
  #connected = false
  /** For whoever handles many connections with one handler: what belongs to this one. */
  attachment: unknown
  /** Told when the connection is closed, after the handler. */
  onClosed: (() => void) | undefined

  constructor(
    ring: Ring,
    fd: number,
    handler: StreamHandler,
    options: ConnectionOptions & { readonly details?: DetailReader | undefined } = {},
  ) {
    this.ring = ring
    this.fd = fd
    this.handler = handler
    this.writableHighWaterMark = options.writableHighWaterMark ?? limits.writableHighWaterMark
    this.#allowHalfOpen = options.allowHalfOpen ?? false
    this.#context = options.asyncContext === true ? new AsyncResource('SHEAFCONNECTION') : undefined
    this.receivesDescriptors = options.details?.receivesDescriptors === true
    this.#slot = ring.operations.allocate(this)
    this.#receiver = options.details === undefined
      ? new Receiver(this, this.#slot)
      : new DetailReceiver(this, this.#slot, options.details)
    this.#sender = new Sender(this, this.#slot)
    ring.members.add(this, this.#slot)
    ring.own(fd)
    this.ref()
  }

  abstract get localAddress(): Address | undefined
  abstract get remoteAddress(): Address | undefined

  get state(): TransportState {
    return this.#state
  }

  get bytesRead(): number {
    return this.#receiver.bytesRead
  }

  get bytesWritten(): number {
    return this.#sender.queue.sentBytes
  }

  get bytesQueued(): number {
    return this.#sender.queue.queuedBytes
  }

  get paused(): boolean {
    return this.#receiver.paused
  }

  /** For logs: neither the ring nor the handler. */
  toJSON(): Pick<Transport, 'state' | 'bytesRead' | 'bytesWritten' | 'bytesQueued'> {
    const { state, bytesRead, bytesWritten, bytesQueued } = this
    return { state, bytesRead, bytesWritten, bytesQueued }
  }

  /**
   * Behaves as a `net.Socket` expects of what it sits on: the connection stays until it is destroyed, even when both
   * directions have ended; it keeps the process alive only while something is under way; and what was written just
   * before it is destroyed leaves, as it would have by a system call of `node:net`.
   */
  serveSocket(): void {
    this.underSocket = this.exactChunks = true
  }

  /** Whether each chunk has an `ArrayBuffer` of its own, as those of Node's sockets do. */
  set exactChunks(exact: boolean) {
    this.#receiver.exactChunks = exact
  }

  // ---------------------------------------------------------------- what the owner asks for

  write(
    chunk: Uint8Array | string,
    encodingOrCallback?: BufferEncoding | WriteCallback,
    callback?: WriteCallback,
  ): boolean {
    const encoding = typeof encodingOrCallback === 'string' ? encodingOrCallback : 'utf8'
    const told = typeof encodingOrCallback === 'function' ? encodingOrCallback : callback
    checkWrite(chunk, encoding, told)
    if (this.#state !== 'open') return this.#refuseWrite(told)
    return this.#sender.write(chunk, encoding, told)
  }

  /** Writes chunks that belong together, as {@link write} does one. */
  writeAll(writes: readonly Write[]): boolean {
    return this.#state === 'open' ? this.#sender.writeAll(writes) : this.#refuseWrite(undefined)
  }

  /**
   * Writes chunks whose memory somebody waits to have back: large ones are sent at once, while they are in the caches.
   * @param more is likely to follow soon, and then leaves along with them.
   * @returns false if some of it is still to be read, or the queue is full: `drain` comes when neither is so; or if the
   * connection is closing: `close` comes.
   */
  writeOwn(chunks: readonly Uint8Array[], more: boolean): boolean {
    return this.#state === 'open' ? this.#sender.writeOwn(chunks, more) : this.#refuseWrite(undefined)
  }

  /**
   * As {@link write}, with descriptors that go along: the receiver gets them with the first byte. They are duplicated
   * at once; the caller's own stay the caller's. @param fds 1 to 253 of them. @throws SystemError `EBADF`, `EMFILE`.
   */
  protected writeWithDescriptors(
    chunk: Uint8Array | string,
    fds: unknown,
    callback: WriteCallback | undefined,
  ): boolean {
    checkWrite(chunk, 'utf8', callback)
    if (chunk.length === 0) throw invalidArgumentValue('chunk', 'must not be empty: descriptors go with a byte', chunk)
    if (this.#state !== 'open') return this.#refuseWrite(callback)
    return this.#sender.writeWithDescriptors(Buffer.from(chunk), new SentDescriptors(this.ring, fds), callback)
  }

  /** Has what a listener has answered leave before the turn is over. Nobody is told of anything in it. */
  sendFirst(): void {
    if (this.active) this.#sender.sendFirst()
  }

  sendWritten(): void {
    if (this.active) this.#sender.steer()
    else this.#closing?.sendWritten()
  }

  flush(): void {
    if (this.#state === 'closed' || this.ring.closed) return
    this.ring.turn.sendAll(() => this.#steer())
    // It closes in its turn, when it has told what there is to tell.
    if (this.#isOver) this.ring.turn.schedule(this)
    this.ring.submit()
  }

  end(callback?: WriteCallback): void {
    if (callback !== undefined) {
      checkCallback(callback)
      if (this.#state === 'closed') {
        process.nextTick(callback, this.#sender.finished ? undefined : this.#closedError())
        return
      }
      this.#sender.addEnd(callback)
    }
    this.#endAsked = true
    this.#end()
  }

  #end(): void {
    if (this.#state !== 'open') return
    this.#enter('ended')
    if (this.underSocket) this.ring.turn.endSoon(this.#sender.queue.queuedBytes !== 0)
    this.schedule()
  }

  destroy(error?: Error): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.#error = error
    const lastChance = this.underSocket && this.active && this.#sender.queue.queuedBytes !== 0
    const closing = this.#close()
    if (lastChance) closing.giveLastChance()
    this.#receiver.unpark()
    this.#sender.stopWaiting()
    this.#receiver.discard()
    this.schedule()
  }

  /**
   * As {@link destroy}, with the descriptor closed as far as possible when it returns: what it has written before, and
   * others as far as they may in this turn, leaves before, and what is written from now on finds it closed.
   */
  destroyNow(reset: boolean): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.ring.turn.sendScheduled()
    this.ring.turn.sendAll(() => this.sendWritten())
    if (this.active && this.#sender.queue.queuedBytes !== 0) this.ring.reap()
    if (reset) this.reset()
    else this.destroy()
    this.#closing?.closeNow()
  }

  /** What is left of it is what the kernel has still to say, which tells nobody anything but that it is closed. */
  get closedAtOnce(): boolean {
    return this.#closing?.closed === true && this.#sender.queue.queuedBytes === 0
  }

  reset(error?: Error): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.prepareReset()
    this.destroy(error)
  }

  pause(): void {
    if (this.paused) return
    this.#receiver.paused = true
    if (this.#state !== 'closed') this.schedule()
  }

  /**
   * Leaves what the peer sends from now on in the kernel, for another to receive.
   * @returns false if it has sent something before that nobody has been told of.
   */
  pauseNow(): boolean {
    this.pause()
    this.flush()
    return !this.#receiver.keeps && (!this.#receiver.armed || this.ring.receivedNothing(this.#slot))
  }

  /** See {@link Ring.connectAnswered}. */
  get connectAnswered(): boolean {
    return this.ring.connectAnswered(this.#slot)
  }

  /** See {@link Ring.hasPendingReceive}. */
  get hasPendingReceive(): boolean {
    const { armed, ended, keeps } = this.#receiver
    return keeps || ended || this.ring.hasPendingReceive(this.#slot, this.fd, armed)
  }

  resume(): void {
    if (!this.paused) return
    this.#receiver.paused = false
    if (this.#state !== 'closed') this.schedule()
  }

  ref(): void {
    this.#wantsReference = true
    this.#settleReference()
  }

  unref(): void {
    this.#wantsReference = false
    this.#settleReference()
  }

  /**
   * Has what the owner asked for done. The process must not end before that for want of anything else.
   * @param more see {@link writeOwn}.
   */
  schedule(more = false): void {
    if (more) this.ring.turn.awaitMore(this)
    else this.ring.turn.schedule(this)
    if (!this.#referenced) this.#settleReference()
  }

  #settleReference(): void {
    const referenced = this.#state === 'closing' || (this.#state !== 'closed' && this.#holdsProcess())
    if (referenced === this.#referenced) return
    this.#referenced = referenced
    if (referenced) this.ring.ref()
    else this.ring.unref()
  }

  /**
   * As in libuv: what was asked for, to connect, to write, to end, keeps the process alive until it is done, whether
   * the owner wants that or not. To be open does if the owner wants it; beneath a socket only to wait for the peer.
   */
  #holdsProcess(): boolean {
    if (this.scheduled || this.#state === 'connecting' || this.#sender.queue.queuedBytes !== 0) return true
    if (this.#state === 'ended' && !this.#sender.finished) return true
    return this.#wantsReference && (!this.underSocket || this.#receiver.receiving)
  }

  forward(to: Transport): void {
    checkForwarding(this, to, this.#forwarding)
    if (this.#receiver instanceof DetailReceiver) {
      throw new SheafError('ERR_SHEAF_FORWARDING', 'What is told with received bytes can\'t be forwarded')
    }
    if (to instanceof StreamConnection && to.ring === this.ring) {
      this.#forwarding = this.#receiver.forwarding = new PoolForwarding(this, to)
    } else {
      this.#forwarding = new Forwarding(this, to)
    }
    this.#forwarding.begin()
    if (this.#endTold) this.#forwarding.ended()
    if (this.#state === 'closed') this.#forwarding.closed(this.#error)
    else if (to.state === 'closing' || to.state === 'closed') this.destroy()
    else this.ring.turn.schedule(this)
  }

  /** Size of the kernel's send buffer in bytes. The kernel doubles what is set, and bounds it (`net.core.wmem_max`). */
  get sendBufferBytes(): number {
    return this.#socketOption('sendBufferSize')
  }

  setSendBufferBytes(sizeBytes: number): void {
    this.#setBufferSize('sendBufferSize', sizeBytes)
  }

  /**
   * Size of the kernel's receive buffer in bytes. The kernel doubles what is set, and bounds it
   * (`net.core.rmem_max`).
   */
  get receiveBufferBytes(): number {
    return this.#socketOption('receiveBufferSize')
  }

  setReceiveBufferBytes(sizeBytes: number): void {
    this.#setBufferSize('receiveBufferSize', sizeBytes)
  }

  /** The descriptor, for socket options. @throws SheafError `ERR_SHEAF_CLOSED`: its number may be another's by then. */
  protected get openDescriptor(): number {
    if (this.#state === 'closing' || this.#state === 'closed') throw this.#closedError()
    return this.fd
  }

  #socketOption(name: keyof typeof commonSocketOption): number {
    return getSocketOption(this.ring.sockets, this.openDescriptor, commonSocketOption[name])
  }

  #setBufferSize(name: keyof typeof commonSocketOption, sizeBytes: number): void {
    checkInteger('sizeBytes', sizeBytes, 1, 2 ** 30)
    setSocketOption(this.ring.sockets, this.openDescriptor, commonSocketOption[name], sizeBytes)
  }

  /** Makes the coming close a reset, where the family has such a thing. */
  protected prepareReset(): void {
    // Only TCP has resets.
  }

  // ---------------------------------------------------------------- what begins it

  /** The socket is connected: tells the handler and begins to receive. */
  begin(): void {
    this.#enter('open')
    this.#begun = true
    this.ring.turn.schedule(this)
    this.#tell((handler) => handler.open?.(this))
  }

  /** Asks the kernel to connect to `address`, a `sockaddr` as it wants it. */
  connect(address: Uint8Array): void {
    this.#connecting = Connecting.begin(this.ring, this.#slot, this.fd, address)
    if (this.#connecting === undefined) this.destroy(systemError(-Errno.ENOMEM, 'connect'))
  }

  /**
   * As {@link connect}, of a Unix socket in non-blocking mode. Where the backlog of who listens is full it waits for
   * room, but under a socket of Node's: that is told `EAGAIN`.
   */
  protected connectByCall(address: Uint8Array): void {
    this.#connecting = new ConnectCall(this, address, !this.underSocket)
  }

  // ---------------------------------------------------------------- what the kernel says

  complete(operation: Operation, result: number, flags: number): void {
    if (this.#state === 'closing') this.ring.turn.schedule(this)
    switch (operation) {
      case Operation.Receive:
        this.#completeReceive(result, flags)
        break
      case Operation.Send:
        if (!this.scheduled) this.ring.turn.schedule(this)
        if (!this.#sender.complete(result, flags)) this.#closing?.giveUpLastChance()
        break
      case Operation.Connect:
        this.#connecting?.release()
        this.#connecting = undefined
        if (this.#state === 'connecting') this.connectEnded(result)
        break
      case Operation.Cancel:
        this.#receiver.cancelled()
        break
      case Operation.Recall:
        this.#sender.recalled()
        break
      case Operation.CancelAll:
        this.#closing?.cancelled(result)
        break
      case Operation.Close:
        this.#finish()
        break
      case Operation.HangUp:
        this.#receiver.hungUp()
        break
      case Operation.Accept:
      case Operation.Writable:
        invariant(false, 'a connection has a completion that it can\'t have')
    }
  }

  #completeReceive(result: number, flags: number): void {
    this.#failReceiving(this.#receiver.complete(result, flags))
  }

  /** @param failed `-errno`, or 0. */
  #failReceiving(failed: number): void {
    if (failed < 0) this.destroy(systemError(failed, this.#sender.failedCall))
  }

  /** @internal */
  connectEnded(result: number): void {
    if (result < 0) {
      this.destroy(systemError(result, 'connect'))
    } else {
      // After what has been completed by then: as in libuv, whoever a Unix socket of this process has accepted is told
      // first.
      this.#connected = true
      this.ring.turn.schedule(this)
    }
  }

  #tellConnected(): void {
    this.#connected = false
    if (this.#state !== 'connecting') return
    this.ring.metrics.connected++
    this.begin()
  }

  // ---------------------------------------------------------------- what is asked of the kernel

  /**
   * Tells the owner what has happened since, then asks the kernel for what the state calls for. Called once in the
   * ring's turn after {@link schedule}, and once more for what comes of what the owner does meanwhile. If the owner
   * throws, what it has not been told yet is told in the next turn.
   */
  advance(): void {
    this.scheduled = false
    let told = false
    try {
      if (this.#connected) this.#tellConnected()
      if (this.active) this.#sender.tell()
      this.ring.turn.endEvent()
      if (this.active) this.tellKept()
      if (this.active) this.#failReceiving(this.#receiver.failureReached)
      if (this.active) this.#finishFirst()
      if (this.active) this.#tellEnd()
      this.ring.turn.endEvent()
      if (this.#sender.failure !== 0) this.destroy(this.#sender.failureError(this.#sender.failure, 'write'))
      told = true
    } finally {
      if (this.underSocket) this.#closing?.closeNow()
      if (this.#state === 'closing' && this.#closing?.finished === true) {
        this.#finish()
      } else {
        this.#steer()
        // What is still to be told may be of what was sent.
        if (told && this.#isOver) {
          this.#close()
          this.#steer()
        }
      }
      if (!told) this.ring.turn.schedule(this)
    }
  }

  get active(): boolean {
    return this.#state === 'open' || this.#state === 'ended'
  }

  #steer(): void {
    if (this.active) this.#receiver.steer()
    if (this.active && !this.awaitsMore) this.#sender.steer()
    if (this.#state === 'closing') this.#closing?.steer()
    this.#settleReference()
  }

  /** Of the pool it holds nothing that would come back to it. */
  get starving(): boolean {
    return this.#receiver.forwarding?.holding !== true
  }

  get connects(): boolean {
    return this.#connecting instanceof Connecting
  }

  get receives(): boolean {
    return this.#receiver.armed
  }

  get awaitsHangUp(): boolean {
    return this.#receiver.awaitsHangUp
  }

  get reads(): boolean {
    return this.#receiver.armed || this.#receiver.direct
  }

  /** Both directions have ended, and nobody sits on it. */
  get #isOver(): boolean {
    return this.active && this.#sender.finished && this.closesWhenFinished
  }

  get closesWhenFinished(): boolean {
    return this.#endTold && !this.underSocket
  }

  /** The kernel holds nothing of this connection any more, and the descriptor is closed. */
  #finish(): void {
    this.#sender.queue.discard()
    this.#tellClosed()
  }

  #tellClosed(): void {
    this.#enter('closed')
    this.#connecting?.release()
    this.#closing?.giveUpLastChance()
    this.ring.operations.release(this.#slot)
    this.ring.members.delete(this.#slot)
    if (this.#begun) this.ring.metrics.closed++
    this.unref()
    this.#receiver.discard()
    this.#forwarding?.closed(this.#error)
    this.#sender.tellSources(this.#error)
    this.onClosed?.()
    const thrown = this.#sender.settle(() => this.#error ?? this.#closedError())
    try {
      this.#tell((handler) => handler.close?.(this, this.#error))
    } catch (error) {
      thrown.push(error)
    }
    thrown.forEach(throwLater)
  }

  /** The ring is closed: nothing is in the kernel any more. Closes the descriptor, and tells the owner. */
  ringClosed(error: Error): void {
    this.#error ??= error
    if (this.#state !== 'closing') {
      // The peer must not take what it has got for the whole.
      if (this.#sender.unfinished) this.prepareReset()
      this.#close()
    }
    this.ring.operations.abandon(this.#slot)
    if (this.#closing?.submitted !== true) this.ring.sockets.close(this.fd)
    this.#sender.queue.closeDescriptors()
    this.#sender.abandon()
    this.#tellClosed()
  }

  // ---------------------------------------------------------------- what the owner is told

  /** Hands out what was kept, as far as it is wanted. */
  tellKept(): void {
    let kept: ReturnType<Receiver['takeKept']>
    while ((kept = this.#receiver.takeKept()) !== undefined) {
      this.received(kept.chunk, kept.details)
      this.ring.turn.endEvent()
    }
  }

  /** What a socket has asked for before the peer's end is told: libuv does it before it polls. */
  #finishFirst(): void {
    if (!this.underSocket || this.#state !== 'ended' || this.#endTold || !this.#receiver.endReached) return
    this.#sender.steer()
    if (this.active) this.#sender.tell()
    this.ring.turn.endEvent()
  }

  #tellEnd(): void {
    if (this.#endTold || !this.#receiver.endReached || this.#sender.hasHeardOfError) return
    this.#endTold = true
    this.#forwarding?.ended()
    try {
      this.#tell((handler) => handler.end?.(this))
    } finally {
      if (!this.#allowHalfOpen && this.#forwarding === undefined) this.#end()
    }
  }

  /** Tells the owner `data`, or forwards it. */
  received(chunk: Chunk, details?: ReceivedDetails): void {
    if (this.#forwarding !== undefined) {
      this.#forwarding.write(chunk)
      return
    }
    try {
      if (this.#context === undefined) this.handler.data?.(this, chunk, details)
      else this.#context.runInAsyncScope(() => this.handler.data?.(this, chunk, details))
    } finally {
      if (details !== undefined) closeUnclaimed(details)
    }
  }

  #tell(what: (handler: StreamHandler) => void): void {
    if (this.#context === undefined) what(this.handler)
    else this.#context.runInAsyncScope(what, undefined, this.handler)
  }

  call(callback: WriteCallback, error?: Error): void {
    if (this.#context === undefined) callback(error)
    else this.#context.runInAsyncScope(callback, undefined, error)
  }

  drained(): void {
    this.#tell((handler) => handler.drain?.(this))
  }

  #refuseWrite(callback: WriteCallback | undefined): boolean {
    if (this.#state === 'ended' && this.#endAsked) {
      throw new SheafError('ERR_SHEAF_WRITE_AFTER_END', 'write after end')
    }
    invariant(this.#state !== 'connecting', 'a connection is written to before it is open')
    if (callback !== undefined) process.nextTick(callback, this.#error ?? this.#closedError())
    return false
  }

  #closedError(): SheafError {
    return new SheafError('ERR_SHEAF_CLOSED', 'The connection is closed')
  }

  #close(): Closing {
    this.#enter('closing')
    this.#closing = new Closing(this.ring, this, this.#slot, this.fd, this.#sender.queue)
    return this.#closing
  }

  #enter(state: TransportState): void {
    assertTransition(this.#state, state)
    this.#state = state
  }

  // ---------------------------------------------------------------- for Forwarding

  /** Keeps the peer's bytes in the kernel while the receiver of a forwarding is full. */
  holdBack(held: boolean): void {
    this.#receiver.holdBack(held)
  }

  get failure(): Error | undefined {
    return this.#error
  }

  /** A forwarding ends here. */
  addSource(source: ForwardingSource): void {
    this.#sender.addSource(source)
  }

  /** A forwarding that ended here is over. */
  forgetSource(source: ForwardingSource): void {
    this.#sender.forgetSource(source)
  }

  /** What this connection forwards to is closed. */
  receiverClosed(error: Error | undefined): void {
    if (error === undefined && this.#receiver.ended) this.#end()
    else this.reset(error)
  }

  /** A send is in the kernel. */
  get sending(): boolean {
    return this.#sender.queue.inFlight
  }

  /** One waits for room there. */
  get waitsForRoom(): boolean {
    return this.#sender.waitsForRoom
  }

  /** What received buffers are queued in to be sent as they are; undefined when nothing may be sent any more. */
  get forwardQueue(): SendQueue | undefined {
    if (this.#state !== 'open') return undefined
    if (!this.scheduled) this.ring.turn.schedule(this)
    return this.#sender.queue
  }
}
