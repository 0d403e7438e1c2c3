import { Errno, PollEvent } from '../abi'
import { lostCapability } from '../capabilities'
import { systemError, type SystemError } from '../errors'
import { limits } from '../limits'
import type { BlockHolder } from '../memory/send-memory'
import { countBundle } from '../metrics'
import { Operation } from '../queue/operation-table'
import type { Ring } from '../ring'
import type { SentDescriptors } from '../socket/rights'
import type { WriteCallback } from '../transport'
import type { Lane } from './lane'
import type { MessageRequest, RequestOwner } from './request'
import { RoomWait } from '../socket/room-wait'
import type { Scheduled } from '../turn'
import { MessageSendMemory } from './send-blocks'
import type { SettledMessages } from './settled'
import type { MessageShare } from './share'

/** Refusals of segmentation: by the device or an IPsec route (EIO), by the socket or the path (EINVAL, EMSGSIZE). */
const segmentationErrors = new Set<number>([Errno.EINVAL, Errno.EIO, Errno.EMSGSIZE])

/**
 * Every path takes this payload in one packet (RFC 791, 576 bytes less headers): its refusal is not the path's.
 */
const segmentBytesOfAnyPath = 548

/** The destination's queue is full, or the kernel's memory: it is to be tried again. */
const refusals = new Set<number>([Errno.EAGAIN, Errno.ENOBUFS])

/** The socket that a sender sends for. */
export interface MessageSenderOwner extends Scheduled {
  readonly ring: Ring
  readonly fd: number
  /** What is queued is wanted. */
  readonly sends: boolean
  /** Whether datagrams may be bundled. */
  readonly segmentable: boolean
  /** Largest payload that is worth showing to the kernel. */
  readonly messageBytesMax: number
  /** A datagram was not sent, which its callback or the handler is told. */
  sendFailed(error: SystemError): void
  /** A socket that can be written to when the lane's destination has room. @returns its descriptor, or `-errno`. */
  openProbe(lane: Lane): number
}

/**
 * The sending half of a datagram socket: what is sent waits in a {@link Lane} for each destination, in requests that
 * one or several datagrams share.
 */
export class MessageSender implements RequestOwner, BlockHolder {
  readonly #owner: MessageSenderOwner
  readonly #ring: Ring
  readonly #share: MessageShare
  readonly #settled: SettledMessages
  readonly #memory: MessageSendMemory
  /** Blocks of send memory that have bytes of this socket. */
  blocks = 0
  /** Lanes with something to submit, each of which knows the next, and all that have something to send. */
  #firstActive: Lane | undefined
  #lastActive: Lane | undefined
  readonly #busy = new Set<Lane>()
  /** Datagrams that are in no request in the kernel. */
  #unsubmitted = 0
  #requestsInFlight = 0
  /** Lanes that wait for room. */
  readonly #waits = new Set<RoomWait>()
  bytesQueued = 0
  messagesQueued = 0
  bytesWritten = 0
  messagesWritten = 0

  constructor(owner: MessageSenderOwner, share: MessageShare, settled: SettledMessages) {
    this.#owner = owner
    this.#ring = owner.ring
    this.#share = share
    this.#settled = settled
    this.#memory = new MessageSendMemory(share.sendMemory, this)
  }

  /** Of this socket's in the kernel: requests, and waits for room. */
  get inFlight(): number {
    return this.#requestsInFlight + this.#waits.size
  }

  /** The hot path of sending: nothing is allocated, unless a string or a callback is given. */
  queue(
    lane: Lane,
    chunk: Uint8Array | string,
    callback: WriteCallback | undefined,
    descriptors?: SentDescriptors,
  ): void {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    const length = bytes.byteLength
    if (length > this.#owner.messageBytesMax) {
      descriptors?.close()
      this.#fail(lane, callback, -Errno.EMSGSIZE)
      return
    }
    const full = this.bytesQueued + length > limits.messageQueueBytesMax
    const request = full || !this.#memory.ensure(length) ? undefined : this.#requestFor(lane, length, descriptors)
    if (request === undefined) {
      descriptors?.close()
      this.#fail(lane, callback, -Errno.ENOBUFS)
      return
    }
    request.addDatagram(length, callback)
    this.#memory.write(request, bytes)
    this.bytesQueued += length
    this.messagesQueued++
    this.#unsubmitted++
    this.#activate(lane)
    if (!this.#owner.scheduled) this.#ring.turn.schedule(this.#owner)
  }

  #requestFor(lane: Lane, lengthBytes: number, descriptors: SentDescriptors | undefined): MessageRequest | undefined {
    const open = descriptors === undefined ? lane.open : undefined
    if (open?.takes(lengthBytes, this.#segmentsMax(lane, lengthBytes)) === true) return open
    const request = this.#share.acquire(this, lane)
    if (request === undefined) return undefined
    if (descriptors !== undefined) {
      const block = this.#share.sendMemory.acquire(this, true)
      if (block === undefined) {
        this.#share.release(request)
        return undefined
      }
      request.attach(descriptors, block)
    }
    if (lane.idle) this.#busy.add(lane)
    lane.push(request)
    return request
  }

  /** How many datagrams of one size may share a request. */
  #segmentsMax(lane: Lane, segmentBytes: number): number {
    if (lane.refusable) return limits.burstMessagesMax
    if (!this.#owner.segmentable || !this.#ring.capabilities.segmentedSend.enabled) return 1
    return segmentBytes > lane.segmentBytesMax ? 1 : limits.segmentsMax
  }

  #activate(lane: Lane): void {
    if (lane.active) return
    lane.active = true
    if (this.#lastActive === undefined) this.#firstActive = lane
    else this.#lastActive.nextActive = lane
    this.#lastActive = lane
  }

  /** A datagram that was never queued. */
  #fail(lane: Lane, callback: WriteCallback | undefined, errno: number): void {
    this.#ring.metrics.messageErrors++
    this.#settle(callback, systemError(errno, 'send', lane.address, lane.port))
  }

  #settle(callback: WriteCallback | undefined, error: Error | undefined): void {
    if (callback === undefined && error === undefined) return
    this.#settled.add(callback, error)
    if (!this.#owner.scheduled) this.#ring.turn.schedule(this.#owner)
  }

  /** A request has ended: all that it covered was sent, or nothing. */
  requestCompleted(request: MessageRequest, result: number): void {
    const lane = request.lane as Lane
    const { metrics } = this.#ring
    const { covered } = request
    const before = request.count
    this.#requestsInFlight--
    if (result >= 0) {
      metrics.sends++
      metrics.sendBuffers += covered
      metrics.bytesWritten += result
      metrics.messagesWritten += covered
      countBundle(metrics.sendBundles, covered)
      this.bytesWritten += result
      this.messagesWritten += covered
      this.#takeOff(request, covered, undefined)
    } else if (result !== -Errno.ECANCELED && result !== -Errno.EINTR) {
      // As if each had been sent alone: an error of the socket is met, and cleared, by the first.
      if (covered > 1 && segmentationErrors.has(-result)) this.#degrade(lane, request.segmentBytes, result)
      else this.#failFirst(request, result)
    }
    this.#unsubmitted += covered - (before - request.count)
    if (--lane.inFlight === 0) this.#landed(lane)
    if (!this.#owner.scheduled) this.#ring.turn.schedule(this.#owner)
  }

  #failFirst(request: MessageRequest, result: number): void {
    const { address, port } = request.lane as Lane
    const error = systemError(result, 'send', address, port)
    this.#ring.metrics.messageErrors++
    this.#takeOff(request, 1, error)
    this.#owner.sendFailed(error)
  }

  #takeOff(request: MessageRequest, count: number, error: Error | undefined): void {
    const settle = error !== undefined || request.hasCallbacks
      ? (callback: WriteCallback | undefined) => this.#settle(callback, error)
      : undefined
    this.bytesQueued -= request.takeOff(count, settle)
    this.messagesQueued -= count
  }

  /** Segmentation was refused: nothing of the bundle was sent. What is left goes out one by one. */
  #degrade(lane: Lane, segmentBytes: number, result: number): void {
    const { capabilities, metrics } = this.#ring
    metrics.segmentationRefusals++
    if (result === -Errno.EMSGSIZE || (result === -Errno.EINVAL && segmentBytes > segmentBytesOfAnyPath)) {
      lane.segmentBytesMax = Math.min(lane.segmentBytesMax, segmentBytes - 1)
      return
    }
    const { code } = systemError(result, 'send')
    const reason = `the kernel refused to segment ${segmentBytes}-byte datagrams (${code})`
    capabilities.segmentedSend = lostCapability(reason)
  }

  /** Gives back the requests of which nothing is left. */
  #releaseDone(lane: Lane): void {
    for (let request = lane.first; request?.count === 0; request = lane.first) {
      lane.shift()
      this.#share.release(request)
    }
  }

  /** Nothing of the lane is in the kernel. */
  #landed(lane: Lane): void {
    this.#releaseDone(lane)
    if (lane.idle) this.#busy.delete(lane)
    else if (lane.refusal !== 0) this.#awaitRoom(lane)
    else this.#activate(lane)
  }

  #awaitRoom(lane: Lane): void {
    const connected = lane.name.byteLength === 0
    let fd = lane.refusal
    if (lane.refusal === -Errno.EAGAIN) {
      if (connected) fd = this.#ring.sockets.watchRoom(this.#owner.fd)
      // A probe does not tell that this socket's own send buffer is full of what others have not read. To wait for that
      // would hold this lane up until they do; so every second time a while has to do.
      else if (!lane.probed) fd = this.#owner.openProbe(lane)
      lane.probed = !lane.probed
    }
    const event = connected ? PollEvent.Readable : PollEvent.Writable
    const wait: RoomWait = new RoomWait(this.#ring, fd, event, () => {
      this.#waits.delete(wait)
      lane.refusal = 0
      this.#activate(lane)
      this.#ring.turn.schedule(this.#owner)
    })
    this.#waits.add(wait)
  }

  /** Submits what waits in lanes of which nothing is in the kernel. Called once a turn. */
  submit(): void {
    let lane = this.#firstActive
    this.#firstActive = this.#lastActive = undefined
    while (lane !== undefined) {
      const next: Lane | undefined = lane.nextActive
      lane.nextActive = undefined
      lane.active = false
      // A lane under way is activated again when it has landed.
      if (lane.inFlight === 0 && !lane.idle && lane.refusal === 0) {
        if (lane.refusable) this.#sendLane(lane)
        else this.#submitLane(lane)
      }
      lane = next
    }
    if (this.#unsubmitted === 0) this.#memory.drop()
  }

  /**
   * Submits what a lane has as one chain: each request starts when the one before it has succeeded. Independent ones
   * would overtake each other when the socket's send buffer is full for a while.
   */
  #submitLane(lane: Lane): void {
    const { submissions } = this.#ring
    let count = Math.min(lane.count, limits.messageChainMax)
    if (count > 1) count = submissions.reserve(count)
    let request = lane.first
    for (let index = 0; index < count && request !== undefined; index++, request = request.next) {
      const segmentsMax = this.#segmentsMax(lane, request.segmentBytes)
      // Nothing may follow a request that is sent in parts.
      if (request.count > segmentsMax) count = index + 1
      request.submit(submissions, this.#owner.fd, segmentsMax, index !== count - 1, this.#share.namedSends)
      this.#unsubmitted -= request.covered
    }
    lane.inFlight = count
    this.#requestsInFlight += count
  }

  /**
   * Sends what a lane has, as far as its destination has room. The kernel takes a burst in one call, in order, and none
   * behind one that it refuses: a chain of requests does that too, at twice the cost.
   */
  #sendLane(lane: Lane): void {
    const { burst } = this.#share
    const { fd, ring } = this.#owner
    let cut = false
    for (let bursts = 0; bursts < limits.burstsPerTurn && !lane.idle && this.#owner.sends; bursts++) {
      burst.clear()
      for (let request = lane.first; request?.addTo(burst) === true; request = request.next);
      const result = burst.send(ring.sockets, fd)
      if (result >= 0) {
        this.#sent(lane, result)
        cut = result < burst.count
      } else if (refusals.has(-result)) {
        lane.refusal = result
        break
      } else {
        // A peer that has closed is told by the first message after that, and the call that this ended did not say so.
        const disconnected = cut && result === -Errno.ENOTCONN
        this.#unsubmitted--
        this.#failFirst(lane.first as MessageRequest, disconnected ? -Errno.ECONNREFUSED : result)
        this.#releaseDone(lane)
        cut = false
      }
    }
    this.#landed(lane)
    if (lane.active) this.#ring.turn.schedule(this.#owner)
  }

  /** The kernel has taken the first `count` messages of a lane. */
  #sent(lane: Lane, count: number): void {
    const { metrics } = this.#ring
    metrics.sends += count
    metrics.sendBuffers += count
    metrics.messagesWritten += count
    metrics.sendBundles[0] += count
    this.messagesWritten += count
    this.#unsubmitted -= count
    lane.probed = false
    const before = this.bytesQueued
    for (let left = count; left > 0;) {
      const request = lane.first as MessageRequest
      const taken = Math.min(left, request.count)
      this.#takeOff(request, taken, undefined)
      left -= taken
      this.#releaseDone(lane)
    }
    const bytes = before - this.bytesQueued
    metrics.bytesWritten += bytes
    this.bytesWritten += bytes
  }

  /**
   * Takes back what the kernel has of a lane and can't send yet; it stays queued. A chain ends with the request that is
   * under way. @returns whether the kernel has nothing of the lane any more.
   */
  recall(lane: Lane, slot: number): boolean {
    for (let round = 0; lane.inFlight !== 0 && round < limits.recallRounds; round++) {
      let request = lane.first
      while (request?.count === 0) request = request.next
      if (request === undefined) break
      this.#ring.submissions.cancelOperation(slot, Operation.Send, Operation.Recall, request.slot)
      this.#ring.reap()
    }
    return lane.inFlight === 0
  }

  /** Waits for room no longer. */
  cancelWaits(): void {
    for (const wait of this.#waits) wait.cancel()
  }

  /** The ring is closed: no request will complete. */
  abandon(): void {
    const { operations } = this.#ring
    for (const wait of this.#waits) wait.abandon()
    this.#waits.clear()
    for (const lane of this.#busy) {
      for (let request = lane.first; request !== undefined; request = request.next) operations.abandon(request.slot)
    }
  }

  /** Forgets what was not sent, and tells its callbacks what `failed` makes. No request may be in the kernel. */
  discard(failed: () => Error): void {
    let error: Error | undefined
    for (const lane of this.#busy) {
      for (let request = lane.shift(); request !== undefined; request = lane.shift()) {
        request.takeOff(request.count, (callback) => {
          if (callback !== undefined) this.#settled.add(callback, error ??= failed())
        })
        this.#share.release(request)
      }
      lane.inFlight = 0
    }
    this.#busy.clear()
    this.#firstActive = this.#lastActive = undefined
    this.bytesQueued = this.messagesQueued = this.#unsubmitted = 0
    this.#memory.drop()
  }
}
