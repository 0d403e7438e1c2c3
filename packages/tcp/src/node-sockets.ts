import type { Server, ServerOpts, Socket } from 'node:net'
import {
  checkSocketDescriptor, hasReusePort, type InternetAddress, limits, listeningServer, type ListenerHandler, nodeSocket,
  nodeSocketOf, NodeStreamListener, type StreamHandler, unsupported,
} from '@sheaf/ring'
import { checkKeepAliveTimers, NodeTcpConnection } from './node-connection'
import type { AdoptOptions, ConnectOptions, ListenOptions, TcpOptions } from './options'
import type { TcpConnection } from './transport'

/*
 * TCP on Node's own sockets: what `listen`, `connect` and `adopt` do where there is no ring.
 */

export async function listenOnNode(
  address: string,
  options: ListenOptions,
  handler: ListenerHandler<TcpConnection>,
): Promise<NodeStreamListener> {
  const { port = 0, backlog = limits.backlog, ipv6Only = false, reusePort = false } = options
  if (reusePort && !hasReusePort) throw unsupported(`reusePort on Node.js ${process.versions.node}`)
  const where = { host: address, port, backlog, ipv6Only, reusePort }
  return listener(await listeningServer(where, socketOptions(options)), options, handler)
}

export async function listenOnNodeDescriptor(
  fd: number,
  options: ListenOptions,
  handler: ListenerHandler<TcpConnection>,
): Promise<NodeStreamListener> {
  checkSocketDescriptor(fd, 'listening TCP socket')
  return listener(await listeningServer({ fd }, socketOptions(options)), options, handler)
}

/** A connection on its way to `address`. */
export function connectingOnNode(
  address: string,
  options: ConnectOptions,
  handler: StreamHandler<TcpConnection>,
): NodeTcpConnection {
  const { port, localAddress, localPort } = options
  const connection = new NodeTcpConnection(nodeSocket(socketOptions(options)), handler, options)
  connection.connect((socket) => {
    socket.connect({ host: address, port, localAddress, localPort })
  })
  return connection
}

export function adoptOnNode(options: AdoptOptions, handler: StreamHandler<TcpConnection>): NodeTcpConnection {
  const { noDelay, keepAlive, keepAliveInitialDelay } = socketOptions(options)
  const socket = nodeSocketOf(options.fd, 'TCP socket')
  socket.setNoDelay(noDelay).setKeepAlive(keepAlive, keepAliveInitialDelay)
  const connection = new NodeTcpConnection(socket, handler, options)
  connection.begin()
  return connection
}

function listener(server: Server, options: ListenOptions, handler: ListenerHandler<TcpConnection>): NodeStreamListener {
  const accept = (socket: Socket): NodeTcpConnection => new NodeTcpConnection(socket, handler, options)
  return new NodeStreamListener(server, server.address() as InternetAddress, handler, accept)
}

/** What `net.Socket` and `net.Server` are told of {@link TcpOptions}. */
function socketOptions({ noDelay = true, keepAlive }: TcpOptions): ServerOpts {
  checkKeepAliveTimers(keepAlive)
  const idleSeconds = typeof keepAlive === 'object' ? keepAlive.idleSeconds : undefined
  return {
    noDelay,
    keepAlive: keepAlive !== undefined && keepAlive !== false,
    keepAliveInitialDelay: (idleSeconds ?? 0) * 1000,
  }
}
