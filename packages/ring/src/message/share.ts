import type { Binding, NativeRing } from '@sheaf/native'
import { Errno, Feature, messageHeaderBytes, MessageHeaderWord, receivedMessageHeaderBytes } from '../abi'
import { systemError } from '../errors'
import { limits } from '../limits'
import { receiveGroup, ReceivePool } from '../memory/receive-pool'
import type { Ring, Scheduled } from '../ring'
import type { Lane } from './lane'
import { MessageRequest, requestBytes, type RequestOwner } from './request'

/** Behind the group ids of the stream pool and of all send groups. */
const messageGroup = receiveGroup + 1 + limits.groupsMax

/** Bytes before the payload of every datagram buffer: header, sender, control messages. */
export const payloadOffsetBytes = receivedMessageHeaderBytes + limits.messageNameBytes + limits.messageControlBytes

/** A socket waiting for receive buffers. */
export interface ParkedSocket extends Scheduled {
  parked: boolean
}

/**
 * What the datagram sockets of a ring share: a pool of receive buffers that hold the largest datagram each (streams
 * have another, of smaller ones; `docs/decisions/0007-datagrams.md`), and the requests that they send with.
 */
export class MessageShare {
  readonly #binding: Binding
  readonly #ring: Ring
  readonly pool: ReceivePool
  /** The pool's memory as what it is read as. */
  readonly bytes: Buffer
  readonly words: Int32Array
  readonly #header: number
  /** A plain send may have an address: since 6.2, which has no bit; that of 6.10 is asked. */
  readonly namedSends: boolean
  readonly #free: MessageRequest[] = []
  #requests = 0
  #parked: ParkedSocket[] = []

  constructor(binding: Binding, native: NativeRing, ring: Ring) {
    this.#binding = binding
    this.#ring = ring
    this.namedSends = (native.features & Feature.Bundle) !== 0
    this.pool = new ReceivePool(binding, native, ring.metrics, {
      group: messageGroup,
      bufferBytes: payloadOffsetBytes + limits.messagePayloadBytes,
      buffers: limits.messageBuffers,
      buffersMax: limits.messageBuffersMax,
      reserveFraction: 0,
    })
    this.bytes = Buffer.from(this.pool.memory.buffer)
    this.words = new Int32Array(this.pool.memory.buffer)
    const region = binding.createRegion(messageHeaderBytes)
    if (typeof region === 'number') throw systemError(region, 'mmap')
    const header = new Uint32Array(region.buffer)
    header[MessageHeaderWord.NameBytes] = limits.messageNameBytes
    header[MessageHeaderWord.ControlBytes] = limits.messageControlBytes
    this.#header = region.address
  }

  /** Requests that sockets have. */
  get used(): number {
    return this.#requests - this.#free.length
  }

  /** Arms a multishot receive, for which there must be buffers. */
  receive(slot: number, fd: number): void {
    this.#ring.submissions.receiveMessageMultishot(slot, fd, messageGroup, this.#header)
    this.#ring.metrics.receivesArmed++
  }

  /** Lets the kernel have what was recycled, and those try again who wait for it. */
  publish(): void {
    if (!this.pool.publish() || this.#parked.length === 0) return
    const parked = this.#parked
    this.#parked = []
    for (const socket of parked) {
      socket.parked = false
      this.#ring.schedule(socket)
    }
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
  }

  unpark(socket: ParkedSocket): void {
    socket.parked = false
    const index = this.#parked.indexOf(socket)
    if (index !== -1) this.#parked.splice(index, 1)
  }

  /** @returns undefined at the bound, or if there is no memory. */
  acquire(owner: RequestOwner, lane: Lane): MessageRequest | undefined {
    if (this.#free.length === 0) this.#grow()
    const request = this.#free.pop()
    request?.begin(owner, this.#ring.operations.allocate(request), lane)
    return request
  }

  /** Takes back a request that is not in the kernel. */
  release(request: MessageRequest): void {
    this.#ring.operations.release(request.slot)
    request.release(this.#ring.sendMemory)
    this.#free.push(request)
  }

  #grow(): void {
    if (this.#requests === limits.messageRequestsMax) return
    const region = this.#binding.createRegion(requestBytes * limits.messageRequestsPerRegion)
    if (typeof region === 'number') return
    this.#requests += limits.messageRequestsPerRegion
    for (let index = limits.messageRequestsPerRegion - 1; index >= 0; index--) {
      this.#free.push(new MessageRequest(region, index * requestBytes))
    }
  }
}

/** Failures of receiving that concern an earlier datagram, or pass by themselves: the socket goes on. */
export const passingReceiveErrors = new Set<number>([
  Errno.EAGAIN, Errno.EINTR, Errno.ENOMEM, Errno.ECONNREFUSED, Errno.EHOSTUNREACH, Errno.ENETUNREACH, Errno.EHOSTDOWN,
  Errno.ENETDOWN, Errno.EPROTO, Errno.EOPNOTSUPP, Errno.ENOPROTOOPT, Errno.EACCES, Errno.EMSGSIZE, Errno.ECONNRESET,
])
