import { copyOptions, type ListenerHandler, throwIfAborted } from '@sheaf/ring'
import { RingUnixConnection } from './connection'
import { ringForStream } from './details'
import { listenOnRing } from './listening'
import { listenOnNode } from './node-sockets'
import { checkListenOptions, type ListenOptions } from './options'
import { unixStreamSocket } from './socket'
import type { UnixConnection, UnixListener } from './transport'

/**
 * Listens for connections on a path or an abstract name; each is told to `handler`.
 * @returns when connections are accepted. Rejects with `TypeError` or `RangeError` for bad options; with what Node's
 *   `server.listen` fails with (`EADDRINUSE`, `EACCES`, …; `ENOENT` for a directory that is not there, which Node calls
 *   `EACCES`); with `EINVAL` for a path that is too long; with `ERR_SHEAF_UNAVAILABLE` where `backend` wants
 *   io_uring and there is none; with an `AbortError` if `signal` is aborted already.
 */
export async function listen(options: ListenOptions, handler: ListenerHandler<UnixConnection>): Promise<UnixListener> {
  const own = copyOptions<ListenOptions>(options)
  checkListenOptions(own, handler)
  throwIfAborted(own.signal)
  const ring = ringForStream(own)
  const listener = ring === undefined
    ? await listenOnNode(own, handler)
    : listenOnRing(ring, unixStreamSocket, own, handler, (fd) => new RingUnixConnection(ring, fd, handler, own))
  listener.closeOnAbort(own.signal)
  return listener
}
