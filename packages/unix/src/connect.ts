import { adoptDescriptor, ConnectAttempt, defaultRing, openSocket, type StreamHandler, systemError } from '@sheaf/ring'
import { UnixConnection } from './connection'
import {
  type AdoptOptions,
  checkAdoptOptions,
  checkConnectOptions,
  checkPairOptions,
  type ConnectOptions,
  type SocketPairOptions,
} from './options'
import { unixStreamSocket } from './socket'
import { encodeUnixAddress } from './unix-address'

/**
 * Connects to a Unix stream socket; the connection is told to `handler`, beginning with `open`. Where a listener's
 * backlog is full, it waits (`node:net` fails with `EAGAIN`).
 * @returns when connected. Rejects with `TypeError` or `RangeError` for bad options; with what `net.connect` fails with
 *   (`ENOENT`, `ECONNREFUSED`, `EACCES`; `EPROTOTYPE` for a socket of another type; …); with `EINVAL` for a path that
 *   is too long; with `ETIMEDOUT` after `timeout`; with an `AbortError`; with `ERR_SHEAF_UNAVAILABLE` where there is no
 *   io_uring.
 */
export async function connect(
  options: ConnectOptions,
  handler: StreamHandler<UnixConnection>,
): Promise<UnixConnection> {
  checkConnectOptions(options, handler)
  const ring = options.ring ?? defaultRing()
  const { path } = options
  const attempt = new ConnectAttempt(ring, options, handler)
  return attempt.run(async () => {
    ring.assertOpen()
    const target = encodeUnixAddress(path, 'connect')
    const { domain, type } = unixStreamSocket
    const fd = openSocket(ring, domain, type, 0)
    return attempt.establish((connecting) => new UnixConnection(ring, fd, connecting, options), target, path)
  }, path)
}

/**
 * Makes a connection of a connected Unix stream socket that is there already. The descriptor belongs to it from then
 * on, unless this throws.
 * @throws TypeError, RangeError for bad options; SystemError `EBADF`; SheafError `ERR_SHEAF_UNAVAILABLE`.
 */
export function adopt(options: AdoptOptions, handler: StreamHandler<UnixConnection>): UnixConnection {
  checkAdoptOptions(options, handler)
  const ring = options.ring ?? defaultRing()
  ring.assertOpen()
  adoptDescriptor(ring, options.fd, unixStreamSocket, 'connected')
  const connection = new UnixConnection(ring, options.fd, handler, options)
  connection.begin()
  return connection
}

/**
 * Two connections with each other, both unnamed. `open` of both is called before this returns.
 * @param otherHandler of the second; by default it shares the first's.
 * @throws TypeError, RangeError for bad options; SystemError `EMFILE`, … of `socketpair`; SheafError
 *   `ERR_SHEAF_UNAVAILABLE`.
 */
export function socketpair(
  options: SocketPairOptions,
  handler: StreamHandler<UnixConnection>,
  otherHandler: StreamHandler<UnixConnection> = handler,
): [UnixConnection, UnixConnection] {
  checkPairOptions(options, handler, otherHandler)
  const ring = options.ring ?? defaultRing()
  ring.assertOpen()
  const descriptors = new Int32Array(2)
  const { domain, type } = unixStreamSocket
  const result = ring.sockets.socketpair(domain, type, descriptors)
  if (result < 0) throw systemError(result, 'socketpair')
  const [first, second] = descriptors
  const pair: [UnixConnection, UnixConnection] = [
    new UnixConnection(ring, first, handler, options),
    new UnixConnection(ring, second, otherHandler, options),
  ]
  for (const connection of pair) connection.begin()
  return pair
}
