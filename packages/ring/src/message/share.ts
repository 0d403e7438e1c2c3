import type { NativeRing, Region } from '@sheaf/native'
import { Errno, Feature, MessageFlag, MessageHeaderWord, receivedMessageHeaderBytes } from '../abi'
import { systemError } from '../errors'
import { limits } from '../limits'
import { receiveGroup, ReceivePool } from '../memory/receive-pool'
import type { SendMemory } from '../memory/send-memory'
import type { Ring } from '../ring'
import type { Scheduled } from '../turn'
import { burstBytes, MessageBurst } from './burst'
import type { Lane } from './lane'
import { MessageRequest, requestBytes, type RequestOwner } from './request'

/** A family's receive buffers. */
export interface MessageShareOptions {
  /** Group id of the pool. */
  readonly group: number
  /** Payload that a buffer has room for behind header, sender and control messages. */
  readonly payloadBytes: number
  readonly buffers: number
  readonly buffersMax: number
  /** The most that a socket may have room for control messages. */
  readonly controlBytesMax: number
  /** `MSG_*` of every receive. */
  readonly flags: number
}

/** Behind the group ids of the stream pool and of all send groups. */
const firstMessageGroup = receiveGroup + 1 + limits.groupsMax

/** UDP sockets. */
export const internetMessages: MessageShareOptions = {
  group: firstMessageGroup,
  payloadBytes: limits.messagePayloadBytes,
  buffers: limits.messageBuffers,
  buffersMax: limits.messageBuffersMax,
  controlBytesMax: limits.messageControlBytes,
  flags: 0,
}

/** Unix datagram and seqpacket sockets. */
export const localMessages: MessageShareOptions = {
  group: firstMessageGroup + 1,
  payloadBytes: limits.localMessagePayloadBytes,
  buffers: limits.localMessageBuffers,
  buffersMax: limits.localMessageBuffersMax,
  controlBytesMax: limits.localMessageControlBytes,
  flags: MessageFlag.ControlCloseOnExec,
}

/** Message headers in memory are that far apart: a cache line. */
const headerStrideBytes = 64
/** Behind the headers of receives. */
const burstOffsetBytes = 4096

/** When so many requests are in use, they are scarce. */
const scarceRequests = limits.messageRequestsMax * (1 - limits.sendReserveFraction)

/** A socket waiting for receive buffers. */
export interface ParkedSocket extends Scheduled {
  parked: boolean
}

/**
 * What the datagram sockets of a ring and a family share: a pool of receive buffers that hold the largest datagram each
 * (streams have another, of smaller ones; `docs/decisions/0007-datagrams.md`), and the requests that they send with.
 */
export class MessageShare implements Scheduled {
  readonly #native: NativeRing
  readonly #ring: Ring
  readonly #group: number
  readonly #flags: number
  readonly pool: ReceivePool
  /** Of these sockets only: what peers of streams hold is not theirs. */
  readonly sendMemory: SendMemory
  /** The pool's memory as what it is read as. */
  readonly bytes: Buffer
  readonly words: Int32Array
  /** What is about to be sent by a call. */
  readonly burst: MessageBurst
  /** The `msghdr` of a receive, by the room for control messages that it tells of. */
  readonly #headers: Region
  readonly #headerAddresses = new Map<number, number>()
  /** A plain send may have an address: since 6.2, which has no bit; that of 6.10 is asked. */
  readonly namedSends: boolean
  readonly #free: MessageRequest[] = []
  #requests = 0
  readonly #parked: ParkedSocket[] = []
  /** How many of those who had found no buffer are armed again in the turn {@link #grantedIn}. */
  #granted = 0
  #grantedIn = 0
  #turnAsked = false
  scheduled = false

  constructor(native: NativeRing, ring: Ring, sendMemory: SendMemory, options: MessageShareOptions) {
    this.#native = native
    this.#ring = ring
    this.sendMemory = sendMemory
    this.namedSends = (native.features & Feature.Bundle) !== 0
    this.#group = options.group
    this.#flags = options.flags
    const overheadBytes = receivedMessageHeaderBytes + limits.messageNameBytes + options.controlBytesMax
    this.pool = new ReceivePool(native, ring.metrics, {
      group: options.group,
      bufferBytes: overheadBytes + options.payloadBytes,
      buffers: options.buffers,
      buffersMax: options.buffersMax,
      reserveFraction: 0,
    })
    const region = native.createRegion(burstOffsetBytes + burstBytes)
    if (typeof region === 'number') throw systemError(region, 'mmap')
    this.#headers = region
    this.burst = new MessageBurst(region, burstOffsetBytes)
    if ((options.flags & MessageFlag.ControlCloseOnExec) !== 0) {
      const controlOffsetBytes = receivedMessageHeaderBytes + limits.messageNameBytes
      native.setMessageBuffers(this.pool.address(0), this.pool.bufferBytes, controlOffsetBytes)
    }
    this.bytes = Buffer.from(this.pool.memory.buffer)
    this.words = new Int32Array(this.pool.memory.buffer)
  }

  /** Has the kernel know the buffers. @throws SystemError if it refuses: it may not the next time. */
  open(): this {
    this.pool.open()
    return this
  }

  /** Requests that sockets have. */
  get used(): number {
    return this.#requests - this.#free.length
  }

  /** Arms a multishot receive, for which there must be buffers. */
  receive(slot: number, fd: number, controlBytesMax: number): void {
    const header = this.#headerAddresses.get(controlBytesMax) ?? this.#addHeader(controlBytesMax)
    this.#ring.submissions.receiveMessageMultishot(slot, fd, this.#group, header, this.#flags)
    this.#ring.metrics.receivesArmed++
  }

  /** Lets the kernel have what was recycled, and those try again who wait for it. */
  publish(): void {
    if (this.pool.publish()) this.#release()
  }

  /** Some that were let try again may have used nothing: then it is others' turn. */
  advance(): void {
    this.scheduled = false
    this.#release()
  }

  /**
   * Whether one that has found no buffer may try again at once. In a turn no more do than there are buffers: each that
   * finds none again has cost a request and a completion.
   */
  grants(): boolean {
    return this.#parked.length === 0 && this.#grant(1) === 1
  }

  /** Lets those try again that have waited longest. */
  #release(): void {
    if (this.#parked.length === 0) return
    for (const socket of this.#parked.splice(0, this.#grant(this.#parked.length))) {
      socket.parked = false
      this.#ring.turn.schedule(socket)
    }
    if (this.#parked.length !== 0) this.#askForTurn()
  }

  /** @returns how many of `sockets` may try again in this turn. */
  #grant(sockets: number): number {
    const { turns } = this.#ring.metrics
    if (this.#grantedIn !== turns) this.#granted = 0
    this.#grantedIn = turns
    const count = Math.max(0, Math.min(sockets, this.pool.available - this.#granted))
    this.#granted += count
    return count
  }

  /** While there are buffers, nothing else may bring one. */
  #askForTurn(): void {
    if (this.#turnAsked || this.pool.available === 0) return
    this.#turnAsked = true
    this.#ring.turn.afterwards(() => {
      this.#turnAsked = false
      this.#ring.turn.schedule(this)
    })
  }

  /** A receive found no buffer. */
  exhausted(): void {
    this.#ring.metrics.poolExhausted++
    if (this.pool.grow()) this.publish()
  }

  /** Has `socket` advanced when there are receive buffers again. */
  park(socket: ParkedSocket): void {
    socket.parked = true
    this.#parked.push(socket)
    this.#ring.metrics.parks++
    this.#askForTurn()
  }

  unpark(socket: ParkedSocket): void {
    socket.parked = false
    const index = this.#parked.indexOf(socket)
    if (index !== -1) this.#parked.splice(index, 1)
  }

  /**
   * @returns undefined at the bound, or if there is no memory; and when requests are scarce, to a lane that has some
   *   and may wait: its peer may be one that does not read.
   */
  acquire(owner: RequestOwner, lane: Lane): MessageRequest | undefined {
    if (this.used >= scarceRequests && lane.refusable && !lane.idle) return undefined
    if (this.#free.length === 0) this.#grow()
    const request = this.#free.pop()
    request?.begin(owner, this.#ring.operations.allocate(request), lane)
    return request
  }

  /** Takes back a request that is not in the kernel. */
  release(request: MessageRequest): void {
    this.#ring.operations.release(request.slot)
    request.release(this.sendMemory)
    this.#free.push(request)
  }

  #addHeader(controlBytesMax: number): number {
    const offset = this.#headerAddresses.size * headerStrideBytes
    const header = new Uint32Array(this.#headers.buffer, offset, headerStrideBytes / 4)
    header[MessageHeaderWord.NameBytes] = limits.messageNameBytes
    header[MessageHeaderWord.ControlBytes] = controlBytesMax
    const address = this.#headers.address + offset
    this.#headerAddresses.set(controlBytesMax, address)
    return address
  }

  #grow(): void {
    if (this.#requests === limits.messageRequestsMax) return
    const region = this.#native.createRegion(requestBytes * limits.messageRequestsPerRegion)
    if (typeof region === 'number') return
    this.#requests += limits.messageRequestsPerRegion
    for (let index = limits.messageRequestsPerRegion - 1; index >= 0; index--) {
      this.#free.push(new MessageRequest(region, index * requestBytes))
    }
  }
}

/** Failures of receiving that concern an earlier datagram, or pass by themselves: the socket goes on. */
export const passingReceiveErrors = new Set<number>([
  Errno.ENOMEM, Errno.ECONNREFUSED, Errno.EHOSTUNREACH, Errno.ENETUNREACH, Errno.EHOSTDOWN, Errno.ENETDOWN,
  Errno.EPROTO, Errno.EOPNOTSUPP, Errno.ENOPROTOOPT, Errno.EACCES, Errno.EMSGSIZE, Errno.ECONNRESET,
])
