import type nodeNet from 'node:net'
import { stockNet, whyNoRing } from '@sheaf/ring'
import { normalizeArguments } from './arguments'
import { announceClient, announcesConnecting } from './client-channel'
import { familyOfKind } from './families'
import { Server } from './server'
import { Socket } from './socket'
import type { SocketOptions } from './socket-options'

export type { AddressFamily, Endpoint, FamilyKind, ListenRequest, SocketName } from './address-family'
export { announceClient, announcesConnecting, connectSilently } from './client-channel'
export { copyToSend, handOver, lentDescriptor } from './hand-over'
export { loadFamilyBy, provideFamily } from './families'
export { offerForTransfer } from './transfer'
export { divert, handleOf, isSheafs, type Socket } from './socket'
export type { Receiver } from './socket-state'
export type { SocketHandle } from './socket-handle'

function connect(...args: unknown[]): Socket {
  const normalized = normalizeArguments(args)
  const [options] = normalized
  const kind = options.path ? 'pipe' : 'tcp'
  // What nobody here can do is left to Node.
  if (familyOfKind(kind) === undefined) return stockNet.connect(...args as [number]) as unknown as Socket
  const socket = new Socket(options as SocketOptions)
  if (!announcesConnecting) announceClient(socket)
  const { timeout } = options
  if (timeout) socket.setTimeout(timeout)
  return socket.connect(normalized)
}

/** Node's own types, and what they leave out. */
export type Net = typeof nodeNet & {
  readonly Stream: typeof nodeNet.Socket
  readonly BoundSocket: unknown
  readonly _createServerHandle: unknown
  readonly _normalizeArgs: unknown
  readonly _setSimultaneousAccepts: unknown
}

const sheafNet = {
  ...stockNet,
  connect,
  createConnection: connect,
  createServer: (...args: ConstructorParameters<typeof Server>) => new Server(...args),
  Server,
  Socket,
  Stream: Socket,
}

/**
 * What `node:net` exports, with sockets and servers on Sheaf's connections; the rest is Node's own. Where there is no
 * io_uring, or no memory for a ring, all is Node's.
 */
export const net = (whyNoRing() === '' ? sheafNet : stockNet) as unknown as Net

/** So that `net.Socket` is a type, too, where `net` is imported as the default of a module. */
// eslint-disable-next-line @typescript-eslint/no-namespace -- the other meaning of the same name
export declare namespace net {
  export type AddressInfo = nodeNet.AddressInfo
  export type BlockList = nodeNet.BlockList
  export type DropArgument = nodeNet.DropArgument
  export type IpcNetConnectOpts = nodeNet.IpcNetConnectOpts
  export type IpcSocketConnectOpts = nodeNet.IpcSocketConnectOpts
  export type ListenOptions = nodeNet.ListenOptions
  export type LookupFunction = nodeNet.LookupFunction
  export type NetConnectOpts = nodeNet.NetConnectOpts
  export type OnReadOpts = nodeNet.OnReadOpts
  export type Server = nodeNet.Server
  export type ServerOpts = nodeNet.ServerOpts
  export type Socket = nodeNet.Socket
  export type SocketAddress = nodeNet.SocketAddress
  export type SocketAddressInitOptions = nodeNet.SocketAddressInitOptions
  export type SocketConnectOpts = nodeNet.SocketConnectOpts
  export type SocketConstructorOpts = nodeNet.SocketConstructorOpts
  export type SocketReadyState = nodeNet.SocketReadyState
  export type TcpNetConnectOpts = nodeNet.TcpNetConnectOpts
  export type TcpSocketConnectOpts = nodeNet.TcpSocketConnectOpts
}
