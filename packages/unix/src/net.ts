/**
 * `node:net` on io_uring, for Unix sockets: `import net from '@sheaf/unix/net'` in place of
 * `import net from 'node:net'`. Ports are taken by `@sheaf/tcp` where that is installed, else by `node:net`. Where
 * there is no io_uring, this is `node:net`.
 */
import { createRequire } from 'node:module'
import type nodeNet from 'node:net'
import { loadFamilyBy, net, provideFamily } from '@sheaf/ring/net'
import { pathFamily } from '@sheaf/unix'

provideFamily(pathFamily)
loadFamilyBy('tcp', () => createRequire(import.meta.url)('@sheaf/tcp/net') as unknown)

export default net
// What these leave out, and the types, is Node's own.
export * from 'node:net'
export const Server = net.Server
export type Server = nodeNet.Server
export const Socket = net.Socket
export type Socket = nodeNet.Socket
export const Stream = net.Stream
export const connect = net.connect
export const createConnection = net.createConnection
export const createServer = net.createServer
export const _normalizeArgs = net._normalizeArgs
