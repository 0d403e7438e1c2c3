import { createServer, type ListenOptions, type Server, type ServerOpts, type Socket } from 'node:net'
import { whenAborted } from '../aborting'
import { setImmediate } from '../timers'
import type { Address, Listener, ListenerHandler } from '../transport'
import type { NodeStreamConnection } from './connection'
import { callOutside } from './context'
import { nodeSockets } from './sockets'

// As they are now: `@sheaf/tcp/register` may put Sheaf's in their place later.
const createNodeServer = createServer

/** A server of `node:net` that listens: the sibling of `StreamListener` where there is no ring. */
export class NodeStreamListener implements Listener {
  readonly address: Address
  readonly #server: Server
  readonly #handler: ListenerHandler
  /** Makes the family's connection of an accepted socket. */
  readonly #accept: (socket: Socket) => NodeStreamConnection
  #connections = 0
  #closed: Promise<void> | undefined
  #forgetSignal: (() => void) | undefined

  /** @param server from {@link listeningServer}; it is the listener's from now on. */
  constructor(
    server: Server,
    address: Address,
    handler: ListenerHandler,
    accept: (socket: Socket) => NodeStreamConnection,
  ) {
    this.#server = server
    this.address = address
    this.#handler = handler
    this.#accept = accept
    nodeSockets.members.add(this)
    server.on('connection', this.#accepted).on('error', this.#failed)
  }

  get listening(): boolean {
    return this.#server.listening
  }

  get connections(): number {
    return this.#connections
  }

  ref(): void {
    this.#server.ref()
  }

  unref(): void {
    this.#server.unref()
  }

  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      this.#forgetSignal?.()
      // It is closed at once; what the server waits for before it says so are the connections.
      this.#server.close()
      setImmediate(() => {
        nodeSockets.members.delete(this)
        resolve()
      })
    })
    return this.#closed
  }

  /** Closes when `signal` is aborted. */
  closeOnAbort(signal: AbortSignal | undefined): void {
    this.#forgetSignal = whenAborted(signal, () => void this.close())
  }

  readonly #accepted = (socket: Socket): void => {
    nodeSockets.metrics.accepted++
    this.#connections++
    // A context of the connection's own is what is entered here.
    callOutside(() => {
      const connection = this.#accept(socket)
      connection.onClosed = this.#connectionClosed
      connection.begin()
    })
  }

  readonly #connectionClosed = (): void => {
    this.#connections--
  }

  readonly #failed = (error: Error): void => {
    nodeSockets.metrics.acceptPauses++
    callOutside(() => this.#handler.acceptError?.(error))
  }
}

/**
 * Has a new server listen. In a cluster it is the worker's own, as on a ring.
 * @returns when it listens. Rejects with what `server.listen` fails with.
 */
export function listeningServer(listen: ListenOptions & { fd?: number }, accept: ServerOpts): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createNodeServer({ ...accept, allowHalfOpen: true })
    server.once('error', reject)
    server.listen({ exclusive: true, ...listen }, () => {
      server.off('error', reject)
      resolve(server)
    })
  })
}
