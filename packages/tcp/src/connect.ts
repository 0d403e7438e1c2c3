import { lookup as systemLookup } from 'node:dns'
import { defaultRing, type Ring, type StreamHandler, systemError } from '@sheaf/ring'
import { TcpConnection } from './connection'
import { type AdoptOptions, checkAdoptOptions, checkConnectOptions, type ConnectOptions } from './options'
import { adoptDescriptor, applyStreamOptions, bindSocket, openSocket, prepared, socketAddress } from './socket'
import { familyOf } from './socket-address'
import { setOption } from './socket-options'

const timedOut = -110

/**
 * Connects to a TCP server; the connection is told to `handler`, beginning with `open`.
 * @returns when connected. Rejects with `TypeError` or `RangeError` for bad options; with what `net.connect` fails with
 *   (`ECONNREFUSED`, `EHOSTUNREACH`, `ENOTFOUND`, …: an `AggregateError` of them if several addresses failed); with
 *   `ETIMEDOUT` after `timeout`; with an `AbortError`; with `ERR_SHEAF_UNAVAILABLE` where there is no io_uring.
 */
export async function connect(options: ConnectOptions, handler: StreamHandler<TcpConnection>): Promise<TcpConnection> {
  checkConnectOptions(options, handler)
  options.signal?.throwIfAborted()
  const attempt = new ConnectAttempt(options, handler)
  try {
    return await attempt.run()
  } finally {
    attempt.finished()
  }
}

/**
 * Makes a connection of a connected TCP socket that is there already. The descriptor belongs to it from then on, unless
 * this throws.
 * @throws TypeError, RangeError for bad options; SystemError `EBADF`; SheafError `ERR_SHEAF_UNAVAILABLE`.
 */
export function adopt(options: AdoptOptions, handler: StreamHandler<TcpConnection>): TcpConnection {
  checkAdoptOptions(options, handler)
  const ring = options.ring ?? defaultRing()
  ring.assertOpen()
  adoptDescriptor(ring, options.fd, false)
  applyStreamOptions(ring, options.fd, options)
  const connection = new TcpConnection(ring, options.fd, handler, options)
  connection.begin()
  return connection
}

/** One call of `connect`: the addresses are tried in turn until one answers, time is up, or it is aborted. */
class ConnectAttempt {
  readonly #options: ConnectOptions
  readonly #handler: StreamHandler<TcpConnection>
  readonly #ring: Ring
  readonly #host: string
  #connecting: TcpConnection | undefined
  #timer: NodeJS.Timeout | undefined
  /** Why no further address is tried. */
  #givenUp: Error | undefined
  #giveUp: (error: Error) => void = () => undefined

  constructor(options: ConnectOptions, handler: StreamHandler<TcpConnection>) {
    this.#options = options
    this.#handler = handler
    this.#ring = options.ring ?? defaultRing()
    this.#host = options.host === undefined || options.host === '' ? 'localhost' : options.host
  }

  async run(): Promise<TcpConnection> {
    const { signal, timeout, port } = this.#options
    const givenUp = new Promise<never>((_resolve, reject) => {
      this.#giveUp = (error) => {
        this.#givenUp = error
        // A connection under way reports the error itself, once the kernel has let go of it.
        if (this.#connecting === undefined) reject(error)
        else this.#connecting.destroy(error)
      }
    })
    if (timeout !== undefined) {
      this.#timer = setTimeout(() => {
        this.#giveUp(systemError(timedOut, 'connect', this.#host, port))
      }, timeout)
    }
    signal?.addEventListener('abort', this.#abort, { once: true })
    return Promise.race([this.#tryAll(), givenUp])
  }

  finished(): void {
    clearTimeout(this.#timer)
    if (this.#connecting === undefined) this.#options.signal?.removeEventListener('abort', this.#abort)
  }

  readonly #abort = (): void => {
    const { signal } = this.#options
    const error = new Error('The operation was aborted', { cause: signal?.reason })
    this.#giveUp(Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' }))
  }

  async #tryAll(): Promise<TcpConnection> {
    const errors: Error[] = []
    for (const address of await this.#addresses()) {
      this.#throwIfGivenUp()
      try {
        return await this.#tryOne(address)
      } catch (error) {
        errors.push(error as Error)
      }
      this.#throwIfGivenUp()
    }
    if (errors.length === 1) throw errors[0]
    const message = errors.map((error) => error.message).join('; ')
    throw Object.assign(new AggregateError(errors, message), { code: (errors[0] as NodeJS.ErrnoException).code })
  }

  #throwIfGivenUp(): void {
    if (this.#givenUp !== undefined) throw this.#givenUp
  }

  #addresses(): Promise<string[]> {
    const { family = 0, lookup = systemLookup } = this.#options
    const host = this.#host
    if (familyOf(host) !== undefined) return Promise.resolve([host])
    return new Promise((resolve, reject) => {
      lookup(host, { all: true, family }, (error, found) => {
        if (error) reject(error)
        else resolve(found.map(({ address }) => address))
      })
    })
  }

  #tryOne(address: string): Promise<TcpConnection> {
    const { port } = this.#options
    const ring = this.#ring
    ring.assertOpen()
    const fd = this.#boundSocket(address)
    const target = prepared(ring, fd, () => socketAddress(ring, address, port))
    return new Promise((resolve, reject) => {
      const connecting: StreamHandler<TcpConnection> = {
        open: (connection) => {
          connection.handler = this.#handler
          resolve(connection)
          this.#handler.open?.(connection)
        },
        close: (_connection, error) => {
          this.#connecting = undefined
          reject(withTarget(error as NodeJS.ErrnoException, address, port))
        },
      }
      const connection = new TcpConnection(ring, fd, connecting, this.#options)
      connection.onClosed = () => {
        this.#options.signal?.removeEventListener('abort', this.#abort)
      }
      this.#connecting = connection
      ring.metrics.connected++
      connection.connect(target)
    })
  }

  #boundSocket(address: string): number {
    const { localAddress, localPort } = this.#options
    const ring = this.#ring
    const fd = openSocket(ring, address)
    return prepared(ring, fd, () => {
      applyStreamOptions(ring, fd, this.#options)
      if (localAddress !== undefined || localPort !== undefined) {
        if (localPort !== undefined && localPort !== 0) setOption(ring.sockets, fd, 'reuseAddress', 1)
        const any = address.includes(':') ? '::' : '0.0.0.0'
        bindSocket(ring, fd, localAddress ?? any, localPort ?? 0, 'bind')
      }
      return fd
    })
  }
}

/** Puts into the error of a refused connection what Node puts there: where it was to go. */
function withTarget(error: NodeJS.ErrnoException, address: string, port: number): Error {
  if (error.syscall !== 'connect' || error.errno === undefined || 'address' in error) return error
  return systemError(error.errno, 'connect', address, port)
}
