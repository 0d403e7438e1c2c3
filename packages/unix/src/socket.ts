import { type Ring, type SocketKind, systemError } from '@sheaf/ring'
import { encodeUnixAddress, unixFamily } from './unix-address'

export const unixStreamSocket = {
  name: 'Unix stream socket',
  domain: unixFamily,
  type: 1,
} as const satisfies SocketKind

/** Binds to a path or an abstract name. @throws SystemError of `listen` as Node has it (`EADDRINUSE`, `EACCES`, …). */
export function bindSocket(ring: Ring, fd: number, path: string): void {
  const result = ring.sockets.bind(fd, encodeUnixAddress(path, 'listen'))
  if (result < 0) throw systemError(result, 'listen', path)
}
