import type { Socket, SocketConstructorOpts } from 'node:net'
import { type Ring, stockNet } from '@sheaf/ring'
import type { PrimaryHandle } from './cluster'

/** A handle of Node's own, of a socket that listens or is to. */
export interface NodeListenHandle extends PrimaryHandle {
  readonly fd: number
  /** @returns 0 or `-errno`. */
  listen(backlog: number): number
}

/** Node's own socket on a descriptor, which is closed if that fails. It does not read. */
export function nodeSocket(ring: Ring, fd: number): Socket {
  // Node closes it when this thread ends, too.
  ring.disown(fd)
  try {
    const options = { fd, manualStart: true, allowHalfOpen: true }
    return new stockNet.Socket(options)
  } catch (error) {
    ring.sockets.close(fd)
    throw error
  }
}

/** As {@link nodeSocket}: the handle alone, as only sockets make one of a descriptor without asking a cluster. */
export function nodeListenHandle(ring: Ring, fd: number): NodeListenHandle {
  return handleAlone(nodeSocket(ring, fd))
}

/** As {@link nodeListenHandle}, of a descriptor that Node may have: then it stays. @throws SystemError `EEXIST` */
export function adoptByNode(ring: Ring, fd: number): NodeListenHandle {
  const handle = handleAlone(new stockNet.Socket({ fd, manualStart: true } as SocketConstructorOpts))
  ring.disown(fd)
  return handle
}

function handleAlone(socket: Socket): NodeListenHandle {
  const owner = socket as unknown as { _handle: NodeListenHandle | null }
  const handle = owner._handle as NodeListenHandle
  owner._handle = null
  return handle
}

let ownerSymbol: symbol | undefined

/**
 * Says whose a handle of the cluster's is, as Node's handles do under a symbol that is not exported: a worker asks the
 * owner whether it takes another connection, and closes it before it disconnects.
 */
export function tellOwner(handle: PrimaryHandle, owner: () => object): void {
  ownerSymbol ??= findOwnerSymbol()
  if (ownerSymbol !== undefined) Object.defineProperty(handle, ownerSymbol, { get: owner, configurable: true })
}

function findOwnerSymbol(): symbol | undefined {
  const options: object = { handle: {}, manualStart: true }
  const { _handle: handle } = new stockNet.Socket(options) as unknown as { _handle: object }
  return Object.getOwnPropertySymbols(handle).find(({ description }) => description === 'owner_symbol')
}
