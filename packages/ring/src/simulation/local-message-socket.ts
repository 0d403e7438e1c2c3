import { Errno } from '../abi'
import type { OpenFile } from './descriptors'
import type { MessageReceived } from './message-requests'
import { SimulatedSocket } from './socket'

const seqpacketType = 5
/** `SOL_SOCKET`, `SO_PASSCRED`. */
const socketLevel = 1
const passCredentialsOption = 16

/** What Unix message sockets need of the kernel they are in. */
export interface LocalNetwork {
  /** Bytes that a socket may have at receivers that have not read them. */
  readonly capacityBytes: number
  /** Messages that may wait at a socket (`net.unix.max_dgram_qlen`), and one more. */
  readonly localQueueMax: number
  localReceiver(name: Uint8Array): LocalMessageSocket | undefined
  forgetLocal(socket: LocalMessageSocket): void
}

interface Message {
  readonly sender: LocalMessageSocket
  /** Empty for an unnamed sender. */
  readonly from: Uint8Array
  readonly payload: Buffer
  /** Files on their way, each referred to by the message. */
  readonly files: readonly OpenFile[]
}

/**
 * A Unix datagram or seqpacket socket, as `net/unix/af_unix.c` has it. A message is with its receiver when the call
 * that sends it returns, and none is ever lost while both are open.
 */
export class LocalMessageSocket extends SimulatedSocket {
  readonly #network: LocalNetwork
  #queue: Message[] = []
  #peer: LocalMessageSocket | undefined
  /** Who is connected to this one, and so is told when it has room. */
  readonly #connected = new Set<LocalMessageSocket>()
  /** Bytes of this socket's that nobody has read. */
  #unreadBytes = 0
  #sendShut = false
  #receiveShut = false
  #released = false

  constructor(network: LocalNetwork, domain: number, type: number, protocol: number) {
    super(domain, type, protocol)
    this.#network = network
  }

  readonly listening = false

  get connected(): boolean {
    return this.#peer !== undefined
  }

  get hungUp(): boolean {
    return this.error !== 0 || (this.#sendShut && this.#receiveShut)
  }

  get #ordered(): boolean {
    return this.type === seqpacketType
  }

  get #full(): boolean {
    return this.#queue.length > this.#network.localQueueMax
  }

  /** `unix_dgram_poll`: a peer that is not connected back must have room, too. */
  get writable(): boolean {
    const peer = this.#peer
    if (peer !== undefined && peer.#peer !== this && peer.#full && !peer.#released) return false
    return this.#unreadBytes * 4 <= this.#network.capacityBytes
  }

  // ---------------------------------------------------------------- who talks to whom

  pair(peer: LocalMessageSocket): void {
    this.#join(peer)
    peer.#join(this)
  }

  /** @returns 0 or `-errno`. */
  connect(name: Uint8Array): number {
    const peer = this.#network.localReceiver(name)
    if (peer === undefined) return -Errno.ECONNREFUSED
    if (!peer.#hears(this)) return -Errno.EPERM
    const before = this.#peer
    if (before !== undefined && before !== peer) this.#leave(before)
    this.peerName = Uint8Array.from(name)
    this.#join(peer)
    return 0
  }

  #join(peer: LocalMessageSocket): void {
    this.#peer = peer
    peer.#connected.add(this)
  }

  /** `unix_dgram_disconnected`: what has arrived is lost, which a peer that is connected back is told of. */
  #leave(peer: LocalMessageSocket): void {
    peer.#connected.delete(this)
    this.#peer = undefined
    if (this.#queue.length === 0) return
    this.#discard()
    if (peer.#released || peer.#peer !== this) return
    peer.error = Errno.ECONNRESET
    peer.#wakeAll()
  }

  #hears(sender: LocalMessageSocket): boolean {
    return this.#peer === undefined || this.#peer === sender
  }

  // ---------------------------------------------------------------- messages

  /** @returns bytes sent, `-EAGAIN` where there is no room, or another `-errno`. */
  send(payload: Buffer, to: Uint8Array | undefined, files: readonly OpenFile[]): number {
    if (this.error !== 0) return this.takeError()
    if (this.#sendShut) return -Errno.EPIPE
    const peer = this.#peer
    if (to === undefined && peer === undefined) return -Errno.ENOTCONN
    if (this.#unreadBytes !== 0 && this.#unreadBytes >= this.#network.capacityBytes) return -Errno.EAGAIN
    const receiver = to === undefined ? peer : this.#network.localReceiver(to)
    if (receiver === undefined) return -Errno.ECONNREFUSED
    if (receiver.#released) return this.#refused(receiver)
    if (receiver.#receiveShut) return -Errno.EPIPE
    if (!receiver.#hears(this)) return -Errno.EPERM
    if (receiver !== this && receiver.#peer !== this && receiver.#full) return -Errno.EAGAIN
    for (const file of files) file.refer()
    this.#unreadBytes += payload.byteLength
    receiver.#queue.push({ sender: this, from: this.#ownName, payload, files })
    receiver.readers.wake()
    return payload.byteLength
  }

  #refused(peer: LocalMessageSocket): number {
    if (this.#ordered) return -Errno.EPIPE
    this.#leave(peer)
    return -Errno.ECONNREFUSED
  }

  get #ownName(): Uint8Array {
    return this.name === undefined || this.name.byteLength <= 2 ? new Uint8Array(0) : this.name
  }

  /** @returns what one receive gets, or `-errno`. */
  receive(): MessageReceived | number {
    if (this.error !== 0) return this.takeError()
    const message = this.#queue.shift()
    if (message === undefined) return this.#ordered && this.#receiveShut ? theEnd : -Errno.EAGAIN
    const { from, payload, files } = message
    this.#read(message)
    return { from, payload, files, credentials: this.option(socketLevel, passCredentialsOption) !== 0, segmentBytes: 0 }
  }

  /** A message is no longer here: whoever waits for room may go on. */
  #read({ sender, payload }: Message): void {
    sender.#unreadBytes -= payload.byteLength
    sender.writers.wake()
    for (const socket of this.#connected) socket.writers.wake()
  }

  #discard(): void {
    for (const message of this.#queue.splice(0)) {
      for (const file of message.files) file.leave()
      this.#read(message)
    }
  }

  // ---------------------------------------------------------------- ends

  shutdownWrite(): number {
    this.#sendShut = true
    this.#wakeAll()
    if (this.#ordered && this.#peer !== undefined) {
      this.#peer.#receiveShut = true
      this.#peer.#wakeAll()
    }
    return 0
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.#network.forgetLocal(this)
    const peer = this.#peer
    if (this.#ordered && peer !== undefined && !peer.#released) {
      peer.#sendShut = peer.#receiveShut = true
      // `unix_release_sock` takes an empty message at the front for out-of-band data that has been read.
      const read = this.#queue.at(0)?.payload.byteLength === 0 ? 1 : 0
      if (this.#queue.length > read) peer.error = Errno.ECONNRESET
      peer.#wakeAll()
    }
    this.#discard()
    if (peer !== undefined) peer.#connected.delete(this)
    for (const socket of this.#connected) socket.writers.wake()
  }

  #wakeAll(): void {
    this.readers.wake()
    this.writers.wake()
    this.hangUps.wake()
  }
}

/** A receive at the end of a seqpacket connection. */
const theEnd: MessageReceived = {
  from: new Uint8Array(0), payload: Buffer.alloc(0), files: [], credentials: false, segmentBytes: 0,
}
