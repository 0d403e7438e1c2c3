import { networkInterfaces } from 'node:os'
import {
  checkInteger, familyOf, type InternetAddress, internetFamily, NodeDatagramSocket, systemError, unsupported,
} from '@sheaf/ring'
import { checkDestination, isSame } from './destinations'
import { checkGroupAddress, checkInterface, interfaceWith, noSuchDevice } from './multicast'
import type { UdpOptions } from './options'
import type { Destination, UdpHandler, UdpSocket } from './transport'

/** A UDP socket of `node:dgram`, with as much of UDP's options as that has. */
export class NodeUdpSocket extends NodeDatagramSocket implements UdpSocket {
  declare handler: UdpHandler
  readonly #ipv6: boolean
  #connected: boolean
  #local: InternetAddress | undefined
  #remote: InternetAddress | undefined
  #lastTo: Destination | undefined
  #lastTarget: Destination | undefined

  /** @param socket bound, or connected as well. */
  constructor(
    socket: NodeUdpSocket['socket'],
    ipv6: boolean,
    connected: boolean,
    handler: UdpHandler,
    options: UdpOptions,
  ) {
    super(socket, handler, options)
    this.#ipv6 = ipv6
    this.#connected = connected
  }

  override get localAddress(): InternetAddress | undefined {
    // Without a port, after disconnecting, it is one until the next `send` only.
    if (this.#local === undefined || this.#local.port === 0) this.#local = this.#address('address')
    return this.#local
  }

  override get remoteAddress(): InternetAddress | undefined {
    if (this.#connected) this.#remote ??= this.#address('remoteAddress')
    return this.#remote
  }

  async connect(to: Destination): Promise<void> {
    const target = { address: checkDestination(to, this.#ipv6, false), port: to.port }
    this.assertOpen()
    const before = this.remoteAddress
    this.flush()
    if (this.#connected) this.socket.disconnect()
    try {
      await this.#connect(target)
    } catch (error) {
      if (before !== undefined && this.state === 'open') await this.#connect(before)
      throw error
    }
  }

  disconnect(): void {
    this.assertOpen()
    this.flush()
    this.socket.disconnect()
    this.#connectionChanged()
  }

  #connect({ address, port }: Destination): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.connect(port, address, (error?: Error) => {
        if (error === undefined) resolve()
        else reject(error)
      })
      this.#connectionChanged()
    })
  }

  /** Node tells in a later turn; by then the peer may have been sent to. */
  #connectionChanged(): void {
    this.#local = this.#remote = undefined
    try {
      this.socket.remoteAddress()
      this.#connected = true
    } catch {
      this.#connected = false
    }
  }

  protected override destination(to: Destination | undefined): Destination | undefined {
    if (to === undefined) {
      if (this.#connected) return undefined
      throw Object.assign(new Error('Not connected'), { code: 'ERR_SOCKET_DGRAM_NOT_CONNECTED' })
    }
    if (this.#connected) {
      throw Object.assign(new Error('Already connected'), { code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' })
    }
    const last = this.#lastTo
    if (last === undefined || !isSame(last, to)) {
      this.#lastTarget = { address: checkDestination(to, this.#ipv6, true), port: to.port }
      this.#lastTo = { address: to.address, port: to.port }
    }
    return this.#lastTarget
  }

  setBroadcast(enabled: boolean): void {
    this.assertOpen()
    this.socket.setBroadcast(enabled)
  }

  setTimeToLive(hops: number): void {
    this.assertOpen()
    checkInteger('hops', hops, 1, 255)
    this.socket.setTTL(hops)
  }

  setTypeOfService(_value: number): never {
    throw unsupported('setTypeOfService')
  }

  get sendBufferBytes(): number {
    this.assertOpen()
    return this.socket.getSendBufferSize()
  }

  setSendBufferBytes(sizeBytes: number): void {
    this.assertOpen()
    checkInteger('sizeBytes', sizeBytes, 1, 2 ** 30)
    this.socket.setSendBufferSize(sizeBytes)
  }

  get receiveBufferBytes(): number {
    this.assertOpen()
    return this.socket.getRecvBufferSize()
  }

  setReceiveBufferBytes(sizeBytes: number): void {
    this.assertOpen()
    checkInteger('sizeBytes', sizeBytes, 1, 2 ** 30)
    this.socket.setRecvBufferSize(sizeBytes)
  }

  get pathMtuBytes(): never {
    throw unsupported('pathMtuBytes')
  }

  addMembership(group: string, networkInterface?: string): void {
    this.assertOpen()
    checkGroupAddress('group', group)
    this.socket.addMembership(group, this.#interface(networkInterface))
  }

  dropMembership(group: string, networkInterface?: string): void {
    this.assertOpen()
    checkGroupAddress('group', group)
    this.socket.dropMembership(group, this.#interface(networkInterface))
  }

  addSourceSpecificMembership(source: string, group: string, networkInterface?: string): void {
    this.assertOpen()
    checkGroupAddress('group', group)
    checkGroupAddress('source', source)
    this.socket.addSourceSpecificMembership(source, group, this.#interface(networkInterface))
  }

  dropSourceSpecificMembership(source: string, group: string, networkInterface?: string): void {
    this.assertOpen()
    checkGroupAddress('group', group)
    checkGroupAddress('source', source)
    this.socket.dropSourceSpecificMembership(source, group, this.#interface(networkInterface))
  }

  setMulticastInterface(networkInterface: string): void {
    this.assertOpen()
    this.socket.setMulticastInterface(interfaceAddress(networkInterface, this.#ipv6))
  }

  setMulticastTimeToLive(hops: number): void {
    this.assertOpen()
    checkInteger('hops', hops, 0, 255)
    this.socket.setMulticastTTL(hops)
  }

  setMulticastLoopback(enabled: boolean): void {
    this.assertOpen()
    this.socket.setMulticastLoopback(enabled)
  }

  #interface(networkInterface: string | undefined): string | undefined {
    return networkInterface === undefined ? undefined : interfaceAddress(networkInterface, this.#ipv6)
  }

  #address(call: 'address' | 'remoteAddress'): InternetAddress | undefined {
    if (this.state === 'closing' || this.state === 'closed') return undefined
    const { address, family, port } = this.socket[call]()
    return { address, family: family === 'IPv6' ? 'IPv6' : 'IPv4', port }
  }
}

/**
 * An interface as `node:dgram` wants it told: by an address of it (IPv4), or by a scope (IPv6).
 * @throws SystemError `ENODEV` if there is none such.
 */
function interfaceAddress(networkInterface: string, ipv6: boolean): string {
  checkInterface(networkInterface)
  const family = familyOf(networkInterface)
  if (ipv6) {
    if (networkInterface.includes('%')) return networkInterface
    const name = family === undefined ? networkInterface : interfaceWith(networkInterface)
    if (name === undefined) throw systemError(noSuchDevice, 'if_nametoindex', networkInterface)
    return `::%${name}`
  }
  if (family === internetFamily) return networkInterface
  const found = networkInterfaces()[networkInterface]?.find((info) => info.family === 'IPv4')
  if (found === undefined) throw systemError(noSuchDevice, 'if_nametoindex', networkInterface)
  return found.address
}
