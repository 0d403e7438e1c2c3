import {
  checkInteger, getSocketOptionBytes, type InternetAddress, invalidArgumentType, StreamConnection, type StreamHandler,
  systemError,
} from '@sheaf/ring'
import { decodeSocketAddress, socketAddressBytesMax } from './socket-address'
import { getOption, setOption, socketOption } from './socket-options'
import { decodeTcpInfo, type TcpInfo, tcpInfoBytes } from './tcp-info'

/** The three timers of TCP keep-alive. What is absent keeps the system's default. */
export interface KeepAlive {
  /** Idle time before the first probe, in seconds, 1 to 32767. */
  idleSeconds?: number
  /** Time between probes, in seconds, 1 to 32767. */
  intervalSeconds?: number
  /** Unanswered probes before the connection is given up, 1 to 127. */
  probes?: number
}

const congestionNameBytesMax = 16

/** A TCP connection: the stream {@link StreamConnection} is, with TCP's addresses and options. */
export class TcpConnection extends StreamConnection {
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

  /** Sends small segments at once instead of waiting for acknowledgements of earlier ones (Nagle's algorithm off). */
  setNoDelay(enabled = true): void {
    this.#set('noDelay', enabled ? 1 : 0)
  }

  /** Probes an idle peer, or stops doing so. @throws RangeError for a timer out of range. */
  setKeepAlive(keepAlive: KeepAlive | boolean): void {
    this.#set('keepAlive', keepAlive === false ? 0 : 1)
    if (typeof keepAlive === 'boolean') return
    const { idleSeconds, intervalSeconds, probes } = keepAlive
    if (idleSeconds !== undefined) this.#setInteger('keepAliveIdle', 'idleSeconds', idleSeconds, 1, 32767)
    if (intervalSeconds !== undefined) {
      this.#setInteger('keepAliveInterval', 'intervalSeconds', intervalSeconds, 1, 32767)
    }
    if (probes !== undefined) this.#setInteger('keepAliveProbes', 'probes', probes, 1, 127)
  }

  /**
   * What closing does with bytes that the peer has not acknowledged. @param seconds 0 to 65535; 0 makes it a reset,
   * undefined is the default again.
   */
  setLinger(seconds: number | undefined): void {
    if (seconds !== undefined) checkInteger('seconds', seconds, 0, 65535)
    this.#set('linger', seconds === undefined ? 0 : 1, seconds ?? 0)
  }

  /** What the kernel knows of the connection (`TCP_INFO`). */
  info(): TcpInfo {
    const bytes = new Uint8Array(tcpInfoBytes)
    getSocketOptionBytes(this.ring.sockets, this.openDescriptor, socketOption.info, bytes)
    return decodeTcpInfo(bytes)
  }

  /** Bytes that may wait unsent in the kernel before it calls the socket full (`TCP_NOTSENT_LOWAT`), 0 to 2^31-1. */
  setNotSentLowWater(sizeBytes: number): void {
    this.#setInteger('notSentLowWater', 'sizeBytes', sizeBytes, 0, 2 ** 31 - 1)
  }

  /**
   * Time that sent bytes may stay unacknowledged before the connection is given up, in ms; 0 is the system's default.
   */
  setUserTimeout(timeoutMs: number): void {
    this.#setInteger('userTimeout', 'timeoutMs', timeoutMs, 0, 2 ** 31 - 1)
  }

  /** Acknowledges at once. The kernel goes back to delayed acknowledgements by itself, so this is not permanent. */
  setQuickAck(enabled = true): void {
    this.#set('quickAck', enabled ? 1 : 0)
  }

  /** Name of the congestion control algorithm in use. */
  get congestionControl(): string {
    const bytes = Buffer.alloc(congestionNameBytesMax)
    const option = socketOption.congestionControl
    const length = getSocketOptionBytes(this.ring.sockets, this.openDescriptor, option, bytes)
    return bytes.toString('latin1', 0, length).replace(/\0.*$/s, '')
  }

  /**
   * @param name one of `net.ipv4.tcp_available_congestion_control`. @throws SystemError `ENOENT` if there is none
   * such.
   */
  setCongestionControl(name: string): void {
    if (typeof name !== 'string') throw invalidArgumentType('name', 'of type string', name)
    const [level, option] = socketOption.congestionControl
    const result = this.ring.sockets.setsockopt(this.openDescriptor, level, option, Buffer.from(name, 'latin1'))
    if (result < 0) throw systemError(result, 'setsockopt')
  }

  /** The IPv4 type of service, or IPv6 traffic class, of what is sent, 0 to 255. */
  setTypeOfService(value: number): void {
    this.#setInteger(this.#isIPv6() ? 'trafficClass' : 'typeOfService', 'value', value, 0, 255)
  }

  get typeOfService(): number {
    return this.#get(this.#isIPv6() ? 'trafficClass' : 'typeOfService')
  }

  /** Mark for routing and filtering, 0 to 2^32-1. Needs `CAP_NET_ADMIN`. @throws SystemError `EPERM` */
  setMark(mark: number): void {
    this.#setInteger('mark', 'mark', mark, 0, 2 ** 32 - 1)
  }

  /** Closing with unsent bytes thrown away and no lingering is how a socket sends a reset. */
  protected override prepareReset(): void {
    this.setLinger(0)
  }

  #isIPv6(): boolean {
    return this.localAddress?.family === 'IPv6'
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
