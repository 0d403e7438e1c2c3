import { type BlockList, isIP } from 'node:net'
import { timers } from '@sheaf/ring'
import { Errno } from '../abi'
import type { Endpoint, SocketName } from './address-family'
import { addressError, aggregateError, blockedAddress, connectionTimeout } from './errors'
import type { Socket } from './socket'
import type { SocketHandle } from './socket-handle'

export interface AttemptOptions {
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
  /** Addresses that are not connected to. */
  readonly blockList?: BlockList | undefined
  /** Time that an attempt is given before the next address is tried. */
  readonly attemptTimeoutMs?: number
}

/** A handler may have destroyed it. */
function isConnecting(socket: Socket): boolean {
  return socket.connecting
}

/** As it is told of a call of `connect` that has failed. */
function localOf(handle?: SocketHandle): string {
  const name: SocketName = {}
  handle?.getsockname(name)
  return `${name.address}:${name.port}`
}

const anyAddress = { 4: '0.0.0.0', 6: '::' } as const

/**
 * The attempts to connect one socket: to one address, or to several in turn (`autoSelectFamily`, RFC 8305), of which
 * each but the last is given a limited time. The last error, or all of them, destroy the socket.
 */
export class ConnectAttempts {
  readonly #socket: Socket
  readonly #endpoints: readonly Endpoint[]
  readonly #options: AttemptOptions
  readonly #handleFor: (first: boolean) => SocketHandle
  readonly #errors: Error[] = []
  #current = -1
  /** Of the attempt that is under way. */
  #handle: SocketHandle | undefined
  /** Where it is from, if it may have failed within `connect`. */
  #local: string | undefined
  #timer: NodeJS.Timeout | undefined

  /** @param handleFor gives the socket's handle, or a new one in its place for every attempt but the first. */
  constructor(
    socket: Socket,
    endpoints: readonly Endpoint[],
    options: AttemptOptions,
    handleFor: (first: boolean) => SocketHandle,
  ) {
    this.#socket = socket
    this.#endpoints = endpoints
    this.#options = options
    this.#handleFor = handleFor
  }

  get #several(): boolean {
    return this.#endpoints.length > 1
  }

  /** Tries the next address. */
  next(): void {
    timers.clearTimeout(this.#timer)
    const socket = this.#socket
    // As with Node, which has a socket with one address connect, though it has told the abort.
    if (this.#several && socket._aborted === true) return
    if (this.#current + 1 === this.#endpoints.length) {
      socket.destroy(this.#errors.length === 0 ? connectionTimeout() : aggregateError(this.#errors))
      return
    }
    this.#current++
    const endpoint = this.#endpoints[this.#current]
    const { address, port, version } = endpoint
    const handle = this.#handleFor(this.#current === 0)
    this.#handle = handle
    if (version !== 0 && this.#options.blockList?.check(address, version === 4 ? 'ipv4' : 'ipv6') === true) {
      this.#fail(blockedAddress(address), this.#several)
      return
    }
    const opened = handle.fd === -1 ? handle.open(endpoint) : 0
    if (opened < 0) {
      this.#fail(addressError(opened, 'connect', address, port, version === 0 ? undefined : localOf()), this.#several)
      return
    }
    if (!this.#bind(handle, endpoint)) return
    socket.emit('connectionAttempt', ...this.#where(endpoint))
    if (!socket.connecting) return
    if (this.#several) socket.autoSelectFamilyAttemptedAddresses?.push(`${address}:${port}`)
    const result = handle.connect(endpoint)
    this.#local = version !== 0 && handle.connectAnswered ? localOf(handle) : undefined
    if (result < 0) {
      const name = socket._getsockname()
      this.#fail(addressError(result, 'connect', address, port, `${name.address}:${name.port}`), this.#several)
    } else if (this.#current + 1 < this.#endpoints.length) {
      this.#timer = timers.setTimeout(this.#timeOut, this.#options.attemptTimeoutMs)
    }
  }

  /** How the attempt on `handle` ended. @returns whether the socket is connected. */
  ended(handle: SocketHandle, error: NodeJS.ErrnoException | undefined): boolean {
    if (handle !== this.#handle) return false
    timers.clearTimeout(this.#timer)
    this.#handle = undefined
    if (error === undefined) return true
    const { errno } = error
    if (errno === undefined) this.#fail(error, true)
    // libuv tells of a refusal later.
    else if (this.#local === undefined || errno === -Errno.ECONNREFUSED) this.#fail(this.#error(errno), true)
    else this.#fail(this.#errorWithin(errno, this.#local), this.#several)
    return false
  }

  /** The socket was destroyed. What became of one of several attempts is told as it is of those that failed. */
  cancelled(): void {
    timers.clearTimeout(this.#timer)
    if (this.#several && this.#handle !== undefined) {
      this.#socket.emit('connectionAttemptFailed', ...this.#where(), this.#error(-Errno.ECANCELED))
    }
  }

  #bind(handle: SocketHandle, { version }: Endpoint): boolean {
    const { localAddress, localPort } = this.#options
    if (version === 0 || (localAddress === undefined && localPort === undefined)) return true
    const local = { address: localAddress ?? anyAddress[version], port: localPort ?? 0, version }
    const result = isIP(local.address) === version ? handle.bind(local) : -Errno.EINVAL
    if (result < 0) this.#fail(addressError(result, 'bind', local.address, local.port), false)
    return result >= 0
  }

  /** @param tell that it was an attempt. */
  #fail(error: Error, tell: boolean): void {
    this.#handle = undefined
    if (tell) this.#socket.emit('connectionAttemptFailed', ...this.#where(), error)
    if (!this.#socket.connecting) return
    if (this.#several) {
      this.#errors.push(error)
      this.next()
    } else {
      this.#socket.destroy(error)
    }
  }

  readonly #timeOut = (): void => {
    if (!this.#socket.connecting) return
    this.#socket.emit('connectionAttemptTimeout', ...this.#where())
    this.#errors.push(this.#error(-Errno.ETIMEDOUT))
    this.#handle?.close()
    this.#handle = undefined
    if (isConnecting(this.#socket)) this.next()
  }

  /** Of a call of `connect`, of which Node tells less. */
  #errorWithin(errno: number, local: string): Error {
    const { address, port } = this.#endpoints[this.#current]
    return addressError(errno, 'connect', address, port, local)
  }

  #error(errno: number): Error {
    const { address, port } = this.#endpoints[this.#current]
    const { localAddress, localPort } = this.#options
    const local = localAddress !== undefined && localPort !== undefined ? `${localAddress}:${localPort}` : undefined
    const error = addressError(errno, 'connect', address, port, local)
    return local === undefined ? error : Object.assign(error, { localAddress, localPort })
  }

  /** An endpoint as events tell it: of a path there is nothing but the path. */
  #where(endpoint = this.#endpoints[this.#current]): [string, number | undefined, number | undefined] {
    const { address, port, version } = endpoint
    return version === 0 ? [address, undefined, undefined] : [address, port, version]
  }
}
