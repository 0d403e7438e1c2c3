import cluster from 'node:cluster'
import type { EventEmitter } from 'node:events'

/** What a worker asks the primary process for. */
export interface SharedAddress {
  readonly address: string | null
  readonly port: number | null
  readonly addressType: string
  /** Of the primary, or -1 if it is to bind one. */
  readonly fd: number
  readonly flags: number
}

/** Node's own handle of a socket that all workers share. */
export interface SharedHandle {
  readonly fd: number
  close(callback?: () => void): void
}

/** How Node's dgram asks; it is not documented, but `cluster` is of no use to a module without it. */
type AskPrimary = (
  owner: EventEmitter,
  address: SharedAddress,
  callback: (errno: number, handle: SharedHandle | null) => void,
) => void

const askPrimary = (): AskPrimary | undefined => (cluster as { _getServer?: AskPrimary })._getServer

/** This process is a worker of a cluster. */
export function sharesAddresses(): boolean {
  return cluster.isWorker && askPrimary() !== undefined
}

/** Asks the primary for the socket that all workers of this address share: there is none if it could not bind one. */
export function shareAddress(
  owner: EventEmitter,
  address: SharedAddress,
  callback: (errno: number, handle: SharedHandle | null) => void,
): void {
  askPrimary()?.call(cluster, owner, address, callback)
}
