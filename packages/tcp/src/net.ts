/**
 * `node:net` on io_uring: `import net from '@sheaf/tcp/net'` in place of `import net from 'node:net'`. Paths
 * (`{ path }`) are taken by `@sheaf/unix` where that is installed, else by `node:net`. Where there is no io_uring, this
 * is `node:net`.
 */
import type nodeNet from 'node:net'
import { requireFrom } from '@sheaf/ring'
import { loadFamilyBy, net, provideFamily } from '@sheaf/ring/net'
import { internetFamily } from '@sheaf/tcp'

provideFamily(internetFamily)
loadFamilyBy('pipe', () => requireFrom(import.meta.filename, '@sheaf/unix/net'))

export default net
// One by one: before Node 20.19 `import` reads the names from the text of the CommonJS file.
export const {
  _createServerHandle, _normalizeArgs, _setSimultaneousAccepts, BlockList, BoundSocket, connect, createConnection,
  createServer, getDefaultAutoSelectFamily, getDefaultAutoSelectFamilyAttemptTimeout, isIP, isIPv4, isIPv6, Server,
  setDefaultAutoSelectFamily, setDefaultAutoSelectFamilyAttemptTimeout, Socket, SocketAddress, Stream,
} = net
export type * from 'node:net'
export type BlockList = nodeNet.BlockList
export type Server = nodeNet.Server
export type Socket = nodeNet.Socket
export type SocketAddress = nodeNet.SocketAddress
