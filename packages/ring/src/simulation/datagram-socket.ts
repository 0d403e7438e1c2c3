import { Errno } from '../abi'
import type { MessageReceived } from './message-requests'
import { SimulatedSocket } from './socket'

/** `SOL_UDP`, `UDP_SEGMENT`, `UDP_GRO`. */
const udpLevel = 17
export const coalesceOption = 104
/** `UDP_MAX_SEGMENTS` since 6.9, and the largest payload of IPv4. */
const segmentsMax = 128
const payloadBytesMax = 65507
/** Coalesced datagrams are at most an IP packet together. */
const coalescedBytesMax = 65507

export interface Datagram {
  readonly from: Uint8Array
  readonly payload: Buffer
}

/** What datagram sockets need of the kernel they are in. */
export interface DatagramNetwork {
  readonly capacityBytes: number
  /** Datagrams can be segmented. */
  readonly segments: boolean
  /** Who gets what is sent to an address. */
  datagramReceiver(name: Uint8Array): DatagramSocket | undefined
  /** Gives a socket that sends an address, if it has none. */
  bindAnywhere(socket: SimulatedSocket): void
  lost(datagrams: number): void
  forgetDatagrams(socket: DatagramSocket): void
}

/** A UDP socket. */
export class DatagramSocket extends SimulatedSocket {
  readonly #network: DatagramNetwork
  #queue: Datagram[] = []
  #queuedBytes = 0
  #released = false

  constructor(network: DatagramNetwork, domain: number, type: number, protocol: number) {
    super(domain, type, protocol)
    this.#network = network
  }

  readonly listening = false
  readonly writable = true

  get hungUp(): boolean {
    return this.error !== 0
  }

  get readable(): boolean {
    return this.#queue.length !== 0 || this.error !== 0
  }

  /**
   * Sends one datagram, or several of `segmentBytes` each (the last may be shorter) if that is not 0.
   * @returns bytes sent, or `-errno`: then nothing was.
   */
  send(payload: Buffer, to: Uint8Array | undefined, segmentBytes: number): number {
    const name = to ?? this.peerName
    if (name === undefined) return -Errno.EDESTADDRREQ
    if (payload.byteLength > payloadBytesMax) return -Errno.EMSGSIZE
    // `sock_alloc_send_skb` tells it.
    if (this.error !== 0) return this.takeError()
    if (segmentBytes !== 0 && !this.#network.segments) return -Errno.EIO
    if (segmentBytes !== 0 && payload.byteLength > segmentBytes * segmentsMax) return -Errno.EINVAL
    this.#network.bindAnywhere(this)
    const receiver = this.#network.datagramReceiver(name)
    const step = segmentBytes === 0 ? Math.max(payload.byteLength, 1) : segmentBytes
    if (receiver === undefined || !receiver.#hears(this)) {
      this.#network.lost(Math.max(1, Math.ceil(payload.byteLength / step)))
      if (this.peerName !== undefined) this.#refused()
      return payload.byteLength
    }
    for (let offset = 0; offset < Math.max(payload.byteLength, 1); offset += step) {
      receiver.#arrive(this, Buffer.from(payload.subarray(offset, offset + step)))
    }
    return payload.byteLength
  }

  #refused(): void {
    this.error = Errno.ECONNREFUSED
    this.readers.wake()
    this.hangUps.wake()
  }

  /** A connected socket is nobody to those that it is not connected to. */
  #hears({ name }: DatagramSocket): boolean {
    return this.peerName === undefined || (name !== undefined && Buffer.from(this.peerName).equals(name))
  }

  #arrive(sender: DatagramSocket, payload: Buffer): void {
    const from = sender.name as Uint8Array
    if (this.#queuedBytes + payload.byteLength > this.#network.capacityBytes) {
      this.#network.lost(1)
      return
    }
    this.#queue.push({ from, payload })
    this.#queuedBytes += payload.byteLength
    this.readers.wake()
  }

  /** @returns what one receive gets, or `-errno`. */
  receive(): MessageReceived | number {
    if (this.error !== 0) return this.takeError()
    const first = this.#queue.shift()
    if (first === undefined) return -Errno.EAGAIN
    const parts = [first.payload]
    let sizeBytes = first.payload.byteLength
    if (this.option(udpLevel, coalesceOption) !== 0) {
      for (let next = this.#queue.at(0); next !== undefined; next = this.#queue.at(0)) {
        const { from, payload } = next
        if (from !== first.from || payload.byteLength === 0 || payload.byteLength > first.payload.byteLength) break
        if (sizeBytes + payload.byteLength > coalescedBytesMax || parts.length === segmentsMax) break
        parts.push(payload)
        this.#queue.shift()
        sizeBytes += payload.byteLength
        if (payload.byteLength < first.payload.byteLength) break
      }
    }
    this.#queuedBytes -= sizeBytes
    const segmentBytes = parts.length === 1 ? 0 : first.payload.byteLength
    return { from: first.from, payload: Buffer.concat(parts), segmentBytes }
  }

  shutdownWrite(): number {
    return -Errno.ENOTCONN
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.#network.lost(this.#queue.length)
    this.#queue = []
    this.#network.forgetDatagrams(this)
  }
}
