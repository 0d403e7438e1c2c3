import nodeDatagram from 'node:dgram'
import { stockDatagram, whyNoRing } from '@sheaf/ring'
import { createSocket as createSheafSocket, Socket as SheafSocket } from './socket'

/*
 * What `node:dgram` exports, on io_uring; where there is none, or no memory for a ring, `node:dgram` itself. How they
 * differ is in the README.
 */

export type { BindOptions, RemoteInfo, SocketOptions, SocketType } from 'node:dgram'

const onRing: typeof nodeDatagram = {
  ...stockDatagram,
  createSocket: createSheafSocket,
  Socket: SheafSocket as unknown as typeof nodeDatagram.Socket,
}
const dgram = whyNoRing() === '' ? onRing : nodeDatagram

/** So that `dgram.Socket` is a type, too. */
// eslint-disable-next-line @typescript-eslint/no-namespace -- the other meaning of the same name
declare namespace dgram {
  export type BindOptions = nodeDatagram.BindOptions
  export type RemoteInfo = nodeDatagram.RemoteInfo
  export type Socket = nodeDatagram.Socket
  export type SocketOptions = nodeDatagram.SocketOptions
  export type SocketType = nodeDatagram.SocketType
}

export default dgram
export const createSocket: typeof nodeDatagram.createSocket = dgram.createSocket
export type Socket = nodeDatagram.Socket
export const Socket: typeof nodeDatagram.Socket = dgram.Socket
/** Deprecated (DEP0112): Node's own, to whose handles a socket can be bound. */
export const _createSocketHandle = (dgram as unknown as { _createSocketHandle: unknown })._createSocketHandle
