import type { AsyncResource } from 'node:async_hooks'
import dns from 'node:dns'
import { EventEmitter } from 'node:events'
import { type BlockList, isIP } from 'node:net'
import { callInScope, type InternetAddress, nodeMajor, requestResource } from '@sheaf/ring'
import { Endpoint, type EndpointOwner } from './endpoint'
import { notRunning } from './errors'

/** As `_bindState` has it. */
export const enum BindState {
  Unbound,
  Binding,
  Bound,
}

export const enum ConnectState {
  Disconnected,
  Connecting,
  Connected,
}

type LookupCallback = (error: Error | null, address: string) => void
export type Lookup = (hostname: string, family: 4 | 6, callback: LookupCallback) => void

/** What a socket was made with. */
export interface SocketOptions {
  reuseAddress: boolean
  reusePort: boolean
  ipv6Only: boolean
  receiveBufferSize: number
  sendBufferSize: number
  lookup: Lookup | undefined
  receiveBlockList: BlockList | undefined
  sendBlockList: BlockList | undefined
}

const systemLookup = dns.lookup

function emit(this: EventEmitter, event: string, ...values: unknown[]): void {
  this.emit(event, ...values)
}

export interface ClosableSocket extends EventEmitter {
  close(callback?: () => void): unknown
}

/** All that a socket of this module knows and does not show. */
export class SocketState implements EndpointOwner {
  readonly socket: ClosableSocket
  readonly ipv6: boolean
  readonly options: SocketOptions
  /** Undefined when the socket was closed. */
  endpoint: Endpoint | undefined
  /** What it shares with other workers of a cluster. */
  shared: { close(): void } | undefined
  bindState = BindState.Unbound
  connectState = ConnectState.Disconnected
  /** What waits for the socket to be bound. */
  queue: (() => void)[] | undefined
  /** Context that messages are told in: that of the socket's making. */
  readonly #resource = requestResource('UDPWRAP')
  #closing: AsyncResource | undefined
  #told = false
  #tick = 0
  #ticking = false
  #closedTick = -1
  #numericAddress = ''

  constructor(socket: ClosableSocket, ipv6: boolean, options: SocketOptions) {
    this.socket = socket
    this.ipv6 = ipv6
    this.options = options
    this.endpoint = new Endpoint(this, ipv6)
  }

  /** @throws `ERR_SOCKET_DGRAM_NOT_RUNNING` when closed. */
  get running(): Endpoint {
    if (this.endpoint === undefined) throw notRunning()
    return this.endpoint
  }

  /** @throws `ERR_SOCKET_DGRAM_NOT_RUNNING` when closed. */
  checkRunning(): void {
    if (this.endpoint === undefined) throw notRunning()
  }

  /**
   * A number that changes with each turn of `process.nextTick`. Where there is an address to resolve `node:dgram` sends
   * no sooner than that, and forgets the callback of what it then finds closed.
   */
  currentTick(): number {
    if (!this.#ticking) {
      this.#ticking = true
      process.nextTick(() => {
        this.#ticking = false
        this.#tick++
      })
    }
    return this.#tick
  }

  /** Whether the socket was closed in that turn. */
  closedIn(tick: number): boolean {
    return tick === this.#closedTick
  }

  /** Does `what` when the socket is bound; not at all if that fails. */
  whenBound(what: () => void): void {
    if (this.queue !== undefined) {
      this.queue.push(what)
      return
    }
    this.queue = [what]
    const { socket } = this
    const failed = (): void => {
      socket.removeListener('listening', bound)
      this.queue = undefined
    }
    const bound = (): void => {
      socket.removeListener(EventEmitter.errorMonitor, failed)
      const { queue } = this
      this.queue = undefined
      for (const waiting of queue ?? []) waiting()
    }
    socket.once(EventEmitter.errorMonitor, failed)
    socket.once('listening', bound)
  }

  /** Resolves a name, or an absent one, to this socket's own host. */
  resolve(address: string, callback: LookupCallback): void {
    // As a property: programs put functions of their own there.
    const lookup = this.options.lookup ?? dns.lookup
    const name = address === '' ? this.#localhost : address
    const version = this.ipv6 ? 6 : 4
    // From Node 24 on that is no lookup any more.
    if (this.options.lookup === undefined && nodeMajor >= 24 && isIP(name) === version) {
      process.nextTick(callback, null, name)
    } else {
      lookup(name, version, callback)
    }
  }

  /** The address if there is nothing to resolve and nobody who would see that it isn't. */
  numeric(address: string): string | undefined {
    const name = address === '' ? this.#localhost : address
    if (this.options.lookup !== undefined || dns.lookup !== systemLookup) return undefined
    if (name !== this.#numericAddress) {
      if (isIP(name) === 0) return undefined
      this.#numericAddress = name
    }
    return name
  }

  get #localhost(): string {
    return this.ipv6 ? '::1' : '127.0.0.1'
  }

  close(): void {
    const endpoint = this.running
    this.endpoint = undefined
    this.#closedTick = this.#tick
    // Node tells it in a tick.
    this.#closing = requestResource('TickObject')
    endpoint.close()
    if (this.shared === undefined) return
    this.shared.close()
    // Before the primary can disconnect this worker, which waits for handles that are not closed.
    process.nextTick(() => { this.closed(undefined) })
  }

  // ---------------------------------------------------------------- what the endpoint tells

  message(chunk: Buffer, from: InternetAddress): void {
    const { address, family, port } = from
    if (this.options.receiveBlockList?.check(address, this.ipv6 ? 'ipv6' : 'ipv4') === true) return
    const remote = { address, family, port, size: chunk.byteLength }
    callInScope(this.#resource, emit, this.socket, 'message', chunk, remote)
  }

  receiveFailed(error: Error): void {
    callInScope(this.#resource, emit, this.socket, 'error', error)
  }

  closed(error: Error | undefined): void {
    if (this.#told) return
    this.#told = true
    this.endpoint = undefined
    const resource = this.#closing ?? this.#resource
    if (this.#closing === undefined && error !== undefined) this.receiveFailed(error)
    callInScope(resource, emit, this.socket, 'close')
    this.#closing?.emitDestroy()
    this.#resource.emitDestroy()
  }
}
