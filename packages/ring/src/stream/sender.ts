import { Errno, MessageFlag, PollEvent, shutdownWrite } from '../abi'
import { systemError } from '../errors'
import { limits } from '../limits'
import { Operation } from '../queue/operation-table'
import type { Ring } from '../ring'
import type { SentDescriptors } from '../socket/rights'
import { RoomWait } from '../socket/room-wait'
import type { TransportState, WriteCallback } from '../transport'
import type { Scheduled } from '../turn'
import type { ForwardingSource } from './forwarding'
import { SendQueue } from './send-queue'
import { WriteCallbacks } from './write-callbacks'

/** What fits the send memory of one connection. */
const sendWindowBytes = limits.sendWindowBlocks * limits.sendBlockBytes

/** One of several chunks, as streams hand them over. */
export interface Write {
  readonly chunk: Uint8Array | string
  /** Of a string; `buffer` means that it is none. */
  readonly encoding: BufferEncoding | 'buffer'
}

/** The connection that a sender sends for. */
export interface SenderOwner extends Scheduled {
  readonly ring: Ring
  readonly fd: number
  readonly state: TransportState
  /** It may send and receive. */
  readonly active: boolean
  readonly writableHighWaterMark: number
  /** See {@link StreamConnection.serveSocket}. */
  readonly underSocket: boolean
  /** A receive is in the kernel. */
  readonly receives: boolean
  /** What has come is being received, by that or without. */
  readonly reads: boolean
  /** Closing it is what sends the FIN: the peer has finished, and its owner knows. */
  readonly closesWhenFinished: boolean
  /** See {@link StreamConnection.schedule}. */
  schedule(more?: boolean): void
  call(callback: WriteCallback, error?: Error): void
  /** Tells that it may be written to again. */
  drained(): void
  destroy(error: Error): void
  reset(error: Error): void
}

/**
 * The sending half of a connection: has what is written sent and the FIN behind it, and tells the writers when the
 * kernel has taken it and when there is room for more.
 */
export class Sender {
  readonly queue: SendQueue
  readonly #slot: number
  readonly #owner: SenderOwner
  readonly #ring: Ring
  /** The FIN has been sent. */
  finished = false
  /** `-errno` of a send that has failed, of which the receive may be about to say more. */
  failure = 0
  /**
   * What waited in the kernel for room has come back short: the connection may have failed. The kernel tells of that
   * once, and has told this request, which answers with what it had sent; whoever receives is told an end.
   */
  #cutShort = false
  /** What is in flight may end as cancelled, to be sent in another way; and the kernel still looks for it. */
  #recalling = false
  #recallPending = false
  /** There was no room, and there may be some when this is over. */
  #roomWait: RoomWait | undefined
  /** The turn in which the writer was told last that there is room. */
  #drainedIn = -1
  /** It was met, or is being met, by the very write that is made: it is the error of that. */
  #metByWrite = false
  #needsDrain = false
  /** Bytes accepted when a listener had answered; 0 when the ticks after it are over. */
  #answeredBytes = 0
  /** Those wrote on. */
  #answersInTicks = false
  #callbacks: WriteCallbacks | undefined
  /** Forwardings that end in the connection. */
  #sources: ForwardingSource[] | undefined

  constructor(owner: SenderOwner, slot: number) {
    this.#slot = slot
    this.#owner = owner
    this.#ring = owner.ring
    this.queue = new SendQueue(owner.ring, slot, owner.fd)
  }

  // ---------------------------------------------------------------- what the connection asks for

  /** @returns whether there is room for more: if not, the owner is told when there is. */
  write(chunk: Uint8Array | string, encoding: BufferEncoding, callback: WriteCallback | undefined): boolean {
    if (typeof chunk === 'string') this.queue.writeString(chunk, encoding)
    else this.queue.write(chunk)
    return this.#written(callback)
  }

  /** Small chunks leave along with the large ones between them. */
  writeAll(writes: readonly Write[]): boolean {
    const { queue } = this
    for (const { chunk, encoding } of writes) {
      if (queue.queuedBytes >= sendWindowBytes && !this.#sendNow() && !this.#owner.active) return false
      if (typeof chunk !== 'string') queue.write(chunk)
      // A response of HTTP ends with an empty one, whose callback says that it is finished.
      else if (chunk !== '') queue.writeString(chunk, encoding as BufferEncoding)
    }
    return this.#written(undefined)
  }

  /** @param chunk is the queue's own from now on. */
  writeWithDescriptors(chunk: Uint8Array, descriptors: SentDescriptors, callback: WriteCallback | undefined): boolean {
    this.queue.writeWithDescriptors(chunk, descriptors)
    return this.#written(callback)
  }

  /** See {@link StreamConnection.writeOwn}. */
  writeOwn(chunks: readonly Uint8Array[], more: boolean): boolean {
    for (const chunk of chunks) this.queue.write(chunk)
    if (this.queue.waiting) this.steer()
    if (more || !this.#owner.scheduled) this.#owner.schedule(more)
    if (this.#owner.active && this.#hasRoom) return true
    this.#needsDrain = true
    return false
  }

  /** Calls back when the FIN has been sent. */
  addEnd(callback: WriteCallback): void {
    if (this.finished) process.nextTick(callback)
    else (this.#callbacks ??= new WriteCallbacks()).addEnd(callback)
  }

  addSource(source: ForwardingSource): void {
    (this.#sources ??= []).push(source)
  }

  /** More is to be sent than has been: what is queued, or what a forwarding has not brought yet. */
  get unfinished(): boolean {
    return this.queue.queuedBytes !== 0 || (this.#sources !== undefined && this.#sources.length !== 0)
  }

  forgetSource(source: ForwardingSource): void {
    this.#sources = this.#sources?.filter((other) => other !== source)
  }

  #written(callback: WriteCallback | undefined): boolean {
    if (callback !== undefined) (this.#callbacks ??= new WriteCallbacks()).add(this.queue.acceptedBytes, callback)
    if (!this.#owner.scheduled) this.#owner.schedule()
    if (this.#hasRoom || (this.#owner.underSocket && this.#sendNow())) return true
    if (!this.#needsDrain) this.#ring.metrics.backPressure++
    this.#needsDrain = true
    return false
  }

  /** More may be written. A socket takes that for leave to change what it wrote from. */
  get #hasRoom(): boolean {
    const { queue } = this
    return queue.queuedBytes < this.#owner.writableHighWaterMark && !(this.#owner.underSocket && queue.waiting)
  }

  /**
   * Has the kernel take what has been written at once, as far as it has room: what a program wrote before it destroys
   * a `net.Socket` has left. Nobody is told of anything in it. But who writes on as there is room again lets others go
   * first when enough has been sent in this turn. @returns whether there is room for more.
   */
  #sendNow(): boolean {
    const { metrics, turn } = this.#ring
    const writesOn = this.#drainedIn === metrics.turns
    if (writesOn && turn.sentEnough) return false
    this.#metByWrite = true
    if (writesOn) this.steer()
    else turn.sendAll(() => { this.steer() })
    if (this.queue.inFlight) this.#ring.reap()
    this.#metByWrite = this.failure !== 0
    return this.#owner.active && this.#hasRoom
  }

  /** The system call that a failure of the connection is told as. */
  get failedCall(): 'read' | 'write' {
    return this.#metByWrite ? 'write' : 'read'
  }

  /**
   * Sends what a listener has answered before the ticks after it, unless those after its last answer wrote on: answers
   * to requests that came together leave together.
   */
  sendFirst(): void {
    const { queue } = this
    if (queue.queuedBytes === 0 || queue.inFlight) return
    this.#answeredBytes = queue.acceptedBytes
    if (this.#answersInTicks) return
    this.steer()
    this.#ring.submit()
  }

  // ---------------------------------------------------------------- what is asked of the kernel

  /** Sends what there is, and when that was the last of it the FIN. */
  steer(): void {
    if (this.finished || this.failure !== 0 || this.#roomWait !== undefined) return
    const { queue } = this
    // That the peer has ended is known only of what receives.
    queue.waits = this.#owner.receives ? 0 : MessageFlag.DontWait
    if (queue.flightWaits && queue.waits !== 0) this.#recall()
    try {
      const { sentBytes } = queue
      const waits = !queue.submit()
      if (queue.failure !== 0) {
        this.#owner.destroy(systemError(queue.failure, 'write'))
        return
      }
      if (waits && queue.awaitsTurn) this.#ring.turn.scheduleNext(this.#owner)
      else if (waits) this.#waitForRoom()
      // In place, of which no completion tells: the owner hears of it before anything comes of it.
      if (queue.sentBytes !== sentBytes) {
        this.#ring.turn.schedule(this.#owner)
        return
      }
    } catch (error) {
      // Bytes of the stream are missing: the peer must not take what it has got for the whole.
      this.#owner.reset(error as Error)
      return
    }
    if (this.#owner.state !== 'open' && queue.queuedBytes === 0 && !queue.inFlight) this.#finish()
  }

  /** The kernel has no room for what is next, which is not in it. */
  get waitsForRoom(): boolean {
    return this.#roomWait !== undefined
  }

  #recall(): void {
    if (this.#recallPending) return
    this.#recalling = this.#recallPending = true
    this.#ring.submissions.cancelOperation(this.#slot, Operation.Send, Operation.Recall)
  }

  /**
   * The cancellation has completed, perhaps before what it has cancelled. Or it has missed that, as the kernel was
   * about to try it again: then it is made again.
   */
  recalled(): void {
    this.#recallPending = false
    this.#settleRecall()
    if (this.#recalling) this.#ring.turn.schedule(this.#owner)
  }

  #settleRecall(): void {
    if (!this.#recallPending && !this.queue.inFlight) this.#recalling = false
  }

  #waitForRoom(): void {
    const watch = this.#ring.sockets.watchRoom(this.#owner.fd)
    this.#roomWait = new RoomWait(this.#ring, watch, PollEvent.Readable, () => {
      this.#roomWait = undefined
      if (this.#owner.active) this.#ring.turn.schedule(this.#owner)
    })
  }

  /** Waits for room no longer. */
  stopWaiting(): void {
    this.#roomWait?.cancel()
  }

  /** As {@link stopWaiting}, when the ring is closed. */
  abandon(): void {
    this.#roomWait?.abandon()
  }

  #finish(): void {
    this.finished = true
    if (this.#owner.closesWhenFinished) return
    // By a system call: io_uring would hand it to a thread of the kernel's, which takes longer than doing it. A peer
    // that is gone already (ENOTCONN) needs no FIN; receiving tells what became of it.
    this.#ring.sockets.shutdown(this.#owner.fd, shutdownWrite)
    this.#ring.turn.schedule(this.#owner)
  }

  // ---------------------------------------------------------------- what the kernel says

  /** A send completion. @returns false if what was to be sent can't be. */
  complete(result: number, flags: number): boolean {
    const { queue } = this
    const failed = result < 0 && !this.#isToSendAgain(result)
    try {
      if (result >= 0) this.#cutShort = queue.complete(result, flags)
      else if (failed) this.#fail(result, queue.completeEmpty(flags, false))
      else this.#completeEmpty(result, flags)
    } catch (error) {
      // The kernel refuses to have the group again.
      this.#owner.reset(error as Error)
    }
    if (!failed) this.#settleRecall()
    return !failed
  }

  #completeEmpty(result: number, flags: number): void {
    this.queue.completeEmpty(flags, true)
    if (result !== -Errno.EAGAIN) return
    this.#cutShort = false
    if (this.#owner.active && this.#roomWait === undefined) this.#waitForRoom()
  }

  /**
   * Nothing has failed. A thread of the kernel's that waits is interrupted whenever the process is: when it is stopped
   * and goes on, is frozen, or is looked at by a debugger.
   */
  #isToSendAgain(result: number): boolean {
    return result === -Errno.EAGAIN || result === -Errno.EINTR || (result === -Errno.ECANCELED && this.#recalling)
  }

  /** @param queued whether what was to be sent still is. */
  #fail(result: number, queued: boolean): void {
    if (result === -Errno.ENOBUFS || result === -Errno.ECANCELED) {
      // Of a plain send it says that the system is out of memory: the peer must not take a part for the whole.
      if (!queued) this.#owner.reset(systemError(result, 'write'))
      return
    }
    // libuv reads first when it polls, and what a socket is told is what that says. The kernel tells of a reset once,
    // to whoever asks first; and where it has broken a pipe, whoever receives may be told of a reset, in the same turn.
    const { failedCall } = this
    const readFirst = this.#owner.reads
    const { underSocket } = this.#owner
    const isReset = result === -Errno.ECONNRESET
    if (readFirst && (result === -Errno.EPIPE || (isReset && !underSocket))) this.failure = result
    else this.#owner.reset(this.failureError(result, readFirst && isReset ? failedCall : 'write'))
  }

  /** The kernel has told a send of an error, or may have, and of that what receives is told an end. */
  get hasHeardOfError(): boolean {
    return this.#cutShort || (this.failure !== 0 && !this.#owner.underSocket)
  }

  /** What the owner is told of `-errno`. After what was cut short a broken pipe is what is left of another error. */
  failureError(result: number, call: string): Error {
    const isReset = result === -Errno.EPIPE && this.#cutShort
    return isReset ? systemError(-Errno.ECONNRESET, 'read') : systemError(result, call)
  }

  // ---------------------------------------------------------------- what the writers are told

  /** Calls back for what the kernel has taken, and lets writers go on. */
  tell(): void {
    const { queue } = this
    if (this.#answeredBytes !== 0) {
      this.#answersInTicks = queue.acceptedBytes !== this.#answeredBytes
      this.#answeredBytes = 0
    }
    const callbacks = this.#callbacks
    if (callbacks !== undefined) {
      let callback: WriteCallback | undefined
      while ((callback = callbacks.takeUpTo(queue.sentBytes)) !== undefined) this.#owner.call(callback)
      while (this.finished && (callback = callbacks.takeEnd()) !== undefined) this.#owner.call(callback)
    }
    if (!this.#owner.active) return
    const lowWaterMark = this.#owner.writableHighWaterMark * limits.writableLowWaterFraction
    if (queue.waiting || queue.queuedBytes > lowWaterMark) return
    if (this.#sources !== undefined) for (const source of this.#sources) source.targetDrained()
    if (!this.#needsDrain) return
    this.#needsDrain = false
    this.#drainedIn = this.#ring.metrics.turns
    this.#owner.drained()
  }

  /** The connection is closed, as the forwardings that end in it are told. */
  tellSources(error: Error | undefined): void {
    if (this.#sources !== undefined) for (const source of this.#sources) source.targetClosed(error)
  }

  /**
   * Calls back for every write and end that is still open when the connection is closed, with what `failed` makes where
   * nothing has come of it. @returns what they threw.
   */
  settle(failed: () => Error): unknown[] {
    const call = (callback: WriteCallback, error?: Error): void => this.#owner.call(callback, error)
    return this.#callbacks?.settle(call, this.queue.sentBytes, this.finished, failed) ?? []
  }
}
