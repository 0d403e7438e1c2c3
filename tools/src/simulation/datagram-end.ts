import type { UdpHandler, UdpSocket } from '@sheaf/udp'
import { bytesOf } from './flow'
import { Violation } from './violation'

/** What one socket has sent to another, and how far that has arrived. */
class Route {
  readonly #id: number
  readonly #sizes: number[] = []
  /** Of what was sent, the first that may arrive next: none arrives twice or before one that was sent earlier. */
  #next = 0

  constructor(id: number) {
    this.#id = id
  }

  next(sizeBytes: number): Buffer {
    this.#sizes.push(sizeBytes)
    return this.#bytes(this.#sizes.length - 1)
  }

  /** @returns whether `chunk` is one that was sent and may arrive now. */
  arrives(chunk: Buffer): boolean {
    for (let index = this.#next; index < this.#sizes.length; index++) {
      if (this.#sizes[index] !== chunk.byteLength || !this.#bytes(index).equals(chunk)) continue
      this.#next = index + 1
      return true
    }
    return false
  }

  #bytes(index: number): Buffer {
    return bytesOf(this.#id, index * 101, this.#sizes[index])
  }
}

/** What the sockets of a world have in common: counts, and what did not hold. */
export class DatagramLedger {
  readonly violations: unknown[] = []
  readonly byPort = new Map<number, DatagramEnd>()
  /** Datagrams that the kernel took, that it did not, and that arrived. */
  taken = 0
  refused = 0
  arrived = 0
  /** Nobody has closed a socket: then whatever is sent arrives or is lost in the kernel, and nothing fails. */
  undisturbed = true
  #routes = 0

  newRoute(): Route {
    return new Route(this.#routes++)
  }
}

/** One socket, and what must hold for it. */
export class DatagramEnd implements UdpHandler {
  readonly #ledger: DatagramLedger
  readonly #routes = new Map<DatagramEnd, Route>()
  /** Of a connected socket. */
  readonly peer: DatagramEnd | undefined
  socket: UdpSocket | undefined
  #openCallbacks = 0
  #awaitsDrain = false
  #closed = false

  constructor(ledger: DatagramLedger, peer: DatagramEnd | undefined) {
    this.#ledger = ledger
    this.peer = peer
  }

  opened(socket: UdpSocket): void {
    this.socket = socket
    const { localAddress } = socket
    if (localAddress !== undefined) this.#ledger.byPort.set(localAddress.port, this)
  }

  // ---------------------------------------------------------------- what it is told

  message(socket: UdpSocket, chunk: Buffer, from: { readonly port: number }): void {
    const ledger = this.#ledger
    this.#require(!this.#closed, 'no datagram after close')
    this.#require(!socket.paused, 'no datagram while paused')
    const sender = ledger.byPort.get(from.port)
    this.#require(sender !== undefined, 'a datagram is from who sent it')
    const whole = sender?.routeTo(this).arrives(chunk) ?? false
    this.#require(whole, 'every datagram whole, once and in order', `${chunk.byteLength} bytes from port ${from.port}`)
    ledger.arrived++
    chunk.fill(0xee)
  }

  drain(): void {
    this.#require(this.#awaitsDrain, 'drain only follows a send that returned false')
    this.#awaitsDrain = false
  }

  error(_socket: UdpSocket, error: Error): void {
    const { code } = error as NodeJS.ErrnoException
    this.#require(code === 'ECONNREFUSED' && !this.#ledger.undisturbed, 'no error without a cause', String(error))
  }

  close(_socket: UdpSocket, error?: Error): void {
    this.#require(!this.#closed, 'close is told once, and last')
    this.#closed = true
    this.#require(error === undefined, 'closing has no error', String(error))
  }

  // ---------------------------------------------------------------- what it does

  routeTo(receiver: DatagramEnd): Route {
    let route = this.#routes.get(receiver)
    if (route === undefined) this.#routes.set(receiver, route = this.#ledger.newRoute())
    return route
  }

  get canSend(): boolean {
    return this.socket?.state === 'open'
  }

  send(to: DatagramEnd, sizeBytes: number, times: number, together: boolean): void {
    const address = to.socket?.localAddress
    if (this.socket === undefined || !this.canSend || address === undefined) return
    const destination = this.peer === undefined ? address : undefined
    const route = this.routeTo(to)
    if (together) {
      const chunks = Array.from({ length: times }, () => route.next(sizeBytes))
      if (!this.socket.sendMany(chunks, destination, this.#callback(times))) this.#awaitsDrain = true
      return
    }
    for (let left = times; left > 0; left--) {
      if (!this.socket.send(route.next(sizeBytes), destination, this.#callback(1))) this.#awaitsDrain = true
    }
  }

  #callback(datagrams: number): (error?: Error) => void {
    let called = false
    this.#openCallbacks++
    return (error) => {
      this.#require(!called, 'a send calls back once')
      called = true
      this.#openCallbacks--
      if (error === undefined) this.#ledger.taken += datagrams
      else this.#ledger.refused += datagrams
      this.#require(error === undefined || !this.#ledger.undisturbed, 'sending succeeds', String(error))
    }
  }

  // ---------------------------------------------------------------- what must hold

  checkFinally(): void {
    this.#require(this.#closed || this.socket === undefined, 'every socket closes', this.socket?.state)
    this.#require(this.#openCallbacks === 0, 'every send calls back', `${this.#openCallbacks} did not`)
    const disturbed = !this.#ledger.undisturbed
    this.#require(!this.#awaitsDrain || disturbed, 'drain follows a send that returned false')
  }

  #require(holds: boolean, name: string, detail = ''): void {
    if (!holds) this.#ledger.violations.push(new Violation(name, detail))
  }
}
