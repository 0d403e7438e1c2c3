import nodeNet from 'node:net'
import 'node:tty'
import { stockNet } from '@sheaf/ring'
import { net } from '@sheaf/ring/net'
import { Patches } from './patches'
import { replaceChildProcess } from './replace-child-process'
import { http2Server, isNodesConnect, replaceHttp } from './replace-http'
import { replaceMessages } from './replace-messages'
import { replaceTls, tlsSocket } from './replace-tls'
import { shareMethods } from './share-methods'
import { serverConstructor } from './server-constructor'
import { socketConstructor } from './socket-constructor'

let users = 0
const shared = new Patches()

/**
 * Puts Sheaf's sockets and servers into the object that `node:net` exports, for as long as one of those who did so has
 * not taken it back.
 *
 * Node's own modules use that very object, most of it when it is used: so what they connect and serve is Sheaf's too.
 * What they take from it when they are loaded is what would be hard to change later or must stay Node's (the sockets of
 * `tls` and `tty` inherit from Node's), so all of them are loaded first, in about 40 ms, and changed where need be.
 */
export function replaceNet(patches: Patches): void {
  if (users++ === 0) replaceExports(shared)
  patches.add(() => {
    if (--users === 0) shared.undo()
  })
}

function replaceExports(patches: Patches): void {
  const Socket = socketConstructor(net.Socket, tlsSocket)
  const Server = serverConstructor(net.Server, http2Server)
  const connect = replaceHttp(patches, Server, net.connect)
  patches.replace(nodeNet, 'Socket', Socket)
  patches.replace(nodeNet, 'Stream' as never, Socket as never)
  patches.replace(nodeNet, 'Server', Server)
  for (const name of ['connect', 'createConnection'] as const) {
    if (isNodesConnect(nodeNet[name])) patches.replace(nodeNet, name, connect)
  }
  patches.replace(nodeNet, 'createServer', ((...parameters: Parameters<typeof nodeNet.createServer>) => {
    return isOfPrimary(parameters[0]) ? stockNet.createServer(...parameters) : net.createServer(...parameters)
  }) as typeof nodeNet.createServer)
  patches.replace(net.Socket.prototype as unknown as Record<string, unknown>, 'constructor', Socket)
  patches.replace(net.Server.prototype as unknown as Record<string, unknown>, 'constructor', Server)
  replaceTls(patches, Server)
  shareMethods(patches, tlsSocket, net.Socket.prototype, stockNet.Socket.prototype)
  replaceChildProcess(patches)
  replaceMessages(patches)
}

/**
 * The primary process of a cluster makes itself servers whose handles it shares out: they must be Node's. This is what
 * they have for a listener, a function of Node's that is not exported.
 */
function isOfPrimary(listener: unknown): boolean {
  const isFailure = typeof listener === 'function' && listener.name === 'fail'
  return isFailure && String(listener).includes('ERR_INTERNAL_ASSERTION')
}
