import {
  adoptDescriptor, ConnectAttempt, copyOptions, guarded, openSocket, prepared, type Ring, ringOnlyFor,
  type StreamHandler,
} from '@sheaf/ring'
import { RingUnixConnection } from './connection'
import { ringForStream } from './details'
import type { NodeUnixConnection } from './node-connection'
import { adoptOnNode, connectingOnNode } from './node-sockets'
import {
  type AdoptOptions,
  checkAdoptOptions,
  checkConnectOptions,
  checkPairOptions,
  type ConnectOptions,
  type SocketPairOptions,
} from './options'
import { beginPair, openPair, unixStreamSocket } from './socket'
import type { UnixConnection } from './transport'
import { encodeUnixAddress, nonBlockingType } from './unix-address'

/**
 * Connects to a Unix stream socket; the connection is told to `handler`, beginning with `open`. Where a listener's
 * backlog is full, it waits until that is not so or it is given up, and looks every 10 ms; on Node's sockets it fails
 * with `EAGAIN`.
 * @returns when connected. Rejects with `TypeError` or `RangeError` for bad options; with what `net.connect` fails with
 *   (`ENOENT`, `ECONNREFUSED`, `EACCES`; `EPROTOTYPE` for a socket of another type; …); with `EINVAL` for a path that
 *   is too long; with `ETIMEDOUT` after `timeout`; with an `AbortError`; with `ERR_SHEAF_UNAVAILABLE` where `backend`
 *   wants io_uring and there is none.
 */
export async function connect(
  options: ConnectOptions,
  handler: StreamHandler<UnixConnection>,
): Promise<UnixConnection> {
  const own = copyOptions<ConnectOptions>(options)
  checkConnectOptions(own, handler)
  const ring = ringForStream(own)
  const { path } = own
  const attempt = new ConnectAttempt<RingUnixConnection | NodeUnixConnection>(own, handler)
  const create = ring === undefined
    ? (connecting: StreamHandler<UnixConnection>) => connectingOnNode(own, connecting)
    : (connecting: StreamHandler<UnixConnection>) => connectingOnRing(ring, own, connecting)
  return attempt.run(() => attempt.establish(create, path), path)
}

function connectingOnRing(
  ring: Ring,
  options: ConnectOptions,
  handler: StreamHandler<UnixConnection>,
): RingUnixConnection {
  ring.assertOpen()
  const target = encodeUnixAddress(options.path, 'connect')
  const { domain, type } = unixStreamSocket
  const fd = openSocket(ring, domain, type | nonBlockingType, 0)
  const connection = prepared(ring, fd, () => new RingUnixConnection(ring, fd, handler, options))
  connection.connect(target)
  return connection
}

/**
 * Makes a connection of a connected Unix stream socket that is there already. The descriptor belongs to it from then
 * on, unless this throws.
 * @throws TypeError, RangeError for bad options; SystemError `EBADF`; SheafError `ERR_SHEAF_UNAVAILABLE`.
 */
export function adopt(options: AdoptOptions, handler: StreamHandler<UnixConnection>): UnixConnection {
  checkAdoptOptions(options, handler)
  const ring = ringForStream(options)
  if (ring === undefined) return adoptOnNode(options, handler)
  adoptDescriptor(ring, options.fd, unixStreamSocket, 'connected')
  const connection = new RingUnixConnection(ring, options.fd, handler, options)
  // The descriptor has gone over to it, whatever its handler throws.
  guarded(() => { connection.begin() })
  return connection
}

/**
 * Two connections with each other, both unnamed. `open` of both is called before this returns: if one throws, so
 * does this, and both are destroyed.
 * @param otherHandler of the second; by default it shares the first's.
 * @throws TypeError, RangeError for bad options; SystemError `EMFILE`, … of `socketpair`; SheafError
 *   `ERR_SHEAF_UNSUPPORTED` where there is no io_uring.
 */
export function socketpair(
  options: SocketPairOptions,
  handler: StreamHandler<UnixConnection>,
  otherHandler: StreamHandler<UnixConnection> = handler,
): [UnixConnection, UnixConnection] {
  checkPairOptions(options, handler, otherHandler)
  const ring = ringOnlyFor(options, 'socketpair')
  const pair = openPair(ring, unixStreamSocket, () => undefined, (fd, index) =>
    new RingUnixConnection(ring, fd, index === 0 ? handler : otherHandler, options))
  beginPair(pair)
  return pair
}
