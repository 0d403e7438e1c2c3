import { lookup as systemLookup } from 'node:dns'
import {
  adoptDescriptor, ConnectAttempt, copyOptions, guarded, lookUp, prepared, type Ring, ringFor, type StreamHandler,
} from '@sheaf/ring'
import { RingTcpConnection } from './connection'
import type { NodeTcpConnection } from './node-connection'
import { adoptOnNode, connectingOnNode } from './node-sockets'
import { type AdoptOptions, checkAdoptOptions, checkConnectOptions, type ConnectOptions } from './options'
import { applyStreamOptions, bindSocket, openTcpSocket, socketAddress, tcpSocket } from './socket'
import { setOption } from './socket-options'
import type { TcpConnection } from './transport'

/**
 * Connects to a TCP server; the connection is told to `handler`, beginning with `open`.
 * @returns when connected. Rejects with `TypeError` or `RangeError` for bad options; with what `net.connect` fails with
 *   (`ECONNREFUSED`, `EHOSTUNREACH`, `ENOTFOUND`, …: an `AggregateError` of them if several addresses failed); with
 *   `ETIMEDOUT` after `timeout`; with an `AbortError`; with `ERR_SHEAF_UNAVAILABLE` where `backend` wants io_uring and
 *   there is none.
 */
export async function connect(options: ConnectOptions, handler: StreamHandler<TcpConnection>): Promise<TcpConnection> {
  const own = copyOptions<ConnectOptions>(options)
  checkConnectOptions(own, handler)
  const ring = ringFor(own)
  const host = own.host === undefined || own.host === '' ? 'localhost' : own.host
  const attempt: Attempt = new ConnectAttempt<AnyConnection>(own, handler)
  return attempt.run(() => connectToAny(attempt, ring, host, own), host, own.port)
}

/**
 * Makes a connection of a connected TCP socket that is there already. The descriptor belongs to it from then on, unless
 * this throws.
 * @throws TypeError, RangeError for bad options; SystemError `EBADF`; SheafError `ERR_SHEAF_UNAVAILABLE`.
 */
export function adopt(options: AdoptOptions, handler: StreamHandler<TcpConnection>): TcpConnection {
  checkAdoptOptions(options, handler)
  const ring = ringFor(options)
  if (ring === undefined) return adoptOnNode(options, handler)
  adoptDescriptor(ring, options.fd, tcpSocket, 'connected')
  applyStreamOptions(ring, options.fd, options)
  const connection = new RingTcpConnection(ring, options.fd, handler, options)
  // The descriptor has gone over to it, whatever its handler throws.
  guarded(() => { connection.begin() })
  return connection
}

type AnyConnection = RingTcpConnection | NodeTcpConnection
type Attempt = ConnectAttempt<AnyConnection>

/** Tries the addresses of a host in turn until one answers. */
async function connectToAny(
  attempt: Attempt,
  ring: Ring | undefined,
  host: string,
  options: ConnectOptions,
): Promise<AnyConnection> {
  const errors: Error[] = []
  const { family = 0, lookup = systemLookup } = options
  for (const address of await lookUp(host, family, lookup)) {
    attempt.throwIfGivenUp()
    try {
      return await connectToOne(attempt, ring, address, options)
    } catch (error) {
      errors.push(error as Error)
    }
    attempt.throwIfGivenUp()
  }
  if (errors.length === 1) throw errors[0]
  const message = errors.map((error) => error.message).join('; ')
  throw Object.assign(new AggregateError(errors, message), { code: (errors[0] as NodeJS.ErrnoException).code })
}

function connectToOne(
  attempt: Attempt,
  ring: Ring | undefined,
  address: string,
  options: ConnectOptions,
): Promise<AnyConnection> {
  const create = ring === undefined
    ? (handler: StreamHandler<TcpConnection>) => connectingOnNode(address, options, handler)
    : (handler: StreamHandler<TcpConnection>) => connectingOnRing(ring, address, options, handler)
  return attempt.establish(create, address, options.port)
}

function connectingOnRing(
  ring: Ring,
  address: string,
  options: ConnectOptions,
  handler: StreamHandler<TcpConnection>,
): RingTcpConnection {
  ring.assertOpen()
  const fd = boundSocket(ring, address, options)
  const target = prepared(ring, fd, () => socketAddress(ring, address, options.port))
  const connection = new RingTcpConnection(ring, fd, handler, options)
  connection.connect(target)
  return connection
}

function boundSocket(ring: Ring, address: string, options: ConnectOptions): number {
  const { localAddress, localPort } = options
  const fd = openTcpSocket(ring, address)
  return prepared(ring, fd, () => {
    applyStreamOptions(ring, fd, options)
    if (localAddress !== undefined || localPort !== undefined) {
      if (localPort !== undefined && localPort !== 0) setOption(ring.sockets, fd, 'reuseAddress', 1)
      const any = address.includes(':') ? '::' : '0.0.0.0'
      bindSocket(ring, fd, localAddress ?? any, localPort ?? 0, 'bind')
    }
    return fd
  })
}
