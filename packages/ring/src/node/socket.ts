import { fstatSync } from 'node:fs'
import { Socket, type SocketConstructorOpts } from 'node:net'
import { invalidArgumentValue } from '../errors'

// As it is now: `@sheaf/tcp/register` may put Sheaf's in its place later.
const NodeSocket = Socket

/** A socket of `node:net` for a `NodeStreamConnection`. */
export function nodeSocket(options: SocketConstructorOpts = {}): Socket {
  return new NodeSocket({ ...options, allowHalfOpen: true })
}

/**
 * Makes one of a descriptor.
 * @param kind as a message says it: `TCP socket`.
 * @throws SystemError `EBADF`; TypeError `ERR_INVALID_ARG_VALUE` for what is no socket, or none of Node's.
 */
export function nodeSocketOf(fd: number, kind: string): Socket {
  checkSocketDescriptor(fd, `connected ${kind}`)
  try {
    return nodeSocket({ fd, readable: true, writable: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_INVALID_FD_TYPE') throw error
    throw invalidArgumentValue('options.fd', `must be a connected ${kind}`, fd)
  }
}

/** @throws SystemError `EBADF`; TypeError `ERR_INVALID_ARG_VALUE` for what is no socket. */
export function checkSocketDescriptor(fd: number, what: string): void {
  if (!fstatSync(fd).isSocket()) throw invalidArgumentValue('options.fd', `must be a ${what}`, fd)
}
