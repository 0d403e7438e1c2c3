import {
  checkInteger, getSocketOptionBytes, type InternetAddress, invalidArgumentType, StreamConnection, type StreamHandler,
  systemError,
} from '@sheaf/ring'
import { checkKeepAlive } from './options'
import { decodeSocketAddress, socketAddressBytesMax } from './socket-address'
import { getOption, setOption, socketOption } from './socket-options'
import { decodeTcpInfo, type TcpInfo, tcpInfoBytes } from './tcp-info'
import type { KeepAlive, TcpConnection } from './transport'

const congestionNameBytesMax = 16

/** A TCP connection on a ring: the stream that {@link StreamConnection} is, with TCP's addresses and options. */
export class RingTcpConnection extends StreamConnection implements TcpConnection {
  declare handler: StreamHandler<TcpConnection>
  #local: InternetAddress | undefined
  #remote: InternetAddress | undefined

  override get localAddress(): InternetAddress | undefined {
    this.#local ??= this.#address('getsockname')
    return this.#local
  }

  override get remoteAddress(): InternetAddress | undefined {
    this.#remote ??= this.#address('getpeername')
    return this.#remote
  }

  setNoDelay(enabled = true): void {
    this.#set('noDelay', enabled ? 1 : 0)
  }

  setKeepAlive(keepAlive: KeepAlive | boolean): void {
    checkKeepAlive(keepAlive, 'keepAlive')
    this.#set('keepAlive', keepAlive === false ? 0 : 1)
    if (typeof keepAlive === 'boolean') return
    const { idleSeconds, intervalSeconds, probes } = keepAlive
    if (idleSeconds !== undefined) this.#set('keepAliveIdle', idleSeconds)
    if (intervalSeconds !== undefined) this.#set('keepAliveInterval', intervalSeconds)
    if (probes !== undefined) this.#set('keepAliveProbes', probes)
  }

  setLinger(seconds: number | undefined): void {
    if (seconds !== undefined) checkInteger('seconds', seconds, 0, 65535)
    this.#set('linger', seconds === undefined ? 0 : 1, seconds ?? 0)
    this.lingers = seconds !== undefined && seconds > 0
  }

  info(): TcpInfo {
    const bytes = new Uint8Array(tcpInfoBytes)
    getSocketOptionBytes(this.ring.sockets, this.openDescriptor, socketOption.info, bytes)
    return decodeTcpInfo(bytes)
  }

  setNotSentLowWater(sizeBytes: number): void {
    this.#setInteger('notSentLowWater', 'sizeBytes', sizeBytes, 0, 2 ** 31 - 1)
  }

  setUserTimeout(timeoutMs: number): void {
    this.#setInteger('userTimeout', 'timeoutMs', timeoutMs, 0, 2 ** 31 - 1)
  }

  setQuickAck(enabled = true): void {
    this.#set('quickAck', enabled ? 1 : 0)
  }

  get congestionControl(): string {
    const bytes = Buffer.alloc(congestionNameBytesMax)
    const option = socketOption.congestionControl
    const length = getSocketOptionBytes(this.ring.sockets, this.openDescriptor, option, bytes)
    return bytes.toString('latin1', 0, length).replace(/\0.*$/s, '')
  }

  setCongestionControl(name: string): void {
    if (typeof name !== 'string') throw invalidArgumentType('name', 'of type string', name)
    const [level, option] = socketOption.congestionControl
    const result = this.ring.sockets.setsockopt(this.openDescriptor, level, option, Buffer.from(name, 'latin1'))
    if (result < 0) throw systemError(result, 'setsockopt')
  }

  setTypeOfService(value: number): void {
    this.#setInteger(this.#isIPv6() ? 'trafficClass' : 'typeOfService', 'value', value, 0, 255)
  }

  get typeOfService(): number {
    return this.#get(this.#isIPv6() ? 'trafficClass' : 'typeOfService')
  }

  setMark(mark: number): void {
    this.#setInteger('mark', 'mark', mark, 0, 2 ** 32 - 1)
  }

  /** Closing with unsent bytes thrown away and no lingering is how a socket sends a reset. */
  protected override prepareReset(): void {
    this.setLinger(0)
  }

  #isIPv6(): boolean {
    const local = this.localAddress
    // To an IPv4 peer of an IPv6 socket IPv4 is spoken.
    return local?.family === 'IPv6' && !local.address.startsWith('::ffff:')
  }

  #set(name: Parameters<typeof setOption>[2], ...values: number[]): void {
    setOption(this.ring.sockets, this.openDescriptor, name, ...values)
  }

  #get(name: Parameters<typeof setOption>[2]): number {
    return getOption(this.ring.sockets, this.openDescriptor, name)
  }

  #setInteger(option: Parameters<typeof setOption>[2], name: string, value: number, min: number, max: number): void {
    checkInteger(name, value, min, max)
    this.#set(option, value)
  }

  #address(call: 'getsockname' | 'getpeername'): InternetAddress | undefined {
    if (this.state === 'closing' || this.state === 'closed') return undefined
    const bytes = new Uint8Array(socketAddressBytesMax)
    const length = this.ring.sockets[call](this.fd, bytes)
    return length < 0 ? undefined : decodeSocketAddress(bytes.subarray(0, length))
  }
}
