import { getSocketOptionBytes, type PeerCredentials, type SocketCalls, type SocketOption } from '@sheaf/ring'

/** `SO_PEERCRED`: three words. */
const peerCredentials: SocketOption = [1, 17]

/**
 * The credentials that the peer had when it called `connect` or `listen` (or `socketpair`). The kernel vouches for
 * them. @throws SystemError of `getsockopt`.
 */
export function readPeerCredentials(sockets: SocketCalls, fd: number): PeerCredentials {
  const words = new Uint32Array(3)
  getSocketOptionBytes(sockets, fd, peerCredentials, new Uint8Array(words.buffer))
  const [pid, uid, gid] = words
  return { pid, uid, gid }
}
