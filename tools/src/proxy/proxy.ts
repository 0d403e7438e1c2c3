import {
  connect,
  type ConnectOptions,
  createRing,
  listen,
  type Ring,
  type StreamHandler,
  type TcpConnection,
  type TcpListener,
} from '@sheaf/tcp'
import type { Endpoint, ProxyOptions } from './options'

type SocketOptions = Pick<ConnectOptions, 'ring' | 'allowHalfOpen' | 'noDelay'>

/** Accepts connections and forwards each to the target, over a ring of its own. */
export class Proxy {
  readonly ring: Ring
  readonly #to: Endpoint
  readonly #bidirectional: boolean
  readonly #socketOptions: SocketOptions
  readonly #onError: (error: Error) => void
  readonly #connections = new Set<TcpConnection>()
  #listener: TcpListener | undefined

  private constructor(options: ProxyOptions, onError: (error: Error) => void) {
    this.ring = createRing(options.ring)
    this.#to = options.to
    this.#bidirectional = options.bidirectional
    this.#socketOptions = {
      ring: this.ring,
      allowHalfOpen: true,
      // A stream one way is filled up to whole segments, as node:net would; a conversation waits for nothing.
      noDelay: options.bidirectional,
    }
    this.#onError = onError
  }

  /** @returns when connections are accepted. @param onError told why a connection failed; the others go on. */
  static async open(options: ProxyOptions, onError: (error: Error) => void): Promise<Proxy> {
    const proxy = new Proxy(options, onError)
    try {
      proxy.#listener = await listen({ ...options.listen, ...proxy.#socketOptions }, {
        open: (from) => { proxy.#accepted(from) },
        acceptError: onError,
      })
    } catch (error) {
      proxy.ring.close()
      throw error
    }
    return proxy
  }

  get port(): number {
    return this.#listener?.address.port ?? 0
  }

  /** Connections accepted that are not closed. */
  get connections(): number {
    return this.#listener?.connections ?? 0
  }

  /** Stops accepting, drops the connections, and gives the ring back. */
  async close(): Promise<void> {
    await this.#listener?.close()
    for (const connection of this.#connections) connection.destroy()
    this.ring.close()
  }

  #accepted(from: TcpConnection): void {
    // What the client sends meanwhile stays in the kernel, or is kept.
    from.pause()
    this.#connections.add(from)
    let abandon: (() => void) | undefined
    from.handler = {
      close: (_from: TcpConnection, error?: Error) => {
        this.#connections.delete(from)
        abandon?.()
        if (error !== undefined) this.#failed(error)
      },
    } satisfies StreamHandler<TcpConnection>
    const client = new AbortController()
    abandon = () => { client.abort() }
    this.#connect(client.signal).then((to) => {
      // From now on forwarding decides what becomes of the target when the client closes: what it said last may still
      // have to be sent.
      abandon = undefined
      from.forward(to)
      // Without it what the target says is read and dropped, so that its end is seen.
      if (this.#bidirectional) to.forward(from)
      from.resume()
    }).catch((error: unknown) => {
      if (!client.signal.aborted) this.#failed(error as Error)
      from.reset()
    })
  }

  #connect(signal: AbortSignal): Promise<TcpConnection> {
    return connect({ ...this.#to, ...this.#socketOptions, signal }, {
      open: (connection) => { this.#connections.add(connection) },
      close: (connection) => { this.#connections.delete(connection) },
    })
  }

  #failed(error: Error): void {
    if (!this.ring.closed) this.#onError(error)
  }
}
