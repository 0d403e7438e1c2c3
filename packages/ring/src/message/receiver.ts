import {
  bufferIdShift, CompletionFlag, Errno, isInterruption, MessageFlag, receivedMessageHeaderBytes, ReceivedMessageWord,
} from '../abi'
import { systemError } from '../errors'
import { limits } from '../limits'
import { countBundle } from '../metrics'
import { Operation } from '../queue/operation-table'
import type { Ring } from '../ring'
import { closeUnclaimed, descriptorsLost } from '../socket/rights'
import type { Address, MessageDetails } from '../transport'
import { ReceivedBatch } from './batch'
import { type MessageShare, type ParkedSocket, passingReceiveErrors } from './share'

/** The socket that a receiver receives for: what it makes of a datagram's address and control messages. */
export interface MessageReceiverOwner<A extends Address> extends ParkedSocket {
  readonly ring: Ring
  readonly fd: number
  /** What arrives is wanted, if not at the moment. */
  readonly receives: boolean
  /** What is known of the datagram being received, besides its bytes and sender. Set by {@link readControls}. */
  details: MessageDetails | undefined
  /** The address in a `sockaddr` of `lengthBytes`. */
  decodeAddress(bytes: Buffer, offset: number, lengthBytes: number): A
  /**
   * Reads the control messages of a datagram into {@link details}. @returns the size of the datagrams that the kernel
   * has coalesced in it, or 0 if it is one.
   */
  readControls(words: Int32Array, offset: number, lengthBytes: number): number
  /**
   * An empty datagram without control messages came. @returns whether it is the peer's end, and not a datagram.
   */
  receivedNothing(): boolean
  /** Receiving failed; it goes on if that `passes`. */
  receiveFailed(error: Error, passes: boolean): void
}

/** What sets an address family's receiving apart. */
export interface MessageReceiverTraits {
  readonly share: MessageShare
  /** Room for the control messages of a received datagram: what does not fit the kernel throws away. */
  readonly controlBytesMax: number
  /** Descriptors are received: that some did not arrive is an error. */
  readonly receivesDescriptors: boolean
}

/** The receiving half of a datagram socket: keeps a multishot receive armed as long as datagrams are wanted. */
export class MessageReceiver<A extends Address> {
  readonly #owner: MessageReceiverOwner<A>
  readonly #share: MessageShare
  readonly #slot: number
  readonly #controlBytesMax: number
  readonly #receivesDescriptors: boolean
  readonly #payloadOffsetBytes: number
  #armed = false
  #cancelling = false
  /** It has found no buffer, and has not waited for one since. */
  #passedOver = false
  /** Received and not handed over. */
  readonly batch = new ReceivedBatch<A>()
  /** Nothing is handed over while set by the owner's user. */
  paused = false
  bytesRead = 0
  messagesRead = 0

  constructor(owner: MessageReceiverOwner<A>, slot: number, traits: MessageReceiverTraits) {
    const { controlBytesMax, receivesDescriptors, share } = traits
    this.#owner = owner
    this.#share = share
    this.#slot = slot
    this.#controlBytesMax = controlBytesMax
    this.#receivesDescriptors = receivesDescriptors
    this.#payloadOffsetBytes = receivedMessageHeaderBytes + limits.messageNameBytes + controlBytesMax
  }

  /** A receive completion. */
  complete(result: number, flags: number): void {
    if ((flags & CompletionFlag.More) === 0) this.#armed = false
    if (result > 0) {
      this.#take(result, flags)
    } else if (result === -Errno.ENOBUFS) {
      this.#passedOver = true
      this.#share.exhausted()
    } else if (!isInterruption(result)) {
      this.#owner.receiveFailed(systemError(result, 'recvmsg'), passingReceiveErrors.has(-result))
    }
  }

  /** A cancel request has ended. */
  cancelled(): void {
    this.#cancelling = false
  }

  /** Arms or cancels the receive, as is called for. @param wanted there may be something to receive. */
  steer(wanted: boolean): void {
    const owner = this.#owner
    if (this.paused || !wanted) {
      this.unpark()
      if (!this.#armed || this.#cancelling) return
      this.#cancelling = true
      owner.ring.submissions.cancelOperation(this.#slot, Operation.Receive)
      return
    }
    if (this.#armed || this.#cancelling || owner.parked) return
    const mayArm = this.#passedOver ? this.#share.grants() : this.#share.pool.available !== 0
    this.#passedOver = false
    if (!mayArm) {
      this.#share.park(owner)
      return
    }
    this.#armed = true
    this.#share.receive(this.#slot, owner.fd, this.#controlBytesMax)
  }

  /** Waits for receive buffers no longer. */
  unpark(): void {
    if (this.#owner.parked) this.#share.unpark(this.#owner)
  }

  /** The batch, or a part of it, has been handed over: the memory of the rest must not be the kernel's. */
  handedOver(): void {
    const { batch } = this
    const { pool } = this.#share
    if (batch.count === 0) batch.clear(pool)
    else batch.detach(pool)
    if (!this.#owner.ring.closed) this.#share.publish()
  }

  /** Forgets what was received and is neither handed over nor being so. */
  discard(): void {
    if (this.batch.telling) return
    this.batch.clear(this.#share.pool)
    if (!this.#owner.ring.closed) this.#share.publish()
  }

  /** Gives back a receive buffer whose datagram nobody gets. */
  #drop(buffer: number): void {
    closeUnclaimed(this.#owner.details)
    this.#share.pool.recycle(buffer, 1)
    this.#share.publish()
  }

  /** One receive buffer: a datagram, or several of one sender that the kernel has coalesced. */
  #take(result: number, flags: number): void {
    const owner = this.#owner
    const { pool, words, bytes } = this.#share
    pool.expect(flags >>> bufferIdShift)
    const run = pool.takeRun(result, 0, 1)
    const base = run.offset
    const at = base >> 2
    const nameBytes = Math.min(words[at + ReceivedMessageWord.NameBytes], limits.messageNameBytes)
    const controlBytes = Math.min(words[at + ReceivedMessageWord.ControlBytes], this.#controlBytesMax)
    const empty = controlBytes === 0 && words[at + ReceivedMessageWord.PayloadBytes] === 0
    const nameOffset = base + receivedMessageHeaderBytes
    owner.details = undefined
    const segmentBytes
      = controlBytes === 0 ? 0 : owner.readControls(words, nameOffset + limits.messageNameBytes, controlBytes)
    const received = words[at + ReceivedMessageWord.Flags]
    const lost = this.#receivesDescriptors && (received & MessageFlag.ControlTruncated) !== 0
    // Also by one that is closing, and throws away what it receives.
    const isEnd = empty && owner.receivedNothing()
    if (!owner.receives || lost || isEnd) {
      this.#drop(run.first)
      if (lost) owner.receiveFailed(descriptorsLost(), true)
      return
    }
    if ((received & MessageFlag.Truncated) !== 0) (owner.details ??= {}).truncated = true
    const from = owner.decodeAddress(bytes, nameOffset, nameBytes)
    const { batch } = this
    const before = batch.count
    const end = base + result
    let offset = base + this.#payloadOffsetBytes
    const payload = end - offset
    do {
      const length = segmentBytes === 0 ? end - offset : Math.min(segmentBytes, end - offset)
      batch.add(bytes, offset, length, from, owner.details)
      offset += length
    } while (offset < end)
    batch.hold(run.first)
    const messages = batch.count - before
    this.bytesRead += payload
    this.messagesRead += messages
    const { metrics } = owner.ring
    metrics.receives++
    metrics.receiveBuffers++
    metrics.bytesRead += payload
    metrics.messagesRead += messages
    countBundle(metrics.receiveBundles, messages)
  }
}
