/** Something in the kernel that waits for a socket. */
export interface Waiter {
  /** It may be able to go on. */
  wake(): void
}

/** What waits for one event of a socket. */
export class WaitQueue {
  readonly #waiters = new Set<Waiter>()

  add(waiter: Waiter): void {
    this.#waiters.add(waiter)
  }

  delete(waiter: Waiter): void {
    this.#waiters.delete(waiter)
  }

  wake(): void {
    for (const waiter of this.#waiters) waiter.wake()
  }
}

/** `SOL_SOCKET` and its options that mean something to the simulation. */
const socketLevel = 1
const optionNames = { type: 3, linger: 13, acceptsConnections: 30, protocol: 38, domain: 39 }

/** What all simulated sockets have in common. */
export abstract class SimulatedSocket {
  readonly domain: number
  readonly type: number
  readonly protocol: number
  readonly readers = new WaitQueue()
  readonly writers = new WaitQueue()
  readonly hangUps = new WaitQueue()
  /** `sockaddr` of this end and of the other, as the kernel has them. */
  name: Uint8Array | undefined
  peerName: Uint8Array | undefined
  /** To be told once (`sk_err`): an `errno`, or 0. */
  error = 0
  /** Closing throws away what was not sent, and tells the peer so (`SO_LINGER` with 0 seconds). */
  abortive = false
  readonly #options = new Map<string, Uint8Array>()

  constructor(domain: number, type: number, protocol: number) {
    this.domain = domain
    this.type = type
    this.protocol = protocol
  }

  /** Nothing refers to the socket any more. */
  abstract release(): void
  /** @returns 0 or `-errno`. */
  abstract shutdownWrite(): number
  abstract get listening(): boolean
  /** There is room to send. */
  abstract get writable(): boolean
  /** Reset, or shut in both directions. */
  abstract get hungUp(): boolean

  /** Takes the error that is to be told. @returns `-errno`, or 0. */
  takeError(): number {
    const { error } = this
    this.error = 0
    return -error
  }

  setOption(level: number, name: number, value: Uint8Array): number {
    this.#options.set(`${level}:${name}`, Uint8Array.from(value))
    if (level === socketLevel && name === optionNames.linger) this.abortive = value[0] === 1 && value[4] === 0
    return 0
  }

  getOption(level: number, name: number, into: Uint8Array): number {
    const value = level === socketLevel ? this.#known(name) : undefined
    const bytes = value === undefined
      ? this.#options.get(`${level}:${name}`) ?? new Uint8Array(4)
      : new Uint8Array(Int32Array.of(value).buffer)
    into.set(bytes.subarray(0, into.byteLength))
    return Math.min(bytes.byteLength, into.byteLength)
  }

  /** An option that is an `int`; 0 if it was never set. */
  option(level: number, name: number): number {
    return this.#options.get(`${level}:${name}`)?.[0] ?? 0
  }

  #known(name: number): number | undefined {
    switch (name) {
      case optionNames.type: return this.type
      case optionNames.protocol: return this.protocol
      case optionNames.domain: return this.domain
      case optionNames.acceptsConnections: return this.listening ? 1 : 0
      default: return undefined
    }
  }
}
