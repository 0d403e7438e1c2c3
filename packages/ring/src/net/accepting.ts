import { channel } from 'node:diagnostics_channel'
import { nodeMajor } from '@sheaf/ring'
import type { SocketName } from './address-family'
import { tickAfterBodies } from './body-ticks'
import type { ListenHandle } from './listen-handle'
import type { Server } from './server'
import { acceptedSocket } from './socket'
import type { SocketHandle } from './socket-handle'

const serverSocketChannel = channel('net.server.socket')

/** What a listener tells of a connection. */
export function onConnection(this: ListenHandle, _error: number, handle: SocketHandle): void {
  acceptConnection(this.owner, handle)
}

function acceptConnection(server: Server, handle: SocketHandle): void {
  if (isFull(server)) {
    drop(server, handle)
    return
  }
  if (isBlocked(server, handle)) {
    handle.close()
    return
  }
  const socket = acceptedSocket(handle, {
    allowHalfOpen: server.allowHalfOpen,
    pauseOnCreate: server.pauseOnConnect,
    readableHighWaterMark: server.highWaterMark,
    writableHighWaterMark: server.highWaterMark,
  })
  if (server.noDelay) socket.setNoDelay(true)
  if (server.keepAlive) socket.setKeepAlive(true, server.keepAliveInitialDelay * 1000)
  server._connections++
  socket.server = server
  socket._server = server
  server.emit('connection', socket)
  tickAfterBodies(socket)
  if (serverSocketChannel.hasSubscribers) serverSocketChannel.publish({ socket })
}

/** Before Node 21, 0 was no bound. */
function isFull({ maxConnections, _connections: count }: Server): boolean {
  if (maxConnections === undefined || (maxConnections as unknown) === null) return false
  return (maxConnections !== 0 || nodeMajor >= 21) && count >= maxConnections
}

function isBlocked(server: Server, handle: SocketHandle): boolean {
  if (server.blockList === undefined) return false
  const peer: SocketName = {}
  handle.getpeername(peer)
  if (peer.address === undefined || peer.family === undefined) return false
  return server.blockList.check(peer.address, peer.family.toLowerCase() as 'ipv4')
}

function drop(server: Server, handle: SocketHandle): void {
  if (handle.family.kind === 'tcp') {
    const local: SocketName = {}
    const remote: SocketName = {}
    handle.getsockname(local)
    handle.getpeername(remote)
    server.emit('drop', {
      localAddress: local.address,
      localPort: local.port,
      localFamily: local.family,
      remoteAddress: remote.address,
      remotePort: remote.port,
      remoteFamily: remote.family,
    })
  } else {
    server.emit('drop')
  }
  handle.close()
}
