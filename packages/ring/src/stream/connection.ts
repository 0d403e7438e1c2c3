import { AsyncResource } from 'node:async_hooks'
import { bufferIdShift, CompletionFlag, Errno } from '../abi'
import { invalidArgumentType, invariant, SheafError, systemError, unknownEncoding } from '../errors'
import { limits } from '../limits'
import { countBundle } from '../metrics'
import type { SendBlock } from '../memory/send-memory'
import { Operation, type OperationOwner } from '../queue/operation-table'
import { checkInteger } from '../option-checks'
import type { Ring } from '../ring'
import { commonSocketOption, getSocketOption, setSocketOption } from '../socket/socket-option'
import type { Address, Chunk, StreamHandler, Transport, TransportState, WriteCallback } from '../transport'
import { Forwarding } from './forwarding'
import { SendQueue } from './send-queue'
import { Slab } from './slab'
import { assertTransition } from './state'
import { WriteCallbacks } from './write-callbacks'

/** How a connection behaves, whatever its address family. */
export interface ConnectionOptions {
  /**
   * Keep sending possible after the peer has ended. Otherwise this side ends by itself, after what is queued. Default
   * false.
   */
  allowHalfOpen?: boolean
  /** `write` returns false from this many queued bytes on. Default 65536. */
  writableHighWaterMark?: number
  /**
   * Enter an async context of the connection's own for every call of the handler (`AsyncLocalStorage`). Default
   * false.
   */
  asyncContext?: boolean
}

/**
 * A connected stream on a ring: the state machine that TCP and Unix sockets share.
 *
 * What happens to it arrives in {@link complete}; what it wants from the kernel is asked for in {@link advance}, which
 * the ring calls once a turn after anything has changed. In between, methods only change state and schedule.
 */
export abstract class StreamConnection implements Transport, OperationOwner {
  readonly ring: Ring
  readonly fd: number
  handler: StreamHandler
  readonly writableHighWaterMark: number
  readonly #slot: number
  readonly #send: SendQueue
  readonly #slab = new Slab()
  readonly #allowHalfOpen: boolean
  readonly #context: AsyncResource | undefined
  #state: TransportState = 'connecting'
  /** On the ring's list of those to advance. */
  scheduled = false
  /** On the ring's list of those that wait for receive buffers. */
  parked = false
  #referenced = false

  #receiving = false
  /** Where receives miss resets: whether the kernel is to tell of one, and whether it has. */
  #hangUp: 'unknown' | 'awaited' | 'seen' = 'unknown'
  #cancellingReceive = false
  #paused = false
  /** Held back by the receiver of a forwarding. */
  #heldBack = false
  /** The peer's FIN has come; it is told after everything in `#kept`. */
  #peerEnded = false
  #endTold = false
  #kept: Chunk[] | undefined
  #bytesRead = 0

  #needsDrain = false
  #shutdown: 'no' | 'submitted' | 'done' = 'no'
  #callbacks: WriteCallbacks | undefined
  #endCallbacks: WriteCallback[] | undefined

  #forwarding: Forwarding | undefined
  /** Forwardings that end here. */
  #sources: Forwarding[] | undefined

  #cancelled = false
  #closeSubmitted = false
  #error: Error | undefined
  /** Holds the `sockaddr` until the kernel has copied it. */
  #connectBlock: SendBlock | undefined
  /** Told when the connection is closed, after the handler. */
  onClosed: (() => void) | undefined

  constructor(ring: Ring, fd: number, handler: StreamHandler, options: ConnectionOptions = {}) {
    this.ring = ring
    this.fd = fd
    this.handler = handler
    this.writableHighWaterMark = options.writableHighWaterMark ?? limits.writableHighWaterMark
    this.#allowHalfOpen = options.allowHalfOpen ?? false
    this.#context = options.asyncContext === true ? new AsyncResource('SHEAFCONNECTION') : undefined
    this.#slot = ring.operations.allocate(this)
    this.#send = new SendQueue(ring, this.#slot, fd)
    ring.members.add(this)
    ring.own(fd)
    this.ref()
  }

  abstract get localAddress(): Address | undefined
  abstract get remoteAddress(): Address | undefined

  get state(): TransportState {
    return this.#state
  }

  get bytesRead(): number {
    return this.#bytesRead
  }

  get bytesWritten(): number {
    return this.#send.sentBytes
  }

  get bytesQueued(): number {
    return this.#send.queuedBytes
  }

  get paused(): boolean {
    return this.#paused
  }

  // ---------------------------------------------------------------- what the owner asks for

  write(
    chunk: Uint8Array | string,
    encodingOrCallback?: BufferEncoding | WriteCallback,
    callback?: WriteCallback,
  ): boolean {
    const encoding = typeof encodingOrCallback === 'string' ? encodingOrCallback : 'utf8'
    const told = typeof encodingOrCallback === 'function' ? encodingOrCallback : callback
    if (told !== undefined && typeof told !== 'function') {
      throw invalidArgumentType('callback', 'of type function', told)
    }
    if (encoding !== 'utf8' && !Buffer.isEncoding(encoding)) throw unknownEncoding(encoding)
    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) {
      throw invalidArgumentType('chunk', 'of type string or an instance of Buffer or Uint8Array', chunk)
    }
    if (this.#state !== 'open') return this.#refuseWrite(told)
    const send = this.#send
    if (typeof chunk === 'string') send.writeString(chunk, encoding)
    else send.write(chunk)
    if (told !== undefined) (this.#callbacks ??= new WriteCallbacks()).add(send.acceptedBytes, told)
    if (!this.scheduled) this.ring.schedule(this)
    if (send.queuedBytes < this.writableHighWaterMark) return true
    if (!this.#needsDrain) this.ring.metrics.backPressure++
    this.#needsDrain = true
    return false
  }

  flush(): void {
    if (this.#state === 'closed') return
    this.#steer()
    this.ring.submit()
  }

  end(callback?: WriteCallback): void {
    if (callback !== undefined) {
      if (typeof callback !== 'function') throw invalidArgumentType('callback', 'of type function', callback)
      if (this.#state === 'closed') {
        process.nextTick(callback, this.#shutdown === 'done' ? undefined : this.#closedError())
        return
      }
      if (this.#shutdown === 'done') process.nextTick(callback)
      else (this.#endCallbacks ??= []).push(callback)
    }
    if (this.#state !== 'open') return
    this.#enter('ended')
    this.ring.schedule(this)
  }

  destroy(error?: Error): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.#error = error
    this.#enter('closing')
    if (this.parked) this.ring.unpark(this)
    this.#kept = undefined
    this.ring.schedule(this)
  }

  reset(error?: Error): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.prepareReset()
    this.destroy(error)
  }

  pause(): void {
    if (this.#paused) return
    this.#paused = true
    if (this.#state !== 'closed') this.ring.schedule(this)
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    if (this.#state !== 'closed') this.ring.schedule(this)
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

  forward(to: Transport): void {
    if (typeof (to as Partial<Transport> | undefined)?.write !== 'function') {
      throw invalidArgumentType('to', 'a Transport', to)
    }
    if ((to as unknown) === this || this.#forwarding !== undefined) {
      throw new SheafError(
        'ERR_SHEAF_FORWARDING',
        (to as unknown) === this ? 'A connection cannot forward to itself' : 'The connection forwards already',
      )
    }
    const forwarding = new Forwarding(this, to)
    this.#forwarding = forwarding
    if (to instanceof StreamConnection) (to.#sources ??= []).push(forwarding)
    if (to.state === 'closing' || to.state === 'closed') this.destroy()
    else this.ring.schedule(this)
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
    this.ring.schedule(this)
    this.#tell((handler) => handler.open?.(this))
  }

  /** Asks the kernel to connect to `address`, a `sockaddr` as it wants it. */
  connect(address: Uint8Array): void {
    const block = this.ring.sendMemory.acquire(this.#send)
    if (block === undefined) {
      this.destroy(systemError(-Errno.ENOMEM, 'connect'))
      return
    }
    block.bytes.set(address)
    this.#connectBlock = block
    this.ring.submissions.connect(this.#slot, this.fd, block.address, address.byteLength)
    this.ring.wake()
  }

  // ---------------------------------------------------------------- what the kernel says

  complete(operation: Operation, result: number, flags: number): void {
    if (this.#state === 'closing') this.ring.schedule(this)
    switch (operation) {
      case Operation.Receive:
        this.#completeReceive(result, flags)
        break
      case Operation.Send:
        this.#completeSend(result, flags)
        break
      case Operation.Connect:
        this.#completeConnect(result)
        break
      case Operation.Shutdown:
        // A peer that is gone already (ENOTCONN) needs no FIN; receiving tells what became of it.
        this.#shutdown = 'done'
        this.ring.schedule(this)
        break
      case Operation.Cancel:
        this.#cancellingReceive = false
        this.ring.schedule(this)
        break
      case Operation.Close:
        this.#finish()
        break
      case Operation.HangUp:
        this.#hangUp = 'seen'
        this.ring.schedule(this)
        break
      case Operation.Accept:
        invariant(false, 'a connection accepts')
    }
  }

  #completeReceive(result: number, flags: number): void {
    const { metrics, pool } = this.ring
    const ended = (flags & CompletionFlag.More) === 0
    if (ended) {
      this.#receiving = false
      this.ring.schedule(this)
    }
    if (this.#hangUp === 'seen') this.ring.schedule(this)
    if (result > 0) {
      this.#received(result, flags)
      // The last buffer ends a multishot with data and no error.
      if (ended && pool.available === 0) metrics.poolExhausted++
    } else if (result === 0) {
      this.#receivedEnd(flags)
    } else if (result === -Errno.ENOBUFS) {
      metrics.poolExhausted++
    } else if (result !== -Errno.ECANCELED) {
      this.destroy(systemError(result, 'read'))
    }
  }

  #received(bytes: number, flags: number): void {
    const ring = this.ring
    const pool = ring.pool
    const first = flags >>> bufferIdShift
    pool.expect(first)
    const skipped = ring.receiveHeaderBytes
    const payload = bytes - skipped
    const metrics = ring.metrics
    if (payload === 0) {
      pool.skip(bytes)
      this.#receivedEnd(0)
      return
    }
    metrics.receives++
    metrics.bytesRead += payload
    this.#bytesRead += payload
    if (this.#state === 'closing') {
      pool.skip(bytes)
      return
    }
    const before = pool.taken
    const forwarding = this.#kept === undefined ? this.#forwarding : undefined
    forwarding?.received(payload, skipped)
    const chunk = forwarding === undefined ? this.#copyOut(payload, skipped) : undefined
    const buffers = (pool.taken - before) | 0
    metrics.receiveBuffers += buffers
    countBundle(metrics.receiveBundles, buffers)
    if (chunk === undefined) return
    if (this.#paused || this.#kept !== undefined) (this.#kept ??= []).push(chunk)
    else this.#tellData(chunk)
  }

  #copyOut(bytes: number, skipped: number): Chunk {
    const chunk = this.#slab.allocate(bytes)
    this.ring.pool.copyOut(chunk, skipped)
    return chunk
  }

  #receivedEnd(flags: number): void {
    if ((flags & CompletionFlag.Buffer) !== 0) this.ring.pool.reconcile(flags >>> bufferIdShift)
    this.#peerEnded = true
    this.ring.schedule(this)
  }

  #completeSend(result: number, flags: number): void {
    if (!this.scheduled) this.ring.schedule(this)
    if (result < 0) {
      this.#send.completeEmpty(flags)
      if (result !== -Errno.ENOBUFS && result !== -Errno.ECANCELED) this.destroy(systemError(result, 'write'))
      return
    }
    try {
      this.#send.complete(result, flags)
    } catch (error) {
      this.destroy(error as Error)
    }
  }

  #completeConnect(result: number): void {
    if (this.#connectBlock !== undefined) this.ring.sendMemory.release(this.#connectBlock)
    this.#connectBlock = undefined
    if (this.#state !== 'connecting') return
    if (result < 0) this.destroy(systemError(result, 'connect'))
    else this.begin()
  }

  // ---------------------------------------------------------------- what is asked of the kernel

  /**
   * Tells the owner what has happened since, then asks the kernel for what the state calls for. Called by the ring once
   * a turn after {@link Ring.schedule}. If the owner throws, what it has not been told yet is told in the next turn.
   */
  advance(): void {
    let told = false
    try {
      if (this.#active()) this.#tellWritten()
      if (this.#active()) this.#tellKept()
      if (this.#active()) this.#tellEnd()
      told = true
    } finally {
      this.scheduled = false
      this.#steer()
      if (!told) this.ring.schedule(this)
    }
  }

  #active(): boolean {
    return this.#state === 'open' || this.#state === 'ended'
  }

  #steer(): void {
    if (this.#active()) this.#steerReceive()
    if (this.#active()) this.#steerSend()
    if (this.#state === 'closing') this.#steerClose()
  }

  #wantsData(): boolean {
    return !this.#paused && !this.#heldBack && !this.#peerEnded
  }

  #steerReceive(): void {
    if (this.#receiving) {
      // A receive that may have missed the reset is armed anew: it ends at once when there is nothing left but that.
      if ((!this.#wantsData() || this.#hangUp === 'seen') && !this.#cancellingReceive) {
        this.#cancellingReceive = true
        this.ring.submissions.cancelOperation(this.#slot, Operation.Receive)
      }
    } else if (this.#wantsData()) {
      if (!this.#cancellingReceive && !this.parked) this.#receive()
    } else if (this.parked) {
      this.ring.unpark(this)
    }
  }

  /** Of the pool it holds nothing that would come back to it. */
  get starving(): boolean {
    return this.#forwarding?.holding !== true
  }

  #receive(): void {
    // Armed on an empty pool it would fail at once. A connection that holds buffers waits for those, and leaves the
    // reserve to others; one that holds none may receive, to have it copied.
    const { pool } = this.ring
    if (pool.available <= (this.starving ? 0 : pool.reserve)) {
      this.ring.park(this)
      return
    }
    if (this.#hangUp === 'unknown' && this.ring.receiveMissesResets) {
      this.#hangUp = 'awaited'
      this.ring.submissions.hangUp(this.#slot, this.fd)
    }
    this.#receiving = true
    this.ring.receive(this.#slot, this.fd)
  }

  #steerSend(): void {
    if (this.#shutdown === 'no') {
      try {
        this.#send.submit()
      } catch (error) {
        this.destroy(error as Error)
        return
      }
      if (this.#state === 'open' || this.#send.queuedBytes !== 0 || this.#send.inFlight) return
      if (this.#endTold) {
        // Both directions are done: closing sends the FIN.
        this.#shutdown = 'done'
      } else {
        this.#shutdown = 'submitted'
        this.ring.submissions.shutdownWrite(this.#slot, this.fd)
      }
    }
    if (this.#shutdown === 'done' && this.#endTold) this.#enter('closing')
  }

  #steerClose(): void {
    if (this.#closeSubmitted) return
    if (this.ring.operations.outstanding(this.#slot) === 0) {
      this.#closeSubmitted = true
      this.ring.closeDescriptor(this.#slot, this.fd)
    } else if (!this.#cancelled) {
      this.#cancelled = true
      this.ring.submissions.cancelDescriptor(this.#slot, this.fd)
    }
  }

  /** The kernel holds nothing of this connection any more, and the descriptor is closed. */
  #finish(): void {
    if (this.#connectBlock !== undefined) this.ring.sendMemory.release(this.#connectBlock)
    this.#connectBlock = undefined
    this.#send.discard()
    this.#tellClosed()
  }

  #tellClosed(): void {
    this.#enter('closed')
    this.ring.operations.release(this.#slot)
    this.ring.members.delete(this)
    this.ring.metrics.closed++
    this.unref()
    this.#forwarding?.closed(this.#error)
    if (this.#sources !== undefined) for (const source of this.#sources) source.from.receiverClosed(this.#error)
    this.onClosed?.()
    const thrown = this.#settleCallbacks()
    try {
      this.#tell((handler) => handler.close?.(this, this.#error))
    } catch (error) {
      thrown.push(error)
    }
    // Each becomes an uncaughtException of its own, and none keeps the others from being told.
    for (const error of thrown) process.nextTick(() => { throw error })
  }

  /** The ring is closed: nothing is in the kernel any more. Closes the descriptor, and tells the owner. */
  ringClosed(error: Error): void {
    this.#error ??= error
    if (this.#state !== 'closing') this.#enter('closing')
    this.ring.operations.abandon(this.#slot)
    if (!this.#closeSubmitted) this.ring.sockets.close(this.fd)
    this.#tellClosed()
  }

  // ---------------------------------------------------------------- what the owner is told

  /** Calls back for what the kernel has taken, and lets writers go on. */
  #tellWritten(): void {
    const send = this.#send
    if (this.#callbacks !== undefined) {
      let callback: WriteCallback | undefined
      while ((callback = this.#callbacks.takeUpTo(send.sentBytes)) !== undefined) this.#call(callback)
    }
    if (this.#shutdown === 'done') this.#tellFinished()
    if (send.queuedBytes > this.writableHighWaterMark * limits.writableLowWaterFraction) return
    if (this.#sources !== undefined) for (const source of this.#sources) source.drained()
    if (!this.#needsDrain) return
    this.#needsDrain = false
    this.#tell((handler) => handler.drain?.(this))
  }

  #tellKept(): void {
    while (this.#kept !== undefined && !this.#paused) {
      const chunk = this.#kept.shift()
      if (this.#kept.length === 0) this.#kept = undefined
      if (chunk === undefined) return
      if (this.#forwarding !== undefined) this.#forwarding.write(chunk)
      else this.#tellData(chunk)
    }
  }

  #tellEnd(): void {
    if (!this.#peerEnded || this.#endTold || this.#kept !== undefined || this.#paused) return
    this.#endTold = true
    this.#forwarding?.ended()
    try {
      this.#tell((handler) => handler.end?.(this))
    } finally {
      if (!this.#allowHalfOpen && this.#forwarding === undefined) this.end()
    }
  }

  #tellData(chunk: Chunk): void {
    if (this.#context === undefined) this.handler.data?.(this, chunk)
    else this.#context.runInAsyncScope(() => this.handler.data?.(this, chunk))
  }

  #tell(what: (handler: StreamHandler) => void): void {
    if (this.#context === undefined) what(this.handler)
    else this.#context.runInAsyncScope(what, undefined, this.handler)
  }

  #call(callback: WriteCallback, error?: Error): void {
    if (this.#context === undefined) callback(error)
    else this.#context.runInAsyncScope(callback, undefined, error)
  }

  /** The FIN has been sent. */
  #tellFinished(): void {
    let callback: WriteCallback | undefined
    while ((callback = this.#endCallbacks?.shift()) !== undefined) this.#call(callback)
  }

  /** Calls back for every write and end that is still open when the connection is closed. @returns what they threw. */
  #settleCallbacks(): unknown[] {
    const failed = this.#error ?? this.#closedError()
    const thrown: unknown[] = []
    const settle = (callback: WriteCallback, error?: Error): void => {
      try {
        this.#call(callback, error)
      } catch (what) {
        thrown.push(what)
      }
    }
    let callback: WriteCallback | undefined
    while ((callback = this.#callbacks?.takeUpTo(this.#send.sentBytes)) !== undefined) settle(callback)
    while ((callback = this.#callbacks?.takeUpTo(Infinity)) !== undefined) settle(callback, failed)
    for (callback of this.#endCallbacks ?? []) settle(callback, this.#shutdown === 'done' ? undefined : failed)
    this.#endCallbacks = undefined
    return thrown
  }

  #refuseWrite(callback: WriteCallback | undefined): boolean {
    if (this.#state === 'ended') {
      throw new SheafError('ERR_SHEAF_WRITE_AFTER_END', 'write after end')
    }
    invariant(this.#state !== 'connecting', 'a connection is written to before it is open')
    if (callback !== undefined) process.nextTick(callback, this.#error ?? this.#closedError())
    return false
  }

  #closedError(): SheafError {
    return new SheafError('ERR_SHEAF_CLOSED', 'The connection is closed')
  }

  #enter(state: TransportState): void {
    assertTransition(this.#state, state)
    this.#state = state
  }

  // ---------------------------------------------------------------- for Forwarding

  /** Keeps the peer's bytes in the kernel while the receiver of a forwarding is full. */
  holdBack(held: boolean): void {
    if (this.#heldBack === held) return
    this.#heldBack = held
    if (this.#state !== 'closed') this.ring.schedule(this)
  }

  /** A forwarding that ended here is over. */
  forgetSource(source: Forwarding): void {
    this.#sources = this.#sources?.filter((other) => other !== source)
  }

  /** What this connection forwards to is closed. */
  receiverClosed(error: Error | undefined): void {
    if (error === undefined && this.#peerEnded) this.end()
    else this.reset(error)
  }

  /** A send is in the kernel. */
  get sending(): boolean {
    return this.#send.inFlight
  }

  /** What received buffers are queued in to be sent as they are; undefined when nothing may be sent any more. */
  get forwardQueue(): SendQueue | undefined {
    if (this.#state !== 'open') return undefined
    if (!this.scheduled) this.ring.schedule(this)
    return this.#send
  }
}
