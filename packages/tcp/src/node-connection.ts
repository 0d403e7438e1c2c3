import { type InternetAddress, NodeStreamConnection, type StreamHandler, unsupported } from '@sheaf/ring'
import { checkKeepAlive } from './options'
import type { TcpInfo } from './tcp-info'
import type { KeepAlive, TcpConnection } from './transport'

/** A TCP connection on a socket of `node:net`, with as much of TCP's options as that has. */
export class NodeTcpConnection extends NodeStreamConnection implements TcpConnection {
  declare handler: StreamHandler<TcpConnection>
  #local: InternetAddress | undefined
  #remote: InternetAddress | undefined

  override get localAddress(): InternetAddress | undefined {
    const { localAddress, localFamily, localPort } = this.socket
    this.#local ??= internetAddress(localAddress, localFamily, localPort)
    return this.#local
  }

  override get remoteAddress(): InternetAddress | undefined {
    const { remoteAddress, remoteFamily, remotePort } = this.socket
    this.#remote ??= internetAddress(remoteAddress, remoteFamily, remotePort)
    return this.#remote
  }

  setNoDelay(enabled = true): void {
    this.assertOpen()
    this.socket.setNoDelay(enabled)
  }

  setKeepAlive(keepAlive: KeepAlive | boolean): void {
    this.assertOpen()
    checkKeepAlive(keepAlive, 'keepAlive')
    if (typeof keepAlive === 'boolean') {
      this.socket.setKeepAlive(keepAlive)
      return
    }
    const { idleSeconds } = keepAlive
    checkKeepAliveTimers(keepAlive)
    this.socket.setKeepAlive(true, (idleSeconds ?? 0) * 1000)
  }

  setLinger(_seconds: number | undefined): void {
    throw unsupported('setLinger')
  }

  info(): TcpInfo {
    throw unsupported('info (TCP_INFO)')
  }

  setNotSentLowWater(_sizeBytes: number): void {
    throw unsupported('setNotSentLowWater')
  }

  setUserTimeout(_timeoutMs: number): void {
    throw unsupported('setUserTimeout')
  }

  setQuickAck(_enabled?: boolean): void {
    throw unsupported('setQuickAck')
  }

  get congestionControl(): string {
    throw unsupported('congestionControl')
  }

  setCongestionControl(_name: string): void {
    throw unsupported('setCongestionControl')
  }

  setTypeOfService(_value: number): void {
    throw unsupported('setTypeOfService')
  }

  get typeOfService(): number {
    throw unsupported('typeOfService')
  }

  setMark(_mark: number): void {
    throw unsupported('setMark')
  }

  protected override resetSocket(): void {
    this.socket.resetAndDestroy()
  }
}

/** @throws SheafError `ERR_SHEAF_UNSUPPORTED` for timers that `net.Socket#setKeepAlive` does not take. */
export function checkKeepAliveTimers(keepAlive: KeepAlive | boolean | undefined): void {
  if (typeof keepAlive !== 'object') return
  if (keepAlive.intervalSeconds !== undefined) throw unsupported('keepAlive.intervalSeconds')
  if (keepAlive.probes !== undefined) throw unsupported('keepAlive.probes')
}

function internetAddress(
  address: string | undefined,
  family: string | undefined,
  port: number | undefined,
): InternetAddress | undefined {
  if (address === undefined || port === undefined) return undefined
  return { address, family: family === 'IPv6' ? 'IPv6' : 'IPv4', port }
}
