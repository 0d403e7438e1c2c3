import {
  checkInteger,
  decodeSocketAddress,
  getSocketOption,
  type InternetAddress,
  Lane,
  limits,
  MessageSocket,
  type Ring,
  setSocketOption,
  socketAddressBytesMax,
  systemError,
} from '@sheaf/ring'
import { Controls } from './controls'
import { checkDestination, Destinations, socketAddress } from './destinations'
import { changeMembership, MembershipOption, setMulticastInterface } from './multicast'
import type { UdpOptions } from './options'
import { type PairedOptionName, setPairedOption, socketOption } from './socket-options'
import { Sources } from './sources'
import type { Destination, UdpHandler, UdpSocket } from './transport'

/** The largest payload of any UDP datagram: the length field less the header. */
const payloadBytesMax = 65_527

const maximumTransmissionUnit = [[0, 14], [41, 24]] as const

/** A `sockaddr` of the family `AF_UNSPEC`. */
const unspecifiedAddress = new Uint8Array(16)

function notConnected(): Error {
  return Object.assign(new Error('Not connected'), { code: 'ERR_SOCKET_DGRAM_NOT_CONNECTED' })
}

/** A UDP socket on a ring: the {@link MessageSocket} with UDP's addresses, options and offloads. */
export class RingUdpSocket extends MessageSocket<InternetAddress, Destination> implements UdpSocket {
  declare handler: UdpHandler
  override readonly quiet = true
  readonly #ipv6: boolean
  #peer: Lane | undefined
  readonly #destinations: Destinations
  readonly #sources = new Sources()
  readonly #controls = new Controls()
  #local: InternetAddress | undefined
  #remote: InternetAddress | undefined

  /** @internal Use `bind` or `connect`. */
  constructor(ring: Ring, fd: number, ipv6: boolean, connected: boolean, handler: UdpHandler, options: UdpOptions) {
    super(ring, fd, handler, {
      share: ring.internetMessages,
      controlBytesMax: limits.messageControlBytes,
      receivesDescriptors: false,
      segmentable: true,
      messageBytesMax: payloadBytesMax,
    }, options)
    this.#ipv6 = ipv6
    this.#peer = connected ? new Lane(new Uint8Array(0)) : undefined
    this.#destinations = new Destinations(ring, ipv6)
  }

  override get localAddress(): InternetAddress | undefined {
    // Without a port, after disconnecting, it is one until the next `send` only.
    if (this.#local === undefined || this.#local.port === 0) this.#local = this.#address('getsockname')
    return this.#local
  }

  override get remoteAddress(): InternetAddress | undefined {
    if (this.#peer !== undefined) this.#remote ??= this.#address('getpeername')
    return this.#remote
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- errors are to reject, as they do on Node's sockets
  async connect(to: Destination): Promise<void> {
    this.connectNow(to)
  }

  /** As {@link connect}, but throws. @internal */
  connectNow(to: Destination): void {
    const name = socketAddress(this.ring, checkDestination(to, this.#ipv6, false), to.port)
    this.#reconnect(this.openDescriptor, name, to)
    this.#peer = new Lane(new Uint8Array(0))
  }

  disconnect(): void {
    const fd = this.openDescriptor
    if (this.#peer === undefined) throw notConnected()
    this.#reconnect(fd, unspecifiedAddress)
    this.#peer = undefined
  }

  #reconnect(fd: number, name: Uint8Array, to?: Destination): void {
    this.flushAndReap()
    if (this.#peer?.idle === false) {
      // The send buffer is full: what waits for it must not go to another peer.
      const bytes = new Uint8Array(socketAddressBytesMax)
      const length = this.ring.sockets.getpeername(fd, bytes)
      if (length < 0) throw systemError(length, 'getpeername')
      this.redirect(this.#peer, bytes.subarray(0, length))
    }
    const result = this.ring.sockets.connect(fd, name)
    if (result < 0) throw systemError(result, 'connect', to?.address, to?.port)
    this.#local = this.#remote = undefined
  }

  /** @internal */
  override lane(to: Destination | undefined): Lane {
    const peer = this.#peer
    if (to === undefined) {
      if (peer !== undefined) return peer
      throw notConnected()
    }
    if (peer !== undefined) {
      throw Object.assign(new Error('Already connected'), { code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' })
    }
    return this.#destinations.lane(to)
  }

  override decodeAddress(bytes: Buffer, offset: number, lengthBytes: number): InternetAddress {
    return this.#sources.decode(bytes, offset, lengthBytes)
  }

  override readControls(words: Int32Array, offset: number, lengthBytes: number): number {
    const controls = this.#controls
    controls.read(words, offset, lengthBytes)
    this.details = controls.details
    return controls.segmentBytes
  }

  setBroadcast(enabled: boolean): void {
    setSocketOption(this.ring.sockets, this.openDescriptor, socketOption.broadcast, enabled ? 1 : 0)
  }

  setTimeToLive(hops: number): void {
    this.#setPaired('timeToLive', 'hops', hops, 1, 255)
  }

  setTypeOfService(value: number): void {
    this.#setPaired('typeOfService', 'value', value, 0, 255)
  }

  get sendBufferBytes(): number {
    return getSocketOption(this.ring.sockets, this.openDescriptor, socketOption.sendBufferBytes)
  }

  setSendBufferBytes(sizeBytes: number): void {
    checkInteger('sizeBytes', sizeBytes, 1, 2 ** 30)
    setSocketOption(this.ring.sockets, this.openDescriptor, socketOption.sendBufferBytes, sizeBytes)
  }

  get receiveBufferBytes(): number {
    return getSocketOption(this.ring.sockets, this.openDescriptor, socketOption.receiveBufferBytes)
  }

  setReceiveBufferBytes(sizeBytes: number): void {
    checkInteger('sizeBytes', sizeBytes, 1, 2 ** 30)
    setSocketOption(this.ring.sockets, this.openDescriptor, socketOption.receiveBufferBytes, sizeBytes)
  }

  get pathMtuBytes(): number {
    return getSocketOption(this.ring.sockets, this.openDescriptor, maximumTransmissionUnit[this.#ipv6 ? 1 : 0])
  }

  addMembership(group: string, networkInterface?: string): void {
    this.#membership(MembershipOption.JoinGroup, group, undefined, networkInterface)
  }

  dropMembership(group: string, networkInterface?: string): void {
    this.#membership(MembershipOption.LeaveGroup, group, undefined, networkInterface)
  }

  addSourceSpecificMembership(source: string, group: string, networkInterface?: string): void {
    this.#membership(MembershipOption.JoinSourceGroup, group, source, networkInterface)
  }

  dropSourceSpecificMembership(source: string, group: string, networkInterface?: string): void {
    this.#membership(MembershipOption.LeaveSourceGroup, group, source, networkInterface)
  }

  setMulticastInterface(networkInterface: string): void {
    setMulticastInterface(this.ring, this.openDescriptor, this.#ipv6, networkInterface)
  }

  setMulticastTimeToLive(hops: number): void {
    this.#setPaired('multicastTimeToLive', 'hops', hops, 0, 255)
  }

  setMulticastLoopback(enabled: boolean): void {
    setPairedOption(this.ring, this.openDescriptor, this.#ipv6, 'multicastLoopback', enabled ? 1 : 0)
  }

  #membership(option: MembershipOption, group: string, source: string | undefined, on: string | undefined): void {
    changeMembership(this.ring, this.openDescriptor, option, group, source, on)
  }

  #setPaired(option: PairedOptionName, name: string, value: number, min: number, max: number): void {
    checkInteger(name, value, min, max)
    setPairedOption(this.ring, this.openDescriptor, this.#ipv6, option, value)
  }

  #address(call: 'getsockname' | 'getpeername'): InternetAddress | undefined {
    if (this.state === 'closing' || this.state === 'closed') return undefined
    const bytes = new Uint8Array(socketAddressBytesMax)
    const length = this.ring.sockets[call](this.fd, bytes)
    return length < 0 ? undefined : decodeSocketAddress(bytes.subarray(0, length))
  }
}
