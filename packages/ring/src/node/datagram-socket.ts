import type { RemoteInfo, Socket } from 'node:dgram'
import { Errno } from '../abi'
import { SheafError, systemError } from '../errors'
import { limits } from '../limits'
import { afterAll, checkCallback, checkChunk, checkChunks, checkTo } from '../message/arguments'
import { ReceivedBatch } from '../message/batch'
import { SettledMessages } from '../message/settled'
import type { MessageSocketOptions } from '../message/socket'
import { assertTransition } from '../stream/state'
import type { InternetAddress, MessageHandler, MessageTransport, TransportState, WriteCallback } from '../transport'
import { callOutside } from './context'
import { nodeSockets } from './sockets'
import { scheduleForEndOfTurn, type Turning } from './turn'

/** Where a datagram goes. */
export interface NodeDestination {
  readonly address: string
  readonly port: number
}

/** A datagram that Node has not taken yet, or has not said what became of it. */
interface Outgoing {
  readonly bytes: Uint8Array
  readonly to: NodeDestination | undefined
  readonly callback: WriteCallback | undefined
}

type Handler = MessageHandler<MessageTransport<InternetAddress, NodeDestination>, InternetAddress>

/**
 * A datagram socket of `node:dgram`: the sibling of `MessageSocket` where there is no ring. One system call a datagram
 * is what there is; they leave at the end of the turn all the same, so that errors and order are as on a ring.
 */
export abstract class NodeDatagramSocket implements MessageTransport<InternetAddress, NodeDestination>, Turning {
  handler: Handler
  readonly writableHighWaterMark: number
  protected readonly socket: Socket
  #state: TransportState = 'open'
  scheduled = false

  #paused = false
  readonly #batch = new ReceivedBatch<InternetAddress>()
  #keptBytes = 0
  #from: InternetAddress | undefined
  #bytesRead = 0
  #messagesRead = 0

  #waiting: Outgoing[] = []
  /** Those that Node has, in the order of sending. */
  readonly #underWay = new Set<Outgoing>()
  readonly #settled = new SettledMessages()
  #bytesQueued = 0
  #messagesQueued = 0
  #bytesWritten = 0
  #messagesWritten = 0
  #needsDrain = false

  #error: Error | undefined
  /** Told when the socket is closed, before the handler. */
  onClosed: (() => void) | undefined

  /** @param socket bound or connected; it is this one's from now on. */
  constructor(socket: Socket, handler: Handler, options: MessageSocketOptions = {}) {
    this.socket = socket
    this.handler = handler
    this.writableHighWaterMark = options.writableHighWaterMark ?? limits.messageHighWaterMark
    nodeSockets.members.add(this)
    socket.on('message', this.#received).on('error', this.#failed).on('close', this.#closed)
  }

  abstract get localAddress(): InternetAddress | undefined
  abstract get remoteAddress(): InternetAddress | undefined
  /** Checks where a datagram is to go. @throws if that is no destination for this socket. */
  protected abstract destination(to: NodeDestination | undefined): NodeDestination | undefined

  get state(): TransportState {
    return this.#state
  }

  get bytesRead(): number {
    return this.#bytesRead
  }

  get messagesRead(): number {
    return this.#messagesRead
  }

  get bytesWritten(): number {
    return this.#bytesWritten
  }

  get messagesWritten(): number {
    return this.#messagesWritten
  }

  get bytesQueued(): number {
    return this.#bytesQueued
  }

  get messagesQueued(): number {
    return this.#messagesQueued
  }

  get paused(): boolean {
    return this.#paused
  }

  // ---------------------------------------------------------------- what the owner asks for

  send(chunk: Uint8Array | string, toOrCallback?: NodeDestination | WriteCallback, callback?: WriteCallback): boolean {
    const to = typeof toOrCallback === 'function' ? undefined : toOrCallback
    const told = typeof toOrCallback === 'function' ? toOrCallback : callback
    checkCallback(told)
    checkChunk(chunk)
    checkTo(to)
    const target = this.destination(to)
    if (this.#state !== 'open') return this.#refuse(told)
    this.#queue(chunk, target, told)
    return this.#writable()
  }

  sendMany(chunks: Iterable<Uint8Array | string> & object, to?: NodeDestination, callback?: WriteCallback): boolean {
    checkCallback(callback)
    checkTo(to)
    const all = checkChunks(chunks)
    const target = this.destination(to)
    if (this.#state !== 'open') return this.#refuse(callback)
    const told = callback === undefined ? undefined : afterAll(all.length, callback)
    if (all.length === 0) this.#settle(callback, undefined)
    for (const chunk of all) this.#queue(chunk, target, told)
    return this.#writable()
  }

  flush(): void {
    if (this.#state === 'open' || this.#state === 'ended') this.#submit()
  }

  close(): void {
    if (this.#state !== 'open') return
    this.#enter('ended')
    scheduleForEndOfTurn(this)
  }

  destroy(error?: Error): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.#error = error
    this.#enter('closing')
    this.socket.close()
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    if (this.#batch.count !== 0) scheduleForEndOfTurn(this)
  }

  ref(): void {
    this.socket.ref()
  }

  unref(): void {
    this.socket.unref()
  }

  /** @throws SheafError `ERR_SHEAF_CLOSED` as everything about a socket's options does that there is no more. */
  protected assertOpen(): void {
    if (this.#state === 'closing' || this.#state === 'closed') throw closedError()
  }

  // ---------------------------------------------------------------- what is asked of the socket

  advance(): void {
    this.#submit()
    callOutside(() => {
      this.#settled.tell(this.#tellError)
    })
    this.#tellReceived()
    this.#tellDrained()
    if (!this.#settled.empty) scheduleForEndOfTurn(this)
    if (this.#state === 'ended' && this.#messagesQueued === 0) this.destroy()
  }

  #queue(chunk: Uint8Array | string, to: NodeDestination | undefined, callback: WriteCallback | undefined): void {
    const bytes = Buffer.from(chunk)
    const isFull = this.#bytesQueued + bytes.byteLength > limits.messageQueueBytesMax
    // Node throws for a port of 0.
    if (isFull || to?.port === 0) {
      nodeSockets.metrics.messageErrors++
      this.#settle(callback, systemError(isFull ? -Errno.ENOBUFS : -Errno.EINVAL, 'send', to?.address, to?.port))
      return
    }
    this.#waiting.push({ bytes, to, callback })
    this.#bytesQueued += bytes.byteLength
    this.#messagesQueued++
    scheduleForEndOfTurn(this)
  }

  #submit(): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    const { socket } = this
    const waiting = this.#waiting
    this.#waiting = []
    for (const outgoing of waiting) {
      const { bytes, to } = outgoing
      this.#underWay.add(outgoing)
      const sent = (error: Error | null): void => {
        this.#sent(outgoing, error ?? undefined)
      }
      if (to === undefined) socket.send(bytes, sent)
      else socket.send(bytes, to.port, to.address, sent)
    }
  }

  #writable(): boolean {
    const { messagesHighWaterMark } = limits
    if (this.#bytesQueued < this.writableHighWaterMark && this.#messagesQueued < messagesHighWaterMark) return true
    if (!this.#needsDrain) nodeSockets.metrics.backPressure++
    this.#needsDrain = true
    return false
  }

  #refuse(callback: WriteCallback | undefined): boolean {
    if (callback !== undefined) process.nextTick(callback, this.#error ?? closedError())
    return false
  }

  #settle(callback: WriteCallback | undefined, error: Error | undefined): void {
    if (callback === undefined && error === undefined) return
    this.#settled.add(callback, error)
    scheduleForEndOfTurn(this)
  }

  // ---------------------------------------------------------------- what the socket says

  #sent(outgoing: Outgoing, error: Error | undefined): void {
    // What closing cuts off is told there.
    if (this.#state === 'closing' || !this.#underWay.delete(outgoing)) return
    const { metrics } = nodeSockets
    const { byteLength } = outgoing.bytes
    this.#bytesQueued -= byteLength
    this.#messagesQueued--
    if (error === undefined) {
      this.#bytesWritten += byteLength
      this.#messagesWritten++
      metrics.sends++
      metrics.bytesWritten += byteLength
      metrics.messagesWritten++
    } else {
      metrics.messageErrors++
    }
    this.#settle(outgoing.callback, error)
    if (this.#needsDrain || this.#state === 'ended') scheduleForEndOfTurn(this)
  }

  readonly #received = (chunk: Buffer, info: RemoteInfo): void => {
    if (this.#state !== 'open') return
    if (this.#paused && this.#keptBytes + keptBytes(chunk) > limits.messageKeptBytesMax) return
    const { metrics } = nodeSockets
    metrics.receives++
    metrics.bytesRead += chunk.byteLength
    metrics.messagesRead++
    this.#bytesRead += chunk.byteLength
    this.#messagesRead++
    const from = this.#sender(info)
    const { handler } = this
    if (this.#paused || this.#batch.count !== 0 || handler.messages !== undefined) {
      this.#keptBytes += keptBytes(chunk)
      this.#batch.add(chunk, 0, chunk.byteLength, from, undefined)
      scheduleForEndOfTurn(this)
    } else {
      callOutside(() => handler.message?.(this, chunk, from))
    }
  }

  readonly #failed = (error: Error): void => {
    if (this.#state === 'open') callOutside(() => this.handler.error?.(this, error))
  }

  readonly #closed = (): void => {
    if (this.#state !== 'closing') this.#enter('closing')
    this.#enter('closed')
    nodeSockets.members.delete(this)
    this.#batch.clear()
    let error = this.#error
    for (const { callback } of [...this.#underWay, ...this.#waiting]) {
      if (callback !== undefined) this.#settled.add(callback, error ??= closedError())
    }
    this.#underWay.clear()
    this.#waiting = []
    this.#bytesQueued = this.#messagesQueued = 0
    this.onClosed?.()
    while (!this.#settled.empty) {
      callOutside(() => {
        this.#settled.tell(this.#tellError)
      })
    }
    callOutside(() => this.handler.close?.(this, this.#error))
  }

  #sender({ address, family, port }: RemoteInfo): InternetAddress {
    if (this.#from?.port !== port || this.#from.address !== address) {
      this.#from = Object.freeze({ address, family, port })
    }
    return this.#from
  }

  // ---------------------------------------------------------------- what the owner is told

  readonly #tellError = (error: Error): void => {
    if (this.#state !== 'closed') this.handler.error?.(this, error)
  }

  #tellReceived(): void {
    const batch = this.#batch
    while (this.#state === 'open' && !this.#paused && batch.count !== 0) {
      const { handler } = this
      if (handler.messages !== undefined) {
        this.#keptBytes = 0
        callOutside(() => handler.messages?.(this, batch))
        batch.clear()
        return
      }
      const chunk = batch.memory(0)
      const from = batch.from(0)
      batch.shift()
      this.#keptBytes -= keptBytes(chunk)
      callOutside(() => handler.message?.(this, chunk, from))
    }
    if (batch.count === 0) batch.clear()
  }

  #tellDrained(): void {
    if (!this.#needsDrain || this.#state !== 'open') return
    if (this.#bytesQueued > this.writableHighWaterMark * limits.writableLowWaterFraction) return
    if (this.#messagesQueued > limits.messagesHighWaterMark * limits.writableLowWaterFraction) return
    this.#needsDrain = false
    callOutside(() => this.handler.drain?.(this))
  }

  #enter(state: TransportState): void {
    assertTransition(this.#state, state)
    this.#state = state
  }
}

/** What keeping a datagram costs. */
function keptBytes(chunk: Buffer): number {
  return chunk.byteLength + limits.messageKeptOverheadBytes
}

function closedError(): SheafError {
  return new SheafError('ERR_SHEAF_CLOSED', 'The socket is closed')
}
