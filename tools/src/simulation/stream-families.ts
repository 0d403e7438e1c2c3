import type { Listener, ListenerHandler, Ring, StreamHandler, Transport } from '@sheaf/ring'
import { connect as connectTcp, listen as listenTcp, type TcpConnection } from '@sheaf/tcp'
import { connect as connectUnix, listen as listenUnix, socketpair, type UnixConnection } from '@sheaf/unix'
import type { StreamFamilyName } from './program'

export interface EndOptions {
  readonly writableHighWaterMark: number
  readonly allowHalfOpen: boolean
}

/** How the connections of one address family are made. */
export interface FamilyAdapter<T extends Transport = Transport> {
  listen(ring: Ring, handler: ListenerHandler<T>, options: EndOptions): Promise<Listener>
  connect(
    ring: Ring,
    listener: Listener,
    handler: StreamHandler<T>,
    options: EndOptions & { readonly signal: AbortSignal },
  ): Promise<T>
  /** Two connections that are connected with each other from the start. */
  pair?(ring: Ring, handler: StreamHandler<T>, other: StreamHandler<T>, options: EndOptions): void
  /**
   * What an end and its other end are told by; undefined if they can't be: then each connection needs a listener of its
   * own.
   */
  readonly keysOf: ((transport: Transport) => { ours: string, theirs: string }) | undefined
}

const loopback = '127.0.0.1'

function endOptions({ writableHighWaterMark, allowHalfOpen }: EndOptions): EndOptions {
  return { writableHighWaterMark, allowHalfOpen }
}

function portOf(address: Transport['localAddress']): string {
  return address !== undefined && 'port' in address ? String(address.port) : ''
}

const tcp: FamilyAdapter<TcpConnection> = {
  listen: (ring, handler, options) =>
    listenTcp({ ring, host: loopback, port: 0, ...endOptions(options) }, handler),
  connect: (ring, { address }, handler, options) => {
    const port = 'port' in address ? address.port : 0
    return connectTcp({ ring, host: loopback, port, signal: options.signal, ...endOptions(options) }, handler)
  },
  keysOf: ({ localAddress, remoteAddress }) => {
    const [ours, theirs] = [portOf(localAddress), portOf(remoteAddress)]
    return { ours: `${ours}-${theirs}`, theirs: `${theirs}-${ours}` }
  },
}

let names = 0

const unix: FamilyAdapter<UnixConnection> = {
  listen: (ring, handler, options) =>
    listenUnix({ ring, path: `\0simulated-${names++}`, ...endOptions(options) }, handler),
  connect: (ring, { address }, handler, options) => {
    const path = 'path' in address ? address.path : ''
    return connectUnix({ ring, path, signal: options.signal, ...endOptions(options) }, handler)
  },
  pair: (ring, handler, other, options) => {
    socketpair({ ring, ...endOptions(options) }, handler, other)
  },
  keysOf: undefined,
}

export const adapters: Readonly<Record<StreamFamilyName, FamilyAdapter>> = { tcp, unix }
