import {
  adoptDescriptor, ConnectAttempt, copyOptions, guarded, type ListenerHandler, openSocket, prepared, ringOnlyFor,
  throwIfAborted,
} from '@sheaf/ring'
import { listenOnRing } from '../listening'
import { beginPair, openPair, unixSeqpacketSocket } from '../socket'
import type { UnixListener } from '../transport'
import { encodeUnixAddress, nonBlockingType } from '../unix-address'
import { SeqpacketConnection, type SeqpacketHandler } from './connection'
import {
  type AdoptOptions, checkAdoptOptions, checkConnectOptions, checkListenOptions, checkSeqpacketOptions,
  type ConnectOptions, type ListenOptions, type SeqpacketOptions,
} from './options'

/**
 * Listens for connections on a path or an abstract name; each is told to `handler`. Resolves and rejects as `listen`
 * for streams does; with `ERR_SHEAF_UNSUPPORTED` where there is no io_uring.
 */
// eslint-disable-next-line @typescript-eslint/require-await -- errors are to reject, as those of the other adapters do
export async function listen(
  options: ListenOptions,
  handler: SeqpacketHandler & Pick<ListenerHandler, 'acceptError'>,
): Promise<UnixListener> {
  const own = copyOptions<ListenOptions>(options)
  checkListenOptions(own, handler)
  throwIfAborted(own.signal)
  const ring = ringOnlyFor(own, 'A Unix seqpacket socket')
  const listener = listenOnRing(ring, unixSeqpacketSocket, own, handler, (fd) =>
    new SeqpacketConnection(ring, fd, handler, own))
  listener.closeOnAbort(own.signal)
  return listener
}

/**
 * Connects to a seqpacket socket; the connection is told to `handler`, beginning with `open`. Resolves and rejects as
 * `connect` for streams does; with `ERR_SHEAF_UNSUPPORTED` where there is no io_uring.
 */
export async function connect(options: ConnectOptions, handler: SeqpacketHandler): Promise<SeqpacketConnection> {
  const own = copyOptions<ConnectOptions>(options)
  checkConnectOptions(own, handler)
  const ring = ringOnlyFor(own, 'A Unix seqpacket socket')
  const { path } = own
  const attempt = new ConnectAttempt<SeqpacketConnection>(own, handler)
  const create = (connecting: SeqpacketHandler): SeqpacketConnection => {
    const target = encodeUnixAddress(path, 'connect')
    const { domain, type } = unixSeqpacketSocket
    const fd = openSocket(ring, domain, type | nonBlockingType, 0)
    const connection = prepared(ring, fd, () => new SeqpacketConnection(ring, fd, connecting, own))
    connection.connect(target)
    return connection
  }
  return attempt.run(() => attempt.establish(create, path), path)
}

/**
 * Makes a connection of a connected Unix seqpacket socket that is there already. The descriptor belongs to it from then
 * on, unless this throws. `open` is called before this returns.
 * @throws TypeError, RangeError for bad options; SystemError `EBADF`; SheafError `ERR_SHEAF_UNSUPPORTED` where there is
 *   no io_uring.
 */
export function adopt(options: AdoptOptions, handler: SeqpacketHandler): SeqpacketConnection {
  checkAdoptOptions(options, handler)
  const ring = ringOnlyFor(options, 'A Unix seqpacket socket')
  adoptDescriptor(ring, options.fd, unixSeqpacketSocket, 'connected')
  const connection = new SeqpacketConnection(ring, options.fd, handler, options)
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
  options: SeqpacketOptions,
  handler: SeqpacketHandler,
  otherHandler: SeqpacketHandler = handler,
): [SeqpacketConnection, SeqpacketConnection] {
  checkSeqpacketOptions(options, handler)
  checkSeqpacketOptions(options, otherHandler)
  const ring = ringOnlyFor(options, 'A Unix seqpacket socket')
  const pair = openPair(ring, unixSeqpacketSocket, () => undefined, (fd, index) =>
    new SeqpacketConnection(ring, fd, index === 0 ? handler : otherHandler, options))
  beginPair(pair)
  return pair
}
