import cluster from 'node:cluster'
import type crypto from 'node:crypto'
import { requireBuiltin } from '@sheaf/ring'
import type { SocketName } from './address-family'
import { tellOwner } from './node-handle'

/** The handle that a worker's primary gives it: a socket that several listen on, or the receiving end of a dealer. */
export interface PrimaryHandle {
  /** Of a socket. A dealer has none, and calls `onconnection`. */
  readonly fd?: number
  onconnection?: (error: number, handle: unknown) => void
  close(closed?: () => void): void
  ref(): void
  unref(): void
  /** Of TCP. */
  getsockname?(out: SocketName): number
}

/** What is asked of the primary. */
export interface PrimaryQuery {
  readonly address: string | null
  readonly port: number | null
  readonly addressType: number | string | null
  readonly fd?: number | undefined
  readonly flags?: number
  readonly backlog: number
  readonly readableAll?: boolean
  readonly writableAll?: boolean
}

/** What a server may have that its siblings in other workers are to have too: `tls` ticket keys. */
interface ServerWithData {
  _getServerData?(): object
  _setServerData?(data: object): void
  once(event: string, listener: () => void): unknown
  address(): unknown
}

/** There is no handle if there is an error. */
type PrimaryAnswer = (error: number, handle: PrimaryHandle | null) => void

/** Part of Node that is not documented, and that `net.Server` is built on. */
const internals = cluster as unknown as {
  _getServer(server: ServerWithData, query: PrimaryQuery, answer: PrimaryAnswer): void
}

/**
 * Whether servers of this process are to be shared with other workers. One that is disconnected asks in vain, as with
 * Node: it is to end.
 */
export function isClusterWorker(): boolean {
  return cluster.isWorker
}

/** Has the primary listen, and give this worker its part of the connections, or of the socket. */
export function askPrimary(server: ServerWithData, query: PrimaryQuery, answer: PrimaryAnswer): void {
  internals._getServer(server, query, answer)
}

/**
 * Meets the servers of other workers that listen on the same place: the primary keeps data for each socket that it
 * shares, and gives what the first to ask brings to whoever asks for the same socket later. So all have the same port
 * if they listen on any, and the same TLS ticket keys. The socket is only there for that: a UDP socket on a loopback
 * address that stands for the place. When the primary disconnects the worker, Node closes the server of the handle, and
 * waits for that.
 * @param port what this worker has got.
 * @param met told the port, and how to leave: the primary lets go of the socket when all have left.
 */
export function meetWorkers(server: ServerWithData, place: string, port: number, met: Met): void {
  let decided = port
  const meeting: ServerWithData = {
    _getServerData: () => ({ ...server._getServerData?.(), sheafPort: port }),
    _setServerData: (data) => {
      server._setServerData?.(data)
      decided = (data as { sheafPort?: number }).sheafPort ?? port
    },
    once: () => undefined,
    address: () => undefined,
  }
  // Of servers in a cluster alone: a program that has none need not load it.
  const { createHash } = requireBuiltin('node:crypto') as typeof crypto
  const [second, third, fourth] = createHash('sha256').update(place).digest()
  const query = { address: `127.${second}.${third}.${fourth}`, port: 0, addressType: 'udp4', flags: 0, backlog: 0 }
  internals._getServer(meeting, query, (error, handle) => {
    if (handle !== null) tellOwner(handle, () => server)
    met(error === 0 ? decided : port, handle)
  })
}

export type Met = (port: number, meeting: PrimaryHandle | null) => void

/** Tells the primary that this worker listens: its `listening` events. */
export function announceListening(address: string | null, port: number, addressType: number): void {
  // Without an address the primary is told so, as it is by Node's servers.
  process.send?.({ cmd: 'NODE_CLUSTER', act: 'listening', address, port, addressType })
}
