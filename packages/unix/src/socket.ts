import { Lane, type Ring, type SocketKind, systemError, type TransportState } from '@sheaf/ring'
import type { FileOptions } from './options'
import { SocketFile } from './socket-file'
import { encodeUnixAddress, isAbstract, unixFamily } from './unix-address'

export const unixStreamSocket = {
  name: 'Unix stream socket',
  domain: unixFamily,
  type: 1,
} as const satisfies SocketKind

export const unixDatagramSocket = {
  name: 'Unix datagram socket',
  domain: unixFamily,
  type: 2,
} as const satisfies SocketKind

export const unixSeqpacketSocket = {
  name: 'Unix seqpacket socket',
  domain: unixFamily,
  type: 5,
} as const satisfies SocketKind

/**
 * The lane to the peer of a connected socket. The kernel must not retry what has to wait: it has read the message by
 * then, and would send an empty one in its place (`docs/decisions/0010-unix-messages.md`).
 */
export function peerLane(path?: string): Lane {
  return new Lane(new Uint8Array(0), path, undefined, true)
}

/**
 * Binds a socket to a path or an abstract name. @param syscall what the error is to name. @returns the file, if that
 * made one. @throws SystemError of `bind` (`EADDRINUSE`, `EACCES`, …).
 */
export function bindFile(
  ring: Ring,
  fd: number,
  kind: SocketKind,
  path: string,
  options: FileOptions,
  syscall: string,
): SocketFile | undefined {
  if (isAbstract(path)) {
    const result = ring.sockets.bind(fd, encodeUnixAddress(path, syscall))
    if (result < 0) throw systemError(result, syscall, path)
    return undefined
  }
  const file = new SocketFile(path)
  file.bind(ring, fd, kind, options, syscall)
  return file
}

/**
 * Two sockets that are connected with each other.
 * @param prepare what is done with each descriptor first.
 * @param create makes each of its descriptor.
 * @throws SystemError `EMFILE`, … of `socketpair`, and what those two throw; then both descriptors are closed.
 */
export function openPair<T extends { destroy(): void }>(
  ring: Ring,
  kind: SocketKind,
  prepare: (fd: number) => void,
  create: (fd: number, index: number) => T,
): [T, T] {
  const descriptors = new Int32Array(2)
  const result = ring.sockets.socketpair(unixFamily, kind.type, descriptors)
  if (result < 0) throw systemError(result, 'socketpair')
  const [first, second] = descriptors
  let one: T | undefined
  try {
    prepare(first)
    prepare(second)
    one = create(first, 0)
    return [one, create(second, 1)]
  } catch (error) {
    if (one === undefined) ring.sockets.close(first)
    else one.destroy()
    ring.sockets.close(second)
    throw error
  }
}

/**
 * Begins both of a pair.
 * @throws what `open` of one of them does: nobody would have the pair then, so both are destroyed.
 */
export function beginPair<T extends { readonly state: TransportState, begin(): void, destroy(): void }>(
  pair: readonly [T, T],
): void {
  try {
    // The first's `open` may have closed the ring.
    for (const connection of pair) if (connection.state === 'connecting') connection.begin()
  } catch (error) {
    for (const connection of pair) connection.destroy()
    throw error
  }
}
