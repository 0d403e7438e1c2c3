import { fstatSync } from 'node:fs'
import { isatty } from 'node:tty'
import {
  decodeSocketAddress, defaultRing, encodeSocketAddress, familyOf, type InternetAddress, internet6Family,
  internetFamily, type Ring, socketAddressBytesMax, systemError, timers, type WriteCallback,
} from '@sheaf/ring'
import { coalesce, keepCoalescing } from '../coalescing'
import { RingUdpSocket } from '../socket'
import type { Destination, UdpHandler } from '../transport'
import { CallbackOrder } from './callback-order'
import { badDescriptorType } from './errors'
import { type Descriptor, interfaceIndex } from './socket-calls'

const invalid = -22
const busy = -16
const familyNotSupported = -97
const datagramType = 2
const udpProtocol = 17

/** What was sent has until then to leave when a socket is closed, in milliseconds. */
const lingerMs = 100

/** Level and name. */
const option = {
  reuseAddress: [1, 2],
  type: [1, 3],
  reusePort: [1, 15],
  domain: [1, 39],
  ipv6Only: [41, 26],
  memory: [1, 55],
} as const

/** How often what comes together is taken, at most, until nothing has come before others may read. */
const coalescedTakes = 16

export interface EndpointOptions {
  readonly reuseAddress: boolean
  readonly reusePort: boolean
  readonly ipv6Only: boolean
}

/** Who owns an endpoint. */
export interface EndpointOwner {
  message(chunk: Buffer, from: InternetAddress): void
  receiveFailed(error: Error): void
  /** The descriptor was closed; `error` if nobody asked for that. */
  closed(error: Error | undefined): void
}

/**
 * What a socket of `node:dgram` has a handle for: a descriptor, from binding on, and a {@link RingUdpSocket} on it as
 * soon as it may receive. Calls that can fail in the kernel answer `-errno`, as a handle's do.
 */
export class Endpoint {
  readonly #owner: EndpointOwner
  readonly #ipv6: boolean
  #ring: Ring | undefined
  #fd = -1
  /** Datagrams may come together. */
  #coalesces = false
  #transport: RingUdpSocket | undefined
  #referenced = true
  /** Datagrams with a callback that were sent while not referenced. */
  #pending = 0
  readonly #callbacks = new CallbackOrder()
  #closing = false
  #linger: NodeJS.Timeout | undefined

  constructor(owner: EndpointOwner, ipv6: boolean) {
    this.#owner = owner
    this.#ipv6 = ipv6
  }

  /** Whoever asks may give it to another process, which would take several datagrams for one. */
  get fd(): number {
    if (this.#coalesces) this.#endCoalescing()
    return this.#fd
  }

  /**
   * Has each datagram come alone. The kernel tells where one ends and the next begins only while they may come
   * together, so what has come is taken before; if that can't be, as no buffer is free, it stays as it is.
   */
  #endCoalescing(): void {
    for (let takes = 0; takes < coalescedTakes; takes++) {
      this.#set(coalesce, 0)
      this.#coalesces = this.#holdsDatagrams
      if (!this.#coalesces) return
      this.#set(coalesce, 1)
      this.#ring?.reap()
    }
  }

  /** Something has come that has not been received. Peeking would take the error that is to be received next. */
  get #holdsDatagrams(): boolean {
    const memory = new Int32Array(1)
    const [level, name] = option.memory
    this.#ring?.sockets.getsockopt(this.#fd, level, name, new Uint8Array(memory.buffer))
    return memory[0] !== 0
  }

  get descriptor(): Descriptor | undefined {
    if (this.#ring === undefined || this.#fd === -1) return undefined
    return { sockets: this.#ring.sockets, fd: this.#fd, ipv6: this.#ipv6 }
  }

  get bytesQueued(): number {
    return this.#transport?.bytesQueued ?? 0
  }

  get messagesQueued(): number {
    return this.#transport?.messagesQueued ?? 0
  }

  // ---------------------------------------------------------------- the descriptor

  bind(address: string, port: number, options: EndpointOptions): number {
    if (!this.#takes(address)) return invalid
    const result = this.#open(this.#ipv6, options)
    return result < 0 ? result : this.#bindTo(address, port)
  }

  /** Binds to any address, if there is no descriptor yet. @throws SystemError named as the call that needs one. */
  bindAny(ipv6: boolean, call: string): Descriptor {
    if (this.#fd === -1) {
      let result = this.#open(ipv6, { reuseAddress: true, reusePort: false, ipv6Only: false })
      if (result >= 0) result = this.#bindTo(ipv6 ? '::' : '0.0.0.0', 0)
      if (result < 0) throw systemError(result, call)
    }
    return this.descriptor as Descriptor
  }

  #open(ipv6: boolean, options: EndpointOptions): number {
    const ring = this.#ring ??= defaultRing()
    const { sockets, capabilities } = ring
    if (options.ipv6Only && !ipv6) return invalid
    let result = prepare(ring)
    if (result === 0 && this.#fd === -1) {
      result = sockets.socket(ipv6 ? internet6Family : internetFamily, datagramType, udpProtocol)
      if (result < 0) return result
      this.#fd = result
    }
    for (const name of ['reuseAddress', 'reusePort', 'ipv6Only'] as const) {
      if (options[name] && result >= 0) result = this.#set(option[name], 1)
    }
    // Not for a descriptor that others read from, too: they would take several datagrams for one.
    if (result >= 0 && capabilities.coalescedReceive.enabled) {
      keepCoalescing(ring)
      result = this.#set(coalesce, 1)
      this.#coalesces = result >= 0
    }
    if (result < 0) this.#drop()
    return result
  }

  #set([level, name]: readonly [number, number], value: number): number {
    return this.#ring?.sockets.setsockopt(this.#fd, level, name, new Uint8Array(Int32Array.of(value).buffer)) ?? invalid
  }

  #bindTo(address: string, port: number): number {
    const name = encodeSocketAddress(address, port, interfaceIndex)
    const result = this.#ring?.sockets.bind(this.#fd, name) ?? invalid
    if (result >= 0) return result
    // A descriptor that is bound stays: there is only one to a socket.
    if (result !== invalid) this.#drop()
    return result === familyNotSupported ? invalid : result
  }

  #drop(): void {
    if (this.#fd === -1) return
    this.#ring?.sockets.close(this.#fd)
    this.#fd = -1
    this.#coalesces = false
  }

  /**
   * Takes over a bound descriptor. @param duplicate leaves it to whoever has it and takes a copy of its number.
   * @throws TypeError `ERR_INVALID_FD_TYPE`
   */
  adopt(fd: number, duplicate: boolean): number {
    const ring = this.#ring ??= defaultRing()
    const { sockets } = ring
    const kind = kindOf(ring, fd)
    if (kind !== 'UDP') throw badDescriptorType(kind)
    if (!duplicate && this.#fd !== -1) return busy
    const prepared = prepare(ring)
    if (prepared < 0) return prepared
    const own = duplicate ? sockets.dup(fd) : fd
    if (own < 0) return own
    // What addMembership() needed before goes, with the membership, as Node's does.
    this.#drop()
    ring.own(own)
    this.#fd = own
    return 0
  }

  // ---------------------------------------------------------------- the transport

  /** Receives from now on. The descriptor must be bound. */
  start(): void {
    this.#transport = new RingUdpSocket(this.#ring as Ring, this.#fd, this.#ipv6, false, this.#handler, {})
    this.#transport.exactChunks = true
    if (!this.#referenced) this.#transport.unref()
  }

  /** Queues a datagram. @param to absent on a connected socket. @param callback does not throw. */
  send(chunk: Uint8Array, to: Destination | undefined, callback: WriteCallback | undefined): void {
    if (to !== undefined && !this.#takes(to.address)) {
      if (callback !== undefined) process.nextTick(callback, systemError(invalid, 'send'))
      return
    }
    const told = callback && this.#callbacks.add(this.#referenced ? callback : this.#keepingAlive(callback))
    // `node:dgram` sends at once, so that a program may send any number without coming back to the event loop.
    if (this.#transport?.send(chunk, to, told) === false) this.#transport.flushAndReap()
  }

  /** Sending keeps the process alive until it is known how it went, even if the socket doesn't. */
  #keepingAlive(callback: WriteCallback): WriteCallback {
    this.#pending++
    this.#transport?.ref()
    return (error) => {
      if (--this.#pending === 0 && !this.#referenced) this.#transport?.unref()
      callback(error)
    }
  }

  connect(to: Destination): number {
    if (!this.#takes(to.address)) return invalid
    return this.#call((transport) => transport.connectNow(to))
  }

  disconnect(): number {
    return this.#call((transport) => transport.disconnect())
  }

  #call(call: (transport: RingUdpSocket) => void): number {
    try {
      if (this.#transport !== undefined) call(this.#transport)
      return 0
    } catch (error) {
      const { errno } = error as NodeJS.ErrnoException
      if (errno === undefined) throw error
      return errno
    }
  }

  /** @throws SystemError `EBADF` if it is not bound. */
  address(call: 'getsockname' | 'getpeername'): InternetAddress {
    const bytes = new Uint8Array(socketAddressBytesMax)
    const length = this.#fd === -1 ? -9 : this.#ring?.sockets[call](this.#fd, bytes) ?? -9
    if (length < 0) throw systemError(length, call)
    return decodeSocketAddress(bytes.subarray(0, length)) as InternetAddress
  }

  pause(): void {
    this.#transport?.pause()
  }

  ref(): void {
    this.#referenced = true
    this.#transport?.ref()
  }

  unref(): void {
    this.#referenced = false
    if (this.#pending === 0) this.#transport?.unref()
  }

  /** Lets what was sent leave, if the network takes it soon, then closes; the owner is told, but not at once. */
  close(): void {
    this.#closing = true
    const transport = this.#transport
    if (transport === undefined) {
      this.#drop()
      process.nextTick(() => this.#owner.closed(undefined))
    } else {
      // The event comes even if nothing else keeps the process alive.
      this.ref()
      transport.closeNow()
      if (transport.messagesQueued !== 0) this.#linger = timers.setTimeout(() => { transport.destroy() }, lingerMs)
    }
  }

  /** Whether an address is of the socket's family. */
  #takes(address: string): boolean {
    return familyOf(address) === (this.#ipv6 ? internet6Family : internetFamily)
  }

  /** What the transport tells. */
  readonly #handler: UdpHandler = {
    message: (_transport, chunk, from) => {
      if (this.#closing) return
      this.#owner.message(chunk, from)
      this.#ring?.turn.eventTold()
    },
    error: (_transport, error) => {
      // Nobody is told of a datagram that was sent without a callback.
      if (this.#closing || (error as NodeJS.ErrnoException).syscall === 'send') return
      this.#owner.receiveFailed(error)
      this.#ring?.turn.eventTold()
    },
    close: (_transport, error) => {
      this.#fd = -1
      this.#coalesces = false
      timers.clearTimeout(this.#linger)
      this.#owner.closed(error)
    },
  }
}

/** Has the ring have what its sockets receive into. @returns 0, or `-errno` if there is no memory. */
function prepare(ring: Ring): number {
  try {
    ring.internetMessages.open()
    return 0
  } catch (error) {
    return (error as NodeJS.ErrnoException).errno ?? invalid
  }
}

/** What a descriptor is, in the words of `ERR_INVALID_FD_TYPE`. */
function kindOf({ sockets }: Ring, fd: number): string {
  const read = ([level, name]: readonly [number, number]): number => {
    const value = Int32Array.of(-1)
    const result = sockets.getsockopt(fd, level, name, new Uint8Array(value.buffer))
    return result < 0 ? -1 : value[0]
  }
  const domain = read(option.domain)
  if (domain === internetFamily || domain === internet6Family) return read(option.type) === datagramType ? 'UDP' : 'TCP'
  if (domain === 1) return 'PIPE'
  try {
    if (isatty(fd)) return 'TTY'
    const status = fstatSync(fd)
    if (status.isFile() || status.isCharacterDevice()) return 'FILE'
    return status.isFIFO() ? 'PIPE' : 'UNKNOWN'
  } catch {
    return 'UNKNOWN'
  }
}
