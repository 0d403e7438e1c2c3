import { EventEmitter, once } from 'node:events'
import type stockNet from 'node:net'
import { type AddressInfo, type Server, type ServerOpts, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { inspect } from 'node:util'
import { defaultRing } from '@sheaf/ring'
import { until } from '../fixtures'

export type Net = typeof stockNet

/** Where a server listens, and what its clients connect to. */
export type Where = { host: string, port: number } | { path: string }

/** Does something and has what can be seen written down. */
export type Scenario = (scene: Scene) => Promise<void>

/** Events of streams that come as often as the bytes happen to be cut, and those of emitters in general. */
const unwatched = new Set([
  'data', 'drain', 'newListener', 'pause', 'prefinish', 'readable', 'removeListener', 'resume',
])

/** A new server, a client of it and the connection that the server has accepted. */
export interface Pair {
  readonly server: Server
  readonly client: Socket
  readonly accepted: Socket
}

/**
 * One run of a scenario, on a stand-in for `node:net` or on that itself. Each who takes part has a log of their own, as
 * the order between the two ends of a connection is the kernel's.
 */
export class Scene {
  readonly net: Net
  readonly #newPlace: () => Where
  readonly #logs = new Map<string, string[]>()
  readonly #sockets = new Set<Socket>()
  readonly #closed = new WeakSet<Socket>()
  readonly #servers = new Set<Server>()
  readonly #descriptors = new Set<number>()
  /** What stands for addresses that the system or the scene chose. */
  readonly #places = new Map<string, string>()

  constructor(net: Net, newPlace: () => Where) {
    this.net = net
    this.#newPlace = newPlace
  }

  get logs(): Record<string, string[]> {
    return Object.fromEntries(this.#logs)
  }

  /** A place where nobody listens. */
  readonly place = (): Where => {
    const place = this.#newPlace()
    if ('path' in place) this.#places.set(place.path, 'path')
    return place
  }

  readonly log = (who: string, ...values: unknown[]): void => {
    let text = values.map(shown).join(' ')
    for (const [place, name] of this.#places) text = text.replaceAll(place, name)
    const log = this.#logs.get(who) ?? []
    this.#logs.set(who, log)
    log.push(text.replace(/\b[3-6]\d{4}\b/g, 'port'))
  }

  /** Logs the events of `emitter`. */
  readonly watch = <T extends EventEmitter>(who: string, emitter: T): T => {
    const emit = emitter.emit.bind(emitter)
    emitter.emit = (event: string | symbol, ...values: unknown[]) => {
      if (!unwatched.has(String(event))) this.log(who, event, ...values)
      return emit(event, ...values)
    }
    return emitter
  }

  /** Logs how a call ended. */
  readonly outcome = (who: string, call: () => unknown): void => {
    try {
      this.log(who, call())
    } catch (error) {
      this.log(who, 'throws', error)
    }
  }

  /** Logs how a promise was settled, when it is. */
  readonly settled = async (who: string, promise: Promise<unknown>): Promise<void> => {
    try {
      this.log(who, 'resolves', await promise)
    } catch (error) {
      this.log(who, 'rejects', error)
    }
  }

  /** What is closed with the scene. */
  readonly owned = <T extends Server | Socket>(made: T): T => {
    if (made instanceof Duplex) {
      this.#sockets.add(made)
      made.once('close', () => this.#closed.add(made))
    } else {
      made.on('connection', this.owned)
      this.#servers.add(made)
    }
    return made
  }

  readonly server = (options: ServerOpts = {}): Server => this.owned(this.net.createServer(options))

  readonly listen = async (server: Server, options: stockNet.ListenOptions = {}): Promise<Where> => {
    server.listen({ ...this.place(), ...options })
    await once(server, 'listening')
    return whereOf(server)
  }

  readonly connect = (options: object): Socket => this.owned(this.net.connect(options as stockNet.NetConnectOpts))

  readonly pair = async (serverOptions: ServerOpts = {}, options: object = {}): Promise<Pair> => {
    const server = this.server(serverOptions)
    const where = await this.listen(server)
    const accepted = once(server, 'connection') as Promise<[Socket]>
    const client = this.connect({ ...where, ...options })
    await once(client, 'connect')
    return { server, client, accepted: (await accepted)[0] }
  }

  /** Waits until the sockets have told that they are closed. */
  readonly gone = async (...sockets: Socket[]): Promise<void> => {
    for (const socket of sockets) socket.on('error', () => undefined)
    await until(() => sockets.every((socket) => this.#closed.has(socket)), 'sockets that are closed')
    // Whoever else hears of that does so in this turn.
    await turn()
  }

  /** A descriptor that is closed with the scene, should it still be open. */
  readonly descriptor = (fd: number): number => {
    this.#descriptors.add(fd)
    return fd
  }

  /** Whoever took the descriptor closes it. */
  readonly given = (fd: number): void => {
    this.#descriptors.delete(fd)
  }

  async close(): Promise<void> {
    for (const server of this.#servers) server.close()
    for (const socket of this.#sockets) socket.on('error', () => undefined).destroy()
    for (const fd of this.#descriptors) defaultRing().sockets.close(fd)
    await until(() => [...this.#sockets].every((socket) => socket.destroyed), 'sockets that are destroyed')
    // `close` events of what was just destroyed belong to this scene.
    for (let turns = 0; turns < 3; turns++) await turn()
  }
}

function whereOf(server: Server): Where {
  const address = server.address() as AddressInfo | string
  return typeof address === 'string' ? { path: address } : { host: address.address, port: address.port }
}

/** A value as both modules have it: sockets and servers are different ones, and errors have different stacks. */
function shown(value: unknown): string {
  if (value instanceof Duplex) return 'a socket'
  if (value instanceof EventEmitter) return 'a server'
  if (typeof value === 'string') return value
  return inspect(value instanceof Error ? described(value) : value, { depth: 4, breakLength: Infinity, sorted: true })
}

/** What an error says. What it does not, it may have as `undefined`. */
function described(error: Error): object {
  const { name, message, cause, errors } = error as AggregateError
  const own = [...Object.entries(error), ['cause', cause] as const, ['errors', errors] as const]
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => [key, withErrorsDescribed(value)] as const)
  return { name, message, ...Object.fromEntries(own) }
}

function withErrorsDescribed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withErrorsDescribed)
  return value instanceof Error ? described(value) : value
}
