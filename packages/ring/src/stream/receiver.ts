import { bufferIdShift, CompletionFlag, Errno, isInterruption } from '../abi'
import { systemError } from '../errors'
import { limits } from '../limits'
import { Slab, streamSlabs } from '../memory/slab'
import { countBundle } from '../metrics'
import { libuvIsAtLeast } from '../node-version'
import { Operation } from '../queue/operation-table'
import type { Ring } from '../ring'
import { closeUnclaimed } from '../socket/rights'
import type { DirectReader } from './direct-receives'
import type { Chunk, ReceivedDetails, TransportState } from '../transport'
import type { Scheduled } from '../turn'
import type { PoolForwarding } from './pool-forwarding'

/** The connection that a receiver receives for. */
export interface ReceiverOwner extends Scheduled {
  readonly ring: Ring
  readonly fd: number
  readonly state: TransportState
  /** It may send and receive. */
  readonly active: boolean
  /** See {@link StreamConnection.serveSocket}. */
  readonly underSocket: boolean
  /** On the ring's list of those that wait for receive buffers. */
  parked: boolean
  readonly starving: boolean
  /** Hands out a chunk that is nobody else's. */
  received(chunk: Chunk, details?: ReceivedDetails): void
  /** Hands out what {@link Receiver.takeKept} has. */
  tellKept(): void
  destroy(error?: Error): void
}

/**
 * Before 1.52, libuv read less than it had room for, had been told by the same poll that the peer was gone, and did not
 * read again: a socket saw the end, and never the reset.
 */
const libuvTakesResetsForEnds = !libuvIsAtLeast(1, 52)

interface Kept {
  readonly chunk: Chunk
  readonly details: ReceivedDetails | undefined
}

/**
 * The receiving half of a connection: keeps one multishot receive armed as long as data is wanted, takes what arrives
 * out of the pool, and keeps what arrives all the same.
 */
export class Receiver implements DirectReader {
  protected readonly owner: ReceiverOwner
  protected readonly ring: Ring
  protected readonly slot: number
  protected readonly slab = new Slab(streamSlabs)
  #armed = false
  #cancelling = false
  /** Since it was armed last it has found no buffer, or has waited for one. */
  #passedOver = false
  /** The turn, by number, in which something was received last. */
  #receivedIn = -1
  #heldBack = false
  /** Those of the completions that the one which is being taken goes on. */
  #joinedBuffers = 0
  #direct = false
  /** What arrived while paused. */
  #kept: Kept[] | undefined
  /** Where receives miss resets: whether the kernel is to tell of one, and whether it has. */
  #hangUp: 'unknown' | 'awaited' | 'seen' = 'unknown'
  /** The peer's FIN has come. It is told after everything that was kept. */
  #ended = false
  /** `-errno` that receiving has ended with: told after everything that was kept, too. */
  #failure = 0
  /** Nothing is handed out while set by the owner's user. */
  paused = false
  /** Where what is in the pool goes, instead of to the owner. */
  forwarding: PoolForwarding | undefined
  bytesRead = 0

  constructor(owner: ReceiverOwner, slot: number) {
    this.owner = owner
    this.ring = owner.ring
    this.slot = slot
  }

  /** The peer has finished and everything before has been handed out, so this may be told. */
  get endReached(): boolean {
    return this.#ended && this.#kept === undefined && !this.paused
  }

  /** `-errno` of a failure of receiving that may be told, or 0. */
  get failureReached(): number {
    return this.#kept === undefined && !this.paused ? this.#failure : 0
  }

  /** More may come. */
  get receiving(): boolean {
    return !this.paused && !this.#ended
  }

  get ended(): boolean {
    return this.#ended
  }

  /** The kernel may hand over something. */
  get armed(): boolean {
    return this.#armed
  }

  get awaitsHangUp(): boolean {
    return this.#hangUp === 'awaited'
  }

  /** It is among {@link DirectReceives}, and not armed meanwhile. */
  get direct(): boolean {
    return this.#direct
  }

  /** Something arrived that has not been handed out. */
  get keeps(): boolean {
    return this.#kept !== undefined
  }

  /** Keeps the peer's bytes in the kernel, or no longer. */
  holdBack(held: boolean): void {
    if (this.#heldBack === held) return
    this.#heldBack = held
    if (this.owner.state !== 'closed') this.ring.turn.schedule(this.owner)
  }

  /** Takes the next chunk that was kept and may be handed out now. */
  takeKept(): Kept | undefined {
    if (this.#kept === undefined || this.paused) return undefined
    const kept = this.#kept.shift() as Kept
    if (this.#kept.length === 0) this.#kept = undefined
    this.bytesRead += kept.chunk.byteLength
    return kept
  }

  /** Forgets what was kept. Nothing more is received. */
  discard(): void {
    this.slab.forget()
    if (this.#kept !== undefined) for (const { details } of this.#kept) closeUnclaimed(details)
    this.#kept = undefined
  }

  /** A receive completion. @returns 0, or `-errno` if the connection has failed. */
  complete(result: number, flags: number): number {
    const { pool } = this.ring
    const ended = (flags & CompletionFlag.More) === 0
    if (ended) this.#armed = false
    if (ended || this.#hangUp === 'seen') this.ring.turn.schedule(this.owner)
    if (result > 0) {
      this.take(result, flags)
    } else if (result === 0) {
      if ((flags & CompletionFlag.Buffer) !== 0) pool.reconcile(flags >>> bufferIdShift)
      this.end()
    } else if (result === -Errno.ENOBUFS) {
      this.exhausted()
    } else if (result === -Errno.ECONNRESET && this.#resetIsEnd) {
      this.end()
    } else if (!isInterruption(result)) {
      if (this.#kept === undefined) return result
      this.#failure = result
    }
    return 0
  }

  /** A reset that comes together with data is told as libuv does it. */
  get #resetIsEnd(): boolean {
    return libuvTakesResetsForEnds && this.owner.underSocket && this.#receivedIn === this.ring.metrics.turns
  }

  /** A cancel request has ended. */
  cancelled(): void {
    this.#cancelling = false
    this.ring.turn.schedule(this.owner)
  }

  /** The kernel tells of a reset, or that both directions are shut. */
  hungUp(): void {
    this.#hangUp = 'seen'
    this.ring.turn.schedule(this.owner)
  }

  /** Arms or cancels the receive, as is called for. */
  steer(): void {
    const wanted = this.#wanted
    if (this.#armed) {
      // A receive that may have missed the reset is armed anew: it ends at once when there is nothing left but that.
      if ((wanted && this.#hangUp !== 'seen') || this.#cancelling) return
      this.#cancelling = true
      this.ring.submissions.cancelOperation(this.slot, Operation.Receive)
    } else if (wanted) {
      if (!this.#cancelling && !this.owner.parked && !this.#direct) this.#arm()
    } else {
      this.unpark()
    }
  }

  get #wanted(): boolean {
    return !this.paused && !this.#heldBack && !this.#ended && this.#failure === 0
  }

  /** Waits for receive buffers no longer. */
  unpark(): void {
    if (this.owner.parked) this.ring.waiters.unpark(this.owner)
  }

  #arm(): void {
    const { ring } = this
    if (!this.mayArm()) {
      this.park()
      return
    }
    if (this.#hangUp === 'unknown' && this.missesResets) {
      this.#hangUp = 'awaited'
      ring.submissions.hangUp(this.slot, this.owner.fd)
    }
    this.#armed = true
    this.arm()
  }

  /**
   * There are buffers for it, or it needs none. What is forwarded does: it leaves the reserve to others, unless nothing
   * else has been there for a while and it holds none; then it is copied. And whoever has had buffers comes after those
   * who found none: it may take all there are, again and again.
   */
  protected mayArm(): boolean {
    if (this.forwarding === undefined) return true
    const { pool, waiters } = this.ring
    if (waiters.reserveOpen && this.owner.starving) return true
    if (waiters.passedOver && !this.#passedOver) return false
    return pool.available > pool.reserve
  }

  protected park(): void {
    this.#passedOver = true
    this.ring.waiters.park(this.owner)
  }

  protected get missesResets(): boolean {
    return this.ring.receiveMissesResets
  }

  protected arm(): void {
    this.#passedOver = false
    this.ring.receive(this.slot, this.owner.fd)
  }

  protected exhausted(): void {
    const { pool, waiters } = this.ring
    pool.exhausted()
    if (this.forwarding === undefined) {
      waiters.missed = true
      this.#becomeDirect()
    } else if (waiters.reserveOpen) {
      this.#becomeDirect()
    } else {
      this.#passedOver = waiters.passedOver = true
    }
  }

  #becomeDirect(): void {
    if (this.#direct) return
    this.#direct = true
    this.ring.directReceives.add(this)
  }

  /**
   * Receives by a system call, if what the ring has received before has been told; if not, the ring goes on with it.
   * @returns whether it is to be asked again.
   */
  receiveDirectly(): boolean {
    // What is left of the event before this may pause or close it.
    this.ring.turn.endEvent()
    if (!this.#direct) return false
    const isNext = this.owner.active && this.#kept === undefined
    const needsPool = this.forwarding !== undefined && !this.ring.waiters.reserveOpen
    if (isNext && !needsPool && this.#wanted) return this.#receiveChunk()
    this.#endDirect()
    return false
  }

  /** @returns whether there may be more. */
  #receiveChunk(): boolean {
    const { directReceives, metrics } = this.ring
    const received = directReceives.receive(this.owner.fd, this.slab)
    if (received === 0 && this.ring.mayTellOfReset) {
      this.ring.turn.afterwards(() => directReceives.add(this))
      return false
    }
    if (typeof received === 'number') {
      this.#endDirect()
      if (received === 0) this.end()
      else if (received !== -Errno.EAGAIN) this.#failure = received
      return false
    }
    metrics.directReceives++
    metrics.bytesRead += received.byteLength
    if (received.byteLength !== directReceives.chunkBytes) this.#endDirect()
    this.deliver(received, undefined)
    return this.#direct
  }

  #endDirect(): void {
    this.#direct = false
    this.ring.turn.schedule(this.owner)
  }

  /** A completion with data. */
  protected take(received: number, flags: number): void {
    const { metrics, pool, receiveHeaderBytes: skipped } = this.ring
    pool.expect(flags >>> bufferIdShift)
    this.#joinedBuffers = 0
    const bytes = skipped === 0 ? this.#join(received) : received
    const payload = bytes - skipped
    if (payload === 0 || this.owner.state === 'closing') {
      pool.skip(bytes)
      if (payload === 0) this.end()
      return
    }
    metrics.bytesRead += payload
    const before = pool.taken
    const forwarding = this.#kept === undefined ? this.forwarding : undefined
    if (forwarding !== undefined) {
      this.bytesRead += payload
      forwarding.received(payload, skipped)
    }
    const chunk = forwarding === undefined ? this.#copyOut(payload, skipped) : undefined
    const rest = chunk === undefined ? undefined : this.#copyRest(payload - chunk.byteLength, skipped)
    const buffers = (pool.taken - before) | 0
    metrics.receiveBuffers += buffers
    this.#count(buffers - this.#joinedBuffers)
    // The last buffer ends a multishot with data and no error.
    if (pool.available === 0 && (flags & CompletionFlag.More) === 0) {
      metrics.poolExhausted++
      if (forwarding === undefined) this.#becomeDirect()
    }
    if (chunk !== undefined && this.owner.active) this.deliver(chunk, undefined, rest)
  }

  /**
   * What came together is told together: the kernel completes the buffers that it has filled, and the rest after that.
   * @returns the bytes of this completion and of those that go on with it.
   */
  #join(bytes: number): number {
    const { completions, pool } = this.ring
    let joined = bytes
    let last = bytes
    for (let more = completions.nextBytes; more !== 0; more = completions.nextBytes) {
      const buffers = pool.wholeBuffers(last, this.#joinedBuffers)
      if (buffers === 0) break
      this.#joinedBuffers += buffers
      this.#count(buffers)
      completions.takeNext()
      joined += more
      last = more
    }
    return joined
  }

  /** Counts a completion with data. */
  #count(buffers: number): void {
    const { metrics } = this.ring
    metrics.receives++
    countBundle(metrics.receiveBundles, buffers)
  }

  /** Hands out a chunk, or keeps it. @param rest comes after it. */
  protected deliver(chunk: Chunk, details: ReceivedDetails | undefined, rest?: Kept[]): void {
    this.#receivedIn = this.ring.metrics.turns
    if (this.paused || this.#kept !== undefined) {
      this.#kept ??= []
      this.#kept.push({ chunk, details }, ...rest ?? [])
      return
    }
    this.bytesRead += chunk.byteLength
    if (rest === undefined) {
      this.owner.received(chunk, details)
      return
    }
    this.#kept = rest
    // What throws keeps the rest until then.
    this.ring.turn.schedule(this.owner)
    this.owner.received(chunk, details)
    this.ring.turn.endEvent()
    this.owner.tellKept()
  }

  /** The next of `bytes`, or as many as a chunk may have; undefined, and none are left, if there is no memory. */
  #copyOut(bytes: number, skipped: number): Chunk | undefined {
    const { pool } = this.ring
    const chunk = this.allocate(pool.bytesOfWhole(bytes, limits.chunkBytesMax, skipped))
    if (chunk === undefined) pool.skip(bytes + skipped)
    else pool.copyOut(chunk, skipped)
    return chunk
  }

  /** Memory for what has been received. @returns undefined if there is none: the connection cannot go on without. */
  protected allocate(bytes: number): Chunk | undefined {
    try {
      return this.slab.allocate(bytes)
    } catch {
      this.owner.destroy(systemError(-Errno.ENOBUFS, 'read'))
      return undefined
    }
  }

  /** Whether each chunk is to have an `ArrayBuffer` of its own. */
  set exactChunks(exact: boolean) {
    this.slab.exact = exact
  }

  #copyRest(bytes: number, skipped: number): Kept[] | undefined {
    if (bytes === 0) return undefined
    const rest: Kept[] = []
    for (let left = bytes; left !== 0;) {
      const chunk = this.#copyOut(left, skipped)
      if (chunk === undefined) break
      rest.push({ chunk, details: undefined })
      left -= chunk.byteLength
    }
    return rest
  }

  /** The peer's FIN has come. */
  protected end(): void {
    this.#ended = true
    this.ring.turn.schedule(this.owner)
  }
}
