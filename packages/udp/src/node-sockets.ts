import { createSocket, type Socket, type SocketOptions } from 'node:dgram'
import { familyOf, hasReusePort, internet6Family, unsupported } from '@sheaf/ring'
import { NodeUdpSocket } from './node-socket'
import type { BindOptions, ConnectOptions, UdpOptions } from './options'
import type { UdpHandler } from './transport'

/*
 * UDP on Node's own sockets: what `bind` and `connect` do where there is no ring.
 */

// As it is now: `@sheaf/udp/register` may put Sheaf's in its place later.
const createNodeSocket = createSocket

export async function bindOnNode(
  address: string,
  port: number,
  options: BindOptions,
  handler: UdpHandler,
): Promise<NodeUdpSocket> {
  const socket = open(address, options)
  await bound(socket, address, port)
  return started(socket, address, false, options, handler)
}

export async function connectOnNode(
  address: string,
  options: ConnectOptions,
  handler: UdpHandler,
): Promise<NodeUdpSocket> {
  const { port, localAddress, localPort = 0 } = options
  const socket = open(address, options)
  const any = familyOf(address) === internet6Family ? '::' : '0.0.0.0'
  await bound(socket, localAddress ?? any, localPort)
  await settled(socket, (done) => {
    socket.connect(port, address, done)
  })
  return started(socket, address, true, options, handler)
}

/** What `node:dgram` has nothing like. The other options of a socket it has. */
const unsupportedOptions = [
  'typeOfService', 'pathMtuDiscovery', 'packetInfo', 'timestamps', 'dropCounter', 'receiveTypeOfService',
] as const

function open(address: string, options: UdpOptions & { ipv6Only?: boolean }): Socket {
  for (const name of unsupportedOptions) {
    if (options[name] !== undefined && options[name] !== false) throw unsupported(`options.${name}`)
  }
  const { reuseAddress = false, reusePort = false, ipv6Only = false, sendBufferBytes, receiveBufferBytes } = options
  if (reusePort && !hasReusePort) throw unsupported(`reusePort on Node.js ${process.versions.node}`)
  const ipv6 = familyOf(address) === internet6Family
  const socketOptions: SocketOptions & { reusePort?: boolean } = {
    type: ipv6 ? 'udp6' : 'udp4',
    reuseAddr: reuseAddress,
    reusePort,
    ipv6Only,
    ...(sendBufferBytes !== undefined && { sendBufferSize: sendBufferBytes }),
    ...(receiveBufferBytes !== undefined && { recvBufferSize: receiveBufferBytes }),
    // Destinations are addresses, which need no look-up, nor the turn that one takes.
    lookup: (host, _options, callback) => {
      callback(null, host, ipv6 ? 6 : 4)
    },
  }
  return createNodeSocket(socketOptions)
}

function bound(socket: Socket, address: string, port: number): Promise<void> {
  return settled(socket, (done) => {
    // In a cluster it is the worker's own, as on a ring.
    socket.bind({ address, port, exclusive: true }, done)
  })
}

/** Waits until what `begin` asks for is done. Closes the socket and rejects if that fails. */
function settled(socket: Socket, begin: (done: () => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => {
      socket.off('error', failed)
      socket.close()
      reject(error)
    }
    socket.on('error', failed)
    begin((error?: Error) => {
      if (error !== undefined) {
        failed(error)
        return
      }
      socket.off('error', failed)
      resolve()
    })
  })
}

function started(
  socket: Socket,
  address: string,
  connected: boolean,
  options: UdpOptions,
  handler: UdpHandler,
): NodeUdpSocket {
  const { broadcast, timeToLive } = options
  if (broadcast === true) socket.setBroadcast(true)
  if (timeToLive !== undefined) socket.setTTL(timeToLive)
  return new NodeUdpSocket(socket, familyOf(address) === internet6Family, connected, handler, options)
}
