import {
  bufferIdShift, CompletionFlag, Errno, MessageFlag, receivedMessageHeaderBytes, ReceivedMessageWord,
} from '../abi'
import { lostCapability } from '../capabilities'
import { invalidArgumentType, invariant, SheafError, systemError } from '../errors'
import { limits } from '../limits'
import type { BlockHolder } from '../memory/send-memory'
import { countBundle } from '../metrics'
import { Operation, type OperationOwner } from '../queue/operation-table'
import type { Ring } from '../ring'
import { assertTransition } from '../stream/state'
import type {
  Address, MessageDetails, MessageHandler, MessageTransport, TransportState, WriteCallback,
} from '../transport'
import { ReceivedBatch } from './batch'
import type { Lane } from './lane'
import type { MessageRequest, RequestOwner } from './request'
import { MessageSendMemory } from './send-blocks'
import { type MessageShare, type ParkedSocket, passingReceiveErrors, payloadOffsetBytes } from './share'

/** How a datagram socket behaves, whatever its address family. */
export interface MessageSocketOptions {
  /** `send` returns false from this many queued bytes on. Default 262144. */
  writableHighWaterMark?: number
}

/** Refusals of segmentation: by the device or an IPsec route (EIO), by the socket or the path (EINVAL, EMSGSIZE). */
const segmentationErrors = new Set<number>([Errno.EINVAL, Errno.EIO, Errno.EMSGSIZE])

/**
 * Every IPv6 path takes this payload in one packet (RFC 8200, 1280 bytes less headers): its refusal is not the path's.
 */
const segmentBytesOfAnyPath = 1232

interface Settled {
  readonly callback: WriteCallback | undefined
  readonly error: Error | undefined
}

/**
 * A datagram socket on a ring: what UDP and Unix datagram sockets share.
 *
 * As with {@link StreamConnection}, completions only change state, and {@link advance}, once a turn, tells the owner
 * what has happened and asks the kernel for what is wanted. What is sent waits in a {@link Lane} for each destination.
 */
export abstract class MessageSocket<A extends Address, To extends object = A>
implements MessageTransport<A, To>, OperationOwner, RequestOwner, ParkedSocket, BlockHolder {
  readonly ring: Ring
  readonly fd: number
  handler: MessageHandler<MessageTransport<A, To>, A>
  readonly writableHighWaterMark: number
  /** Largest payload that is worth showing to the kernel. */
  protected readonly messageBytesMax: number = 65527
  /** What is known of the datagram being received, besides its bytes and sender. Set by {@link readControl}. */
  protected details: MessageDetails | undefined
  readonly #share: MessageShare
  readonly #slot: number
  #state: TransportState = 'open'
  scheduled = false
  parked = false
  #referenced = false

  #receiving = false
  #cancellingReceive = false
  #paused = false
  readonly #batch = new ReceivedBatch<A>()
  #bytesRead = 0
  #messagesRead = 0

  /** Blocks of send memory that have bytes of this socket. */
  blocks = 0
  readonly #memory: MessageSendMemory
  /** Lanes with something to submit, and all that have something to send. */
  #active: Lane[] = []
  readonly #busy = new Set<Lane>()
  #requestsInFlight = 0
  /** Datagrams that are in no request in the kernel. */
  #unsubmitted = 0
  #bytesQueued = 0
  #messagesQueued = 0
  #bytesWritten = 0
  #messagesWritten = 0
  #needsDrain = false
  #settled: Settled[] = []

  #cancelled = false
  #closeSubmitted = false
  #error: Error | undefined
  /** Told when the socket is closed, before the handler. */
  onClosed: (() => void) | undefined

  /** @param fd a bound or connected socket in blocking mode; it is the socket's from now on. */
  constructor(
    ring: Ring,
    fd: number,
    handler: MessageHandler<MessageTransport<A, To>, A>,
    options: MessageSocketOptions = {},
  ) {
    this.ring = ring
    this.fd = fd
    this.handler = handler
    this.writableHighWaterMark = options.writableHighWaterMark ?? limits.messageHighWaterMark
    this.#share = ring.messages
    this.#memory = new MessageSendMemory(ring.sendMemory, this)
    this.#slot = ring.operations.allocate(this)
    ring.members.add(this)
    ring.own(fd)
    this.ref()
    ring.schedule(this)
  }

  abstract get localAddress(): A | undefined
  abstract get remoteAddress(): A | undefined
  /** Where datagrams to `to` (absent: to the peer) are queued. @throws if that is no destination for this socket. */
  protected abstract lane(to: To | undefined): Lane
  /** Whether datagrams may be bundled. */
  protected abstract readonly segmentable: boolean
  /** The address in a `sockaddr` of `lengthBytes`. */
  protected abstract decodeAddress(bytes: Buffer, offset: number, lengthBytes: number): A
  /**
   * Reads the control messages of a datagram into {@link details}. @returns the size of the datagrams that the kernel
   * has coalesced in it, or 0 if it is one.
   */
  protected abstract readControls(words: Int32Array, offset: number, lengthBytes: number): number

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

  send(chunk: Uint8Array | string, toOrCallback?: To | WriteCallback, callback?: WriteCallback): boolean {
    const to = typeof toOrCallback === 'function' ? undefined : toOrCallback
    const told = typeof toOrCallback === 'function' ? toOrCallback : callback
    checkCallback(told)
    checkChunk(chunk)
    const lane = this.lane(to)
    if (this.#state !== 'open') return this.#refuseClosed(told)
    this.#queue(lane, chunk, told)
    return this.#writable()
  }

  sendMany(chunks: Iterable<Uint8Array | string>, to?: To, callback?: WriteCallback): boolean {
    // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- callers may not use TypeScript
    if (typeof chunks !== 'object' || typeof chunks?.[Symbol.iterator] !== 'function') {
      throw invalidArgumentType('chunks', 'an iterable of strings, Buffers or Uint8Arrays', chunks)
    }
    checkCallback(callback)
    const all = Array.isArray(chunks) ? chunks as (Uint8Array | string)[] : [...chunks]
    for (const chunk of all) checkChunk(chunk)
    const lane = this.lane(to)
    if (this.#state !== 'open') return this.#refuseClosed(callback)
    const told = callback === undefined ? undefined : afterAll(all.length, callback)
    if (all.length === 0 && callback !== undefined) this.#settle(callback, undefined)
    for (const chunk of all) this.#queue(lane, chunk, told)
    return this.#writable()
  }

  flush(): void {
    if (this.#state === 'closed') return
    this.#steer()
    this.ring.submit()
  }

  close(): void {
    if (this.#state !== 'open') return
    this.#enter('ended')
    this.ring.schedule(this)
  }

  destroy(error?: Error): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.#error = error
    this.#enter('closing')
    this.ring.schedule(this)
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

  /** The descriptor, for socket options. @throws SheafError `ERR_SHEAF_CLOSED`: its number may be another's by then. */
  protected get openDescriptor(): number {
    if (this.#state === 'closing' || this.#state === 'closed') throw closedError()
    return this.fd
  }

  // ---------------------------------------------------------------- the queue

  /** The hot path of sending: nothing is allocated, unless a string or a callback is given. */
  #queue(lane: Lane, chunk: Uint8Array | string, callback: WriteCallback | undefined): void {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    const length = bytes.byteLength
    if (length > this.messageBytesMax) {
      this.#fail(lane, callback, -Errno.EMSGSIZE)
      return
    }
    const full = this.#bytesQueued + length > limits.messageQueueBytesMax
    const request = full || !this.#memory.ensure(length) ? undefined : this.#requestFor(lane, length)
    if (request === undefined) {
      this.#fail(lane, callback, -Errno.ENOBUFS)
      return
    }
    request.addDatagram(length, callback)
    this.#memory.write(request, bytes)
    this.#bytesQueued += length
    this.#messagesQueued++
    this.#unsubmitted++
    this.#activate(lane)
    if (!this.scheduled) this.ring.schedule(this)
  }

  #requestFor(lane: Lane, lengthBytes: number): MessageRequest | undefined {
    const open = lane.open
    if (open?.takes(lengthBytes, this.#segmentsMax(lane, lengthBytes)) === true) return open
    const request = this.#share.acquire(this, lane)
    if (request === undefined) return undefined
    if (lane.requests.length === 0) this.#busy.add(lane)
    lane.requests.push(request)
    return request
  }

  /** How many datagrams of one size may leave in one request. */
  #segmentsMax(lane: Lane, segmentBytes: number): number {
    if (!this.segmentable || !this.ring.capabilities.segmentedSend.enabled) return 1
    return segmentBytes > lane.segmentBytesMax ? 1 : limits.segmentsMax
  }

  #activate(lane: Lane): void {
    if (lane.active) return
    lane.active = true
    this.#active.push(lane)
  }

  #writable(): boolean {
    const { messagesHighWaterMark } = limits
    if (this.#bytesQueued < this.writableHighWaterMark && this.#messagesQueued < messagesHighWaterMark) return true
    if (!this.#needsDrain) this.ring.metrics.backPressure++
    this.#needsDrain = true
    return false
  }

  #refuseClosed(callback: WriteCallback | undefined): boolean {
    if (callback !== undefined) process.nextTick(callback, this.#error ?? closedError())
    return false
  }

  /** A datagram that was never queued. */
  #fail(lane: Lane, callback: WriteCallback | undefined, errno: number): void {
    this.ring.metrics.messageErrors++
    this.#settle(callback, systemError(errno, 'send', lane.address, lane.port))
  }

  #settle(callback: WriteCallback | undefined, error: Error | undefined): void {
    if (callback === undefined && error === undefined) return
    this.#settled.push({ callback, error })
    if (!this.scheduled) this.ring.schedule(this)
  }

  // ---------------------------------------------------------------- what the kernel says

  complete(operation: Operation, result: number, flags: number): void {
    if (!this.scheduled) this.ring.schedule(this)
    switch (operation) {
      case Operation.Receive:
        this.#completeReceive(result, flags)
        break
      case Operation.Cancel:
        this.#cancellingReceive = false
        break
      case Operation.Close:
        this.#finish()
        break
      default:
        invariant(false, 'a datagram socket has a completion that it can\'t have')
    }
  }

  #completeReceive(result: number, flags: number): void {
    if ((flags & CompletionFlag.More) === 0) this.#receiving = false
    if (result > 0) {
      this.#received(result, flags)
    } else if (result === -Errno.ENOBUFS) {
      this.#share.exhausted()
    } else if (passingReceiveErrors.has(-result)) {
      this.#settle(undefined, systemError(result, 'recvmsg'))
    } else if (result !== -Errno.ECANCELED) {
      this.destroy(systemError(result, 'recvmsg'))
    }
  }

  /** One receive buffer: a datagram, or several of one sender that the kernel has coalesced. */
  #received(result: number, flags: number): void {
    const { pool, words, bytes } = this.#share
    pool.expect(flags >>> bufferIdShift)
    const run = pool.takeRun(result, 0, 1)
    if (this.#state !== 'open') {
      pool.recycle(run.first, 1)
      this.#share.publish()
      return
    }
    const base = run.offset
    const at = base >> 2
    const nameBytes = Math.min(words[at + ReceivedMessageWord.NameBytes], limits.messageNameBytes)
    const controlBytes = Math.min(words[at + ReceivedMessageWord.ControlBytes], limits.messageControlBytes)
    const nameOffset = base + receivedMessageHeaderBytes
    this.details = undefined
    const segmentBytes
      = controlBytes === 0 ? 0 : this.readControls(words, nameOffset + limits.messageNameBytes, controlBytes)
    if ((words[at + ReceivedMessageWord.Flags] & MessageFlag.Truncated) !== 0) (this.details ??= {}).truncated = true
    const from = this.decodeAddress(bytes, nameOffset, nameBytes)
    const batch = this.#batch
    const before = batch.count
    const end = base + result
    let offset = base + payloadOffsetBytes
    const payload = end - offset
    do {
      const length = segmentBytes === 0 ? end - offset : Math.min(segmentBytes, end - offset)
      batch.add(bytes, offset, length, from, this.details)
      offset += length
    } while (offset < end)
    batch.hold(run.first)
    const messages = batch.count - before
    this.#bytesRead += payload
    this.#messagesRead += messages
    const { metrics } = this.ring
    metrics.receives++
    metrics.receiveBuffers++
    metrics.bytesRead += payload
    metrics.messagesRead += messages
    countBundle(metrics.receiveBundles, messages)
  }

  /** A request has ended: all that it covered was sent, or nothing. */
  requestCompleted(request: MessageRequest, result: number): void {
    const lane = request.lane as Lane
    const { metrics } = this.ring
    const { covered } = request
    const before = request.count
    this.#requestsInFlight--
    if (result >= 0) {
      metrics.sends++
      metrics.sendBuffers += covered
      metrics.bytesWritten += result
      metrics.messagesWritten += covered
      countBundle(metrics.sendBundles, covered)
      this.#bytesWritten += result
      this.#messagesWritten += covered
      this.#takeOff(request, covered, undefined)
    } else if (result !== -Errno.ECANCELED) {
      if (covered > 1 && segmentationErrors.has(-result)) {
        this.#degrade(lane, request.segmentBytes, result)
      } else {
        // As if each had been sent alone: an error of the socket is met, and cleared, by the first.
        metrics.messageErrors++
        this.#takeOff(request, 1, systemError(result, 'send', lane.address, lane.port))
      }
    }
    this.#unsubmitted += covered - (before - request.count)
    if (--lane.inFlight === 0) this.#landed(lane)
    if (!this.scheduled) this.ring.schedule(this)
  }

  #takeOff(request: MessageRequest, count: number, error: Error | undefined): void {
    const settle = error !== undefined || request.hasCallbacks
      ? (callback: WriteCallback | undefined) => this.#settle(callback, error)
      : undefined
    this.#bytesQueued -= request.takeOff(count, settle)
    this.#messagesQueued -= count
  }

  /** Segmentation was refused: nothing of the bundle was sent. What is left goes out one by one. */
  #degrade(lane: Lane, segmentBytes: number, result: number): void {
    const { capabilities, metrics } = this.ring
    metrics.segmentationRefusals++
    if (result !== -Errno.EIO && segmentBytes > segmentBytesOfAnyPath) {
      lane.segmentBytesMax = Math.min(lane.segmentBytesMax, segmentBytes - 1)
      return
    }
    const { code } = systemError(result, 'send')
    const reason = `the kernel refused to segment ${segmentBytes}-byte datagrams (${code})`
    capabilities.segmentedSend = lostCapability(reason)
  }

  /** Nothing of the lane is in the kernel. */
  #landed(lane: Lane): void {
    const { requests } = lane
    let done = 0
    while (done < requests.length && requests[done].count === 0) this.#share.release(requests[done++])
    if (done === requests.length) {
      requests.length = 0
      this.#busy.delete(lane)
    } else {
      requests.splice(0, done)
      this.#activate(lane)
    }
  }

  // ---------------------------------------------------------------- what is asked of the kernel

  advance(): void {
    let told = false
    try {
      this.#tellSettled()
      this.#tellReceived()
      this.#tellDrained()
      told = true
    } finally {
      this.scheduled = false
      this.#steer()
      if (!told && this.#state !== 'closed') this.ring.schedule(this)
    }
  }

  #steer(): void {
    if (this.#state === 'open') this.#steerReceive()
    if (this.#state === 'open' || this.#state === 'ended') this.#submit()
    if (this.#state === 'ended' && this.#messagesQueued === 0) this.#enter('closing')
    if (this.#state === 'closing') this.#steerClose()
  }

  #steerReceive(): void {
    if (this.#paused) {
      if (this.parked) this.#share.unpark(this)
      if (!this.#receiving || this.#cancellingReceive) return
      this.#cancellingReceive = true
      this.ring.submissions.cancelOperation(this.#slot, Operation.Receive)
      return
    }
    if (this.#receiving || this.#cancellingReceive || this.parked) return
    // Armed on an empty pool it would fail at once.
    if (this.#share.pool.available === 0) {
      this.#share.park(this)
      return
    }
    this.#receiving = true
    this.#share.receive(this.#slot, this.fd)
  }

  #submit(): void {
    if (this.#active.length !== 0) {
      const lanes = this.#active
      this.#active = []
      for (const lane of lanes) {
        lane.active = false
        // A lane under way is activated again when it has landed.
        if (lane.inFlight === 0 && !lane.idle) this.#submitLane(lane)
      }
    }
    if (this.#unsubmitted === 0) this.#memory.drop()
  }

  /**
   * Submits what a lane has as one chain: each request starts when the one before it has succeeded. Independent ones
   * would overtake each other when the socket's send buffer is full for a while.
   */
  #submitLane(lane: Lane): void {
    const { submissions } = this.ring
    const { requests } = lane
    let count = Math.min(requests.length, limits.messageChainMax)
    if (count > 1) count = submissions.reserve(count)
    for (let index = 0; index < count; index++) {
      const request = requests[index]
      const segmentsMax = this.#segmentsMax(lane, request.segmentBytes)
      // Nothing may follow a request that is sent in parts.
      if (request.count > segmentsMax) count = index + 1
      request.submit(submissions, this.fd, segmentsMax, index !== count - 1, this.#share.namedSends)
      this.#unsubmitted -= request.covered
    }
    lane.inFlight = count
    this.#requestsInFlight += count
  }

  #steerClose(): void {
    if (this.#closeSubmitted) return
    if (this.parked) this.#share.unpark(this)
    this.#discardReceived()
    if (this.#requestsInFlight === 0 && this.ring.operations.outstanding(this.#slot) === 0) {
      this.#closeSubmitted = true
      this.ring.closeDescriptor(this.#slot, this.fd)
    } else if (!this.#cancelled) {
      this.#cancelled = true
      this.ring.submissions.cancelDescriptor(this.#slot, this.fd)
    }
  }

  /** The ring is closed: nothing is in the kernel any more. Closes the descriptor, and tells the owner. */
  ringClosed(error: Error): void {
    this.#error ??= error
    if (this.#state !== 'closing') this.#enter('closing')
    const { operations } = this.ring
    operations.abandon(this.#slot)
    for (const lane of this.#busy) for (const request of lane.requests) operations.abandon(request.slot)
    this.ring.sockets.close(this.fd)
    this.#finish()
  }

  /** The kernel holds nothing of this socket any more, and the descriptor is closed. */
  #finish(): void {
    this.#enter('closed')
    this.#discardReceived()
    this.#discardQueued()
    this.#memory.drop()
    this.ring.operations.release(this.#slot)
    this.ring.members.delete(this)
    this.ring.metrics.closed++
    this.unref()
    this.onClosed?.()
    try {
      this.#tellSettled()
    } finally {
      this.handler.close?.(this, this.#error)
    }
  }

  #discardReceived(): void {
    this.#batch.clear(this.#share.pool)
    if (!this.ring.closed) this.#share.publish()
  }

  #discardQueued(): void {
    const error = this.#error ?? closedError()
    for (const lane of this.#busy) {
      for (const request of lane.requests) {
        request.takeOff(request.count, (callback) => {
          if (callback !== undefined) this.#settled.push({ callback, error })
        })
        this.#share.release(request)
      }
      lane.requests = []
      lane.inFlight = 0
    }
    this.#busy.clear()
    this.#active = []
    this.#bytesQueued = this.#messagesQueued = this.#unsubmitted = 0
  }

  // ---------------------------------------------------------------- what the owner is told

  #tellSettled(): void {
    while (this.#settled.length !== 0) {
      const settled = this.#settled
      this.#settled = []
      let next = 0
      try {
        while (next < settled.length) {
          const { callback, error } = settled[next++]
          if (callback !== undefined) callback(error)
          else if (error !== undefined && this.#state !== 'closed') this.handler.error?.(this, error)
        }
      } finally {
        if (next < settled.length) this.#settled = [...settled.slice(next), ...this.#settled]
      }
    }
  }

  #tellReceived(): void {
    const batch = this.#batch
    if (batch.count === 0) return
    const handler = this.handler
    try {
      if (handler.messages !== undefined) {
        if (this.#state === 'open' && !this.#paused) this.#tellBatch(handler)
      } else {
        while (this.#state === 'open' && !this.#paused && batch.count !== 0) this.#tellNext()
      }
    } finally {
      if (batch.count === 0) batch.clear(this.#share.pool)
      else batch.detach(this.#share.pool)
      if (!this.ring.closed) this.#share.publish()
    }
  }

  #tellBatch(handler: MessageHandler<MessageTransport<A, To>, A>): void {
    const batch = this.#batch
    try {
      handler.messages?.(this, batch)
    } finally {
      batch.clear(this.#share.pool)
    }
  }

  #tellNext(): void {
    const batch = this.#batch
    const { handler } = this
    if (handler.message === undefined) {
      batch.shift()
      return
    }
    const chunk = batch.chunk(0)
    const from = batch.from(0)
    const details = batch.details(0)
    batch.shift()
    handler.message(this, chunk, from, details)
  }

  #tellDrained(): void {
    if (!this.#needsDrain || this.#state !== 'open') return
    if (this.#bytesQueued > this.writableHighWaterMark * limits.writableLowWaterFraction) return
    if (this.#messagesQueued > limits.messagesHighWaterMark * limits.writableLowWaterFraction) return
    this.#needsDrain = false
    this.handler.drain?.(this)
  }

  #enter(state: TransportState): void {
    assertTransition(this.#state, state)
    this.#state = state
  }
}

function closedError(): SheafError {
  return new SheafError('ERR_SHEAF_CLOSED', 'The socket is closed')
}

function checkCallback(callback: unknown): void {
  if (callback !== undefined && typeof callback !== 'function') {
    throw invalidArgumentType('callback', 'of type function', callback)
  }
}

function checkChunk(chunk: unknown): void {
  if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) {
    throw invalidArgumentType('chunk', 'of type string or an instance of Buffer or Uint8Array', chunk)
  }
}

/** A callback for each of `count` datagrams, which calls `callback` once, with the first error. */
function afterAll(count: number, callback: WriteCallback): WriteCallback {
  let left = count
  let first: Error | undefined
  return (error) => {
    first ??= error
    if (--left === 0) callback(first)
  }
}
