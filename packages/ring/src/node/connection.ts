import { AsyncResource } from 'node:async_hooks'
import type { Socket } from 'node:net'
import { unsupported } from '../backend'
import { guarded, invariant, SheafError } from '../errors'
import { limits } from '../limits'
import { processEnds } from '../process-end'
import type { ConnectionOptions } from '../stream/options'
import { checkForwarding, Forwarding, type ForwardingOrigin, type ForwardingSource, type ForwardingTarget }
  from '../stream/forwarding'
import { assertTransition } from '../stream/state'
import { checkCallback, checkWrite } from '../stream/write-arguments'
import { WriteCallbacks } from '../stream/write-callbacks'
import type { Address, Chunk, StreamHandler, Transport, TransportState, WriteCallback } from '../transport'
import { noContext } from './context'
import { NodeSendQueue } from './send-queue'
import { nodeSockets } from './sockets'
import { scheduleForEndOfTurn, type Turning } from './turn'

/**
 * A connected stream on a socket of `node:net`: the sibling of `StreamConnection` where there is no ring, keeping the
 * same contract with the same states. What happens arrives in listeners on the socket; what it wants of the socket is
 * asked for in {@link advance}, at the end of the turn.
 */
export abstract class NodeStreamConnection implements Transport, ForwardingOrigin, ForwardingTarget, Turning {
  handler: StreamHandler
  readonly writableHighWaterMark: number
  protected readonly socket: Socket
  readonly #send = new NodeSendQueue()
  readonly #allowHalfOpen: boolean
  readonly #context: AsyncResource
  #state: TransportState = 'connecting'
  scheduled = false

  #paused = false
  #heldBack = false
  #bytesRead = 0
  /** The socket has seen the peer's FIN. */
  #ended = false
  /** The owner has ended it, and knows. */
  #endAsked = false
  /** It has been open. */
  #begun = false
  /** `end` has been told. */
  #endTold = false
  #needsDrain = false
  #shutdown: 'no' | 'submitted' | 'done' = 'no'
  #callbacks: WriteCallbacks | undefined
  #forwarding: Forwarding | undefined
  /** Forwardings that end here. */
  #sources: ForwardingSource[] | undefined

  #socketClosed = false
  #error: Error | undefined
  /** Told when the connection is closed, before the handler. */
  onClosed: (() => void) | undefined

  /** @param socket with `allowHalfOpen`, and no listeners; it is the connection's from now on. */
  constructor(socket: Socket, handler: StreamHandler, options: ConnectionOptions = {}) {
    this.socket = socket
    this.handler = handler
    this.writableHighWaterMark = options.writableHighWaterMark ?? limits.writableHighWaterMark
    this.#allowHalfOpen = options.allowHalfOpen ?? false
    this.#context = options.asyncContext === true ? new AsyncResource('SHEAFCONNECTION') : noContext
    nodeSockets.members.add(this)
    socket.on('error', this.#failed).on('close', this.#closed)
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
    checkWrite(chunk, encoding, told)
    if (this.#state !== 'open') return this.#refuseWrite(told)
    const send = this.#send
    if (typeof chunk === 'string') send.writeString(chunk, encoding)
    else send.write(chunk)
    if (told !== undefined) (this.#callbacks ??= new WriteCallbacks()).add(send.acceptedBytes, told)
    scheduleForEndOfTurn(this)
    if (send.queuedBytes < this.writableHighWaterMark) return true
    if (!this.#needsDrain) nodeSockets.metrics.backPressure++
    this.#needsDrain = true
    return false
  }

  flush(): void {
    if (!this.#isActive()) return
    this.#steerSend()
    // Nobody will be told any more that what is under way has been sent.
    while (processEnds && this.#isActive() && !this.#send.empty) this.#sendNext()
  }

  end(callback?: WriteCallback): void {
    if (callback !== undefined) {
      checkCallback(callback)
      if (this.#state === 'closed') {
        process.nextTick(callback, this.#shutdown === 'done' ? undefined : closedError())
        return
      }
      if (this.#shutdown === 'done') process.nextTick(callback)
      else (this.#callbacks ??= new WriteCallbacks()).addEnd(callback)
    }
    this.#endAsked = true
    this.#end()
  }

  #end(): void {
    if (this.#state !== 'open') return
    this.#enter('ended')
    scheduleForEndOfTurn(this)
  }

  destroy(error?: Error): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.#close(error)
    this.socket.destroy()
    // The socket may have closed before, while its end waited to be told.
    if (this.#socketClosed) process.nextTick(this.#closed)
  }

  reset(error?: Error): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.#close(error)
    this.resetSocket()
    if (this.#socketClosed) process.nextTick(this.#closed)
  }

  pause(): void {
    this.#paused = true
    this.#steerReceive()
  }

  resume(): void {
    this.#paused = false
    this.#steerReceive()
  }

  ref(): void {
    this.socket.ref()
  }

  unref(): void {
    this.socket.unref()
  }

  forward(to: Transport): void {
    checkForwarding(this, to, this.#forwarding)
    this.#forwarding = new Forwarding(this, to)
    this.#forwarding.begin()
    if (this.#endTold) this.#forwarding.ended()
    if (this.#state === 'closed') this.#forwarding.closed(this.#error)
    else if (to.state === 'closing' || to.state === 'closed') this.destroy()
  }

  get sendBufferBytes(): number {
    throw unsupported('The size of a send buffer')
  }

  setSendBufferBytes(_sizeBytes: number): void {
    throw unsupported('The size of a send buffer')
  }

  get receiveBufferBytes(): number {
    throw unsupported('The size of a receive buffer')
  }

  setReceiveBufferBytes(_sizeBytes: number): void {
    throw unsupported('The size of a receive buffer')
  }

  /** Ends the socket as abruptly as the family can. */
  protected resetSocket(): void {
    // Only TCP has resets.
    this.socket.destroy()
  }

  /** @throws SheafError `ERR_SHEAF_CLOSED` as everything about a socket's options does that there is no more. */
  protected assertOpen(): void {
    if (!this.#isActive()) throw closedError()
  }

  // ---------------------------------------------------------------- what begins it

  /** The socket is connected: tells the handler and begins to receive. */
  begin(): void {
    this.#enter('open')
    this.#begun = true
    this.#tell((handler) => handler.open?.(this))
    if (!this.#isActive()) return
    this.socket.on('data', this.#received).on('end', this.#peerEnded)
    this.#steerReceive()
  }

  /** @param connect has the socket connect. */
  connect(connect: (socket: Socket) => void): void {
    this.socket.once('connect', () => {
      if (this.#state !== 'connecting') return
      nodeSockets.metrics.connected++
      this.begin()
    })
    connect(this.socket)
  }

  // ---------------------------------------------------------------- what the socket says

  readonly #received = (chunk: Chunk): void => {
    if (!this.#isActive()) return
    const { metrics } = nodeSockets
    metrics.receives++
    metrics.bytesRead += chunk.byteLength
    this.#bytesRead += chunk.byteLength
    if (this.#forwarding === undefined) this.#tell((handler) => handler.data?.(this, chunk))
    else this.#forwarding.write(chunk)
  }

  readonly #peerEnded = (): void => {
    this.#ended = true
    this.#tellEnd()
  }

  readonly #failed = (error: Error): void => {
    // What is told first is why; a write that fails because of it follows.
    if (this.#state !== 'closing' && this.#state !== 'closed') this.#close(error)
  }

  readonly #closed = (): void => {
    this.#socketClosed = true
    if (this.#state === 'closed') return
    // A peer's end that nobody has been told of yet, as reading is paused, keeps the connection.
    if (this.#ended && !this.#endTold && this.#isActive()) return
    if (this.#state !== 'closing') this.#close(undefined)
    this.#tellClosed()
  }

  readonly #sent = (error?: Error | null): void => {
    if (error) return
    const send = this.#send
    nodeSockets.metrics.sends++
    nodeSockets.metrics.bytesWritten += send.inFlightBytes
    send.complete()
    if (!this.#isActive()) return
    this.#steerSend()
    this.#tellWritten()
  }

  readonly #finSent = (): void => {
    this.#shutdown = 'done'
    if (this.#isActive()) this.#tellWritten()
  }

  // ---------------------------------------------------------------- what is asked of the socket

  advance(): void {
    if (!this.#isActive()) return
    this.#steerSend()
    this.#tellWritten()
    this.#tellEnd()
  }

  #isActive(): boolean {
    return this.#state === 'open' || this.#state === 'ended'
  }

  #steerReceive(): void {
    if (!this.#isActive()) return
    if (this.#paused || this.#heldBack) {
      this.socket.pause()
      return
    }
    this.socket.resume()
    if (this.#ended && !this.#endTold) scheduleForEndOfTurn(this)
  }

  /** One request at a time, as on a ring: what is written meanwhile goes together. */
  #steerSend(): void {
    if (this.#send.inFlightBytes === 0) this.#sendNext()
  }

  #sendNext(): void {
    const { socket } = this
    let bytes: Buffer | undefined
    try {
      bytes = this.#send.take()
    } catch (error) {
      // Bytes of the stream are missing: the peer must not take what it has got for the whole.
      this.reset(error as Error)
      return
    }
    if (bytes !== undefined) {
      socket.write(bytes, this.#sent)
    } else if (this.#state === 'ended' && this.#shutdown === 'no') {
      this.#shutdown = 'submitted'
      socket.once('finish', this.#finSent).end()
    }
  }

  // ---------------------------------------------------------------- what the owner is told

  /** Calls back for what has been sent, and lets writers go on. */
  #tellWritten(): void {
    const send = this.#send
    if (this.#callbacks !== undefined) {
      let callback: WriteCallback | undefined
      while ((callback = this.#callbacks.takeUpTo(send.sentBytes)) !== undefined) this.#call(callback)
      while (this.#shutdown === 'done' && (callback = this.#callbacks.takeEnd()) !== undefined) this.#call(callback)
    }
    if (send.queuedBytes > this.writableHighWaterMark * limits.writableLowWaterFraction) return
    if (this.#sources !== undefined) for (const source of this.#sources) source.targetDrained()
    if (!this.#needsDrain || !this.#isActive()) return
    this.#needsDrain = false
    this.#tell((handler) => handler.drain?.(this))
  }

  #tellEnd(): void {
    if (!this.#ended || this.#endTold || this.#paused || !this.#isActive()) return
    this.#endTold = true
    this.#forwarding?.ended()
    this.#tell((handler) => handler.end?.(this))
    if (!this.#allowHalfOpen && this.#forwarding === undefined) this.#end()
    if (this.#socketClosed) this.#closed()
  }

  #tellClosed(): void {
    this.#enter('closed')
    nodeSockets.members.delete(this)
    if (this.#begun) nodeSockets.metrics.closed++
    this.#send.discard()
    this.#forwarding?.closed(this.#error)
    if (this.#sources !== undefined) for (const source of this.#sources) source.targetClosed(this.#error)
    this.onClosed?.()
    if (this.#callbacks !== undefined) {
      const call = (callback: WriteCallback, error?: Error): void => this.#call(callback, error)
      const failed = (): Error => this.#error ?? closedError()
      this.#callbacks.settle(call, this.#send.sentBytes, this.#shutdown === 'done', failed)
    }
    this.#tell((handler) => handler.close?.(this, this.#error))
  }

  #tell(what: (handler: StreamHandler) => void): void {
    guarded(() => {
      this.#context.runInAsyncScope(what, undefined, this.handler)
    })
  }

  #call(callback: WriteCallback, error?: Error): void {
    guarded(() => {
      this.#context.runInAsyncScope(callback, undefined, error)
    })
  }

  #refuseWrite(callback: WriteCallback | undefined): boolean {
    if (this.#state === 'ended' && this.#endAsked) {
      throw new SheafError('ERR_SHEAF_WRITE_AFTER_END', 'write after end')
    }
    invariant(this.#state !== 'connecting', 'a connection is written to before it is open')
    if (callback !== undefined) process.nextTick(callback, this.#error ?? closedError())
    return false
  }

  #close(error: Error | undefined): void {
    this.#error = error
    this.#enter('closing')
  }

  #enter(state: TransportState): void {
    assertTransition(this.#state, state)
    this.#state = state
  }

  // ---------------------------------------------------------------- for Forwarding

  holdBack(held: boolean): void {
    if (this.#heldBack === held) return
    this.#heldBack = held
    if (held) nodeSockets.metrics.forwardPauses++
    this.#steerReceive()
  }

  get failure(): Error | undefined {
    return this.#error
  }

  addSource(source: ForwardingSource): void {
    (this.#sources ??= []).push(source)
  }

  forgetSource(source: ForwardingSource): void {
    this.#sources = this.#sources?.filter((other) => other !== source)
  }

  receiverClosed(error: Error | undefined): void {
    if (error === undefined && this.#ended) this.#end()
    else this.reset(error)
  }
}

function closedError(): SheafError {
  return new SheafError('ERR_SHEAF_CLOSED', 'The connection is closed')
}
