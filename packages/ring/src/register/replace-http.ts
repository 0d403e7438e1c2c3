import nodeHttp2 from 'node:http2'
import type nodeNet from 'node:net'
import { promisify } from 'node:util'
import { stockNet } from '@sheaf/ring'
import { inherit } from './inherit'
import { nodeHttp } from './node-modules'
import type { Patches } from './patches'
import { giveStreamHandle } from './stream-handle'
import { guard } from './thrown-in-session'

/** The class of `http2.createServer()`, which is not exported. A server that never listens is nothing but an object. */
export const http2Server: object = nodeHttp2.createServer().constructor

/** Not what a tool for tests has put in its place, to intercept connections: that has another name. */
export function isNodesConnect({ name }: typeof nodeNet.connect): boolean {
  return name === 'connect'
}

/** What `http2.connect` is called with: a socket that the application makes for it is to be as one of its own. */
function givingHandles(parameters: Parameters<typeof nodeHttp2.connect>): typeof parameters {
  // A listener may be in the place of options, and what is wrong there Node says.
  const [authority, given, listener] = parameters as [string, nodeHttp2.SecureClientSessionOptions?, never?]
  const options = typeof given === 'object' ? { ...given } : {}
  const { createConnection } = options
  if (typeof createConnection !== 'function') return parameters
  options.createConnection = function (...details) {
    const socket = createConnection.apply(this, details)
    giveStreamHandle(socket, 'http2')
    return socket
  }
  return [authority, options, listener]
}

/**
 * Has `http` and `http2` serve and connect with what `net` is to have.
 * @returns what is to be in `net.connect`.
 */
export function replaceHttp(
  patches: Patches, Server: typeof nodeNet.Server, connect: typeof nodeNet.connect,
): typeof nodeNet.connect {
  inherit(nodeHttp.Server, Server)
  inherit(http2Server, Server)
  patches.add(() => {
    inherit(nodeHttp.Server, stockNet.Server)
    inherit(http2Server, stockNet.Server)
  })
  const agent = nodeHttp.Agent.prototype as { createConnection: unknown }
  // From Node 24 on it is a function that looks it up when it connects.
  if (agent.createConnection === stockNet.connect && isNodesConnect(stockNet.connect)) {
    patches.replace(agent, 'createConnection', connect)
  }

  // A session goes on in C++, with a socket that `http2.connect` gets by calling `net.connect`.
  let connectingSession = false
  const { connect: connectSession } = nodeHttp2
  const connectOnSheaf = (...parameters: Parameters<typeof connectSession>): nodeHttp2.ClientHttp2Session => {
    connectingSession = true
    try {
      const session = connectSession(...givingHandles(parameters))
      guard(session)
      return session
    } finally {
      connectingSession = false
    }
  }
  Object.defineProperty(connectOnSheaf, promisify.custom, {
    value: (authority: string, options: nodeHttp2.ClientSessionOptions) => new Promise((resolve, reject) => {
      const session = connectOnSheaf(authority, options, () => {
        session.off('error', reject)
        resolve(session)
      })
      session.once('error', reject)
    }),
  })
  patches.replace(nodeHttp2, 'connect', connectOnSheaf as typeof connectSession)
  // No arrow: programs may call it with `new`.
  return function (...parameters: Parameters<typeof connect>) {
    const socket = connect(...parameters)
    if (connectingSession) giveStreamHandle(socket, 'http2')
    return socket
  } as typeof connect
}
