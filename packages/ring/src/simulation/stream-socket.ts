import { Errno } from '../abi'
import { ByteQueue } from './byte-queue'
import type { Choices } from './choices'
import { SimulatedSocket, WaitQueue } from './socket'
import type { Temperament } from './temperament'

const unixFamily = 1

/** What stream sockets need of the kernel they are in. */
export interface Network {
  readonly choices: Choices
  readonly temperament: Temperament
  /** Has `socket` move on what it has sent when the network does. */
  carry(socket: StreamSocket): void
  violated(what: string): void
  /** A listener is gone. */
  forget(socket: StreamSocket): void
}

/**
 * A stream socket: listening, connected, or neither yet. What is sent waits in {@link #transit} until the network moves
 * it to the other end, which TCP does at some time and a Unix socket at once.
 */
export class StreamSocket extends SimulatedSocket {
  readonly #network: Network
  readonly #transit = new ByteQueue()
  readonly #received = new ByteQueue()
  #peer: StreamSocket | undefined
  #finSent = false
  #finArrived = false
  #resetSent = false
  /** The connection is no more: reset, or (Unix) closed by the peer. */
  #broken = false
  #released = false
  /** Of a listener: connections nobody has accepted, and who waits for room among them. */
  readonly #backlog: StreamSocket[] = []
  #backlogMax = 0
  readonly connecting = new WaitQueue()
  /** Receives in the kernel: there must never be two. */
  receives = 0

  constructor(network: Network, domain: number, type: number, protocol: number) {
    super(domain, type, protocol)
    this.#network = network
  }

  get #instant(): boolean {
    return this.domain === unixFamily
  }

  get listening(): boolean {
    return this.#backlogMax !== 0
  }

  /** There is room, or it has failed. */
  get writable(): boolean {
    const peer = this.#peer
    return peer === undefined || this.#broken || this.#finSent || this.error !== 0 || this.#roomBytes(peer) > 0
  }

  #roomBytes(peer: StreamSocket): number {
    const { sendCapacityBytes, receiveCapacityBytes } = this.#network.temperament
    return this.#instant
      ? receiveCapacityBytes - peer.#received.sizeBytes
      : sendCapacityBytes - this.#transit.sizeBytes
  }

  get connected(): boolean {
    return this.#peer !== undefined
  }

  get hungUp(): boolean {
    return this.error !== 0 || this.#broken || (this.#finSent && this.#finArrived)
  }

  /** The other end has finished, and nobody could say otherwise. */
  get peerFinished(): boolean {
    return this.#finArrived
  }

  /** Bytes that can be read (`SO_INQ`). */
  get readable(): number {
    return this.#received.sizeBytes
  }

  /** What a read that leaves this behind is told: bytes, or 1 if what comes is the end (`tcp_inq_hint`). */
  get readableHint(): number {
    const last = this.#finArrived || this.#broken || this.error !== 0
    return this.#received.sizeBytes === 0 && last ? 1 : this.#received.sizeBytes
  }

  // ---------------------------------------------------------------- how connections come about

  pair(peer: StreamSocket): void {
    this.#peer = peer
    peer.#peer = this
  }

  listen(backlog: number): void {
    this.#backlogMax = Math.max(1, backlog)
  }

  /** The connecting end of a connection that {@link accept} finds. @returns false if the backlog is full. */
  enqueue(client: StreamSocket): boolean {
    if (this.#backlog.length >= this.#backlogMax) return false
    const server = new StreamSocket(this.#network, this.domain, this.type, this.protocol)
    server.name = this.name
    server.peerName = client.name
    client.peerName = this.name
    client.pair(server)
    this.#backlog.push(server)
    this.readers.wake()
    return true
  }

  get acceptable(): boolean {
    return this.#backlog.length !== 0
  }

  accept(): StreamSocket | undefined {
    const accepted = this.#backlog.shift()
    if (accepted !== undefined) this.connecting.wake()
    return accepted
  }

  // ---------------------------------------------------------------- bytes

  /** @returns bytes taken, or `-errno`: `-EAGAIN` when there is no room. */
  send(bytes: Uint8Array): number {
    if (this.error !== 0 && !this.#instant) return this.takeError()
    const peer = this.#peer
    if (peer === undefined || this.#broken || this.#finSent) return -Errno.EPIPE
    const room = this.#roomBytes(peer)
    if (room <= 0) return -Errno.EAGAIN
    const taken = Math.min(room, bytes.byteLength)
    this.#transit.push(bytes.subarray(0, taken))
    this.#sent()
    return taken
  }

  /** @returns bytes read, 0 at the end, or `-errno`: `-EAGAIN` when there is nothing. */
  read(into: Uint8Array): number {
    if (this.#received.sizeBytes !== 0) {
      const count = this.#received.take(into)
      if (this.#peer !== undefined) this.#peer.#roomMade()
      return count
    }
    if (this.#finArrived && !this.#instant) return 0
    if (this.error !== 0) return this.takeError()
    return this.#finArrived || this.#broken ? 0 : -Errno.EAGAIN
  }

  shutdownWrite(): number {
    if (this.#peer === undefined || this.#broken) return -Errno.ENOTCONN
    this.#finSent = true
    this.#sent()
    this.hangUps.wake()
    this.writers.wake()
    return 0
  }

  release(): void {
    this.#released = true
    if (this.listening) this.#closeListener()
    else if (this.#peer !== undefined) this.#closeConnection(this.#peer)
  }

  #closeListener(): void {
    this.#network.forget(this)
    for (const waiting of this.#backlog) {
      waiting.abortive = true
      waiting.release()
    }
    this.connecting.wake()
  }

  #closeConnection(peer: StreamSocket): void {
    const unread = this.#received.sizeBytes !== 0
    this.#received.clear()
    if (this.#instant) {
      if (unread || this.abortive) peer.error = Errno.ECONNRESET
      peer.#finArrived = true
      peer.#broken = true
      peer.#wakeAll()
      return
    }
    if (unread || this.abortive) {
      this.#transit.clear()
      this.#resetSent = true
    } else {
      this.#finSent = true
    }
    this.#sent()
    // What the peer has on its way here makes a reset when it arrives.
    if (peer.#transit.sizeBytes !== 0) this.#network.carry(peer)
  }

  #wakeAll(): void {
    this.readers.wake()
    this.writers.wake()
    this.hangUps.wake()
  }

  // ---------------------------------------------------------------- the way to the other end

  #sent(): void {
    if (this.#instant) this.move(Infinity)
    else this.#network.carry(this)
  }

  #roomMade(): void {
    if (this.#instant) this.writers.wake()
    else if (this.#transit.sizeBytes !== 0) this.#network.carry(this)
  }

  /** Something is on its way that the other end can take. */
  get underWay(): boolean {
    const peer = this.#peer
    if (peer === undefined || peer.#broken) return false
    if (this.#broken) return this.#resetSent
    if (this.#resetSent) return true
    if (this.#transit.sizeBytes === 0) return this.#finSent && !peer.#finArrived
    return peer.#released || peer.#received.sizeBytes < this.#network.temperament.receiveCapacityBytes
  }

  /** Moves up to `sizeBytes` of what was sent to the other end, and what comes behind it if that was all. */
  move(sizeBytes: number): void {
    const peer = this.#peer
    // Nothing arrives at a connection after its reset.
    if (peer === undefined || peer.#broken) return
    if (this.#resetSent) {
      this.#resetSent = false
      peer.#reset()
      return
    }
    if (this.#transit.sizeBytes !== 0) {
      if (peer.#released) {
        this.#reset()
        return
      }
      const room = this.#network.temperament.receiveCapacityBytes - peer.#received.sizeBytes
      this.#transit.moveTo(peer.#received, Math.min(room, sizeBytes))
      peer.readers.wake()
      this.writers.wake()
    }
    if (this.#finSent && this.#transit.sizeBytes === 0 && !peer.#finArrived) {
      peer.#finArrived = true
      peer.#wakeAll()
    }
  }

  /** A reset has arrived. What had arrived before it can still be read, or is lost. */
  #reset(): void {
    if (this.#broken) return
    const { choices, temperament } = this.#network
    if (choices.chance(temperament.resetLosesUnread)) this.#received.clear()
    this.#transit.clear()
    this.error = this.#finArrived ? Errno.EPIPE : Errno.ECONNRESET
    this.#broken = true
    this.#wakeAll()
  }
}
