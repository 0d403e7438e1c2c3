import cluster from 'node:cluster'
import { createHash } from 'node:crypto'
import type { SocketName } from './address-family'

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

type PrimaryAnswer = (error: number, handle: PrimaryHandle) => void

/** Part of Node that is not documented, and that `net.Server` is built on. */
const internals = cluster as unknown as {
  _getServer(server: ServerWithData, query: PrimaryQuery, answer: PrimaryAnswer): void
}

/** Whether servers of this process are to be shared with other workers. */
export function isClusterWorker(): boolean {
  return cluster.isWorker && process.connected
}

/** Has the primary listen, and give this worker its part of the connections, or of the socket. */
export function askPrimary(server: ServerWithData, query: PrimaryQuery, answer: PrimaryAnswer): void {
  internals._getServer(server, query, answer)
}

/**
 * Finds out which port the workers listen on that were asked to listen on any. The first to ask decides: the primary
 * keeps data for each socket that it shares, and gives it to whoever asks for the same socket later. The socket is only
 * there for that: a UDP socket on a loopback address that stands for what is listened on.
 * @param port what this worker has got.
 * @param agreed told the port, and how to leave: the primary lets go of the socket when all have left.
 */
export function agreeOnPort(server: ServerWithData, place: string, port: number, agreed: AgreedPort): void {
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
  const [second, third, fourth] = createHash('sha256').update(place).digest()
  const query = { address: `127.${second}.${third}.${fourth}`, port: 0, addressType: 'udp4', flags: 0, backlog: 0 }
  internals._getServer(meeting, query, (error, handle) => {
    agreed(error === 0 ? decided : port, error === 0 ? handle : undefined)
  })
}

export type AgreedPort = (port: number, meeting: PrimaryHandle | undefined) => void

/** Tells the primary that this worker listens: its `listening` events. */
export function announceListening(address: string | null, port: number, addressType: number): void {
  // Without an address the primary is told so, as it is by Node's servers.
  process.send?.({ cmd: 'NODE_CLUSTER', act: 'listening', address, port, addressType })
}

/** Calls `close` when the worker is disconnected from its primary, unless that is given up. @returns how to. */
export function closeOnDisconnect(close: () => void): () => void {
  process.once('disconnect', close)
  return () => { process.off('disconnect', close) }
}
