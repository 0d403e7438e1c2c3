import type { SocketCalls } from '@sheaf/native'
import type { Address, MessageDetails, MessageHandler } from '@sheaf/ring'
import { bytesOf } from './flow'
import type { AnySocket, MessageFamilyAdapter } from './message-families'
import { Violation } from './violation'

const unixFamily = 1
const datagramType = 2

/** What befalls those whose peer has closed, and who find no send memory. */
const causedErrors = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOBUFS', 'ENOTCONN', 'EPIPE'])

/** What one socket has sent to another, and how far that has arrived. */
class Route {
  readonly #id: number
  readonly #sizes: number[] = []
  readonly #descriptors: number[] = []
  /** Of what was sent, the first that may arrive next: none arrives twice or before one that was sent earlier. */
  #next = 0

  constructor(id: number) {
    this.#id = id
  }

  next(sizeBytes: number, descriptors: number): Buffer {
    this.#sizes.push(sizeBytes)
    this.#descriptors.push(descriptors)
    return this.#bytes(this.#sizes.length - 1)
  }

  /**
   * @param descriptors so many came along; undefined if that says nothing. Of empty messages, some of which may have
   *   been refused, only they tell which it is.
   * @returns whether `chunk` is one that was sent and may arrive now.
   */
  arrives(chunk: Buffer, descriptors: number | undefined): boolean {
    for (let index = this.#next; index < this.#sizes.length; index++) {
      if (this.#sizes[index] !== chunk.byteLength || !this.#bytes(index).equals(chunk)) continue
      if (descriptors !== undefined && this.#descriptors[index] !== descriptors) continue
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
  readonly byName = new Map<string, DatagramEnd>()
  readonly family: MessageFamilyAdapter
  /** The process's own calls, by which it makes descriptors to send and closes those that it gets. */
  readonly sockets: SocketCalls
  readonly receivesDescriptors: boolean
  /** To be called when somebody has been told something. */
  readonly told: () => void
  /** So many more may be sent. There is room for all of them at both ends. */
  descriptorsLeft = 300
  /** Datagrams that the kernel took, that it did not, and that arrived. */
  taken = 0
  refused = 0
  arrived = 0
  /**
   * There is send memory for all, and nobody has closed a socket: then whatever is sent arrives or is lost in the
   * kernel, and nothing fails.
   */
  undisturbed = true
  /** Nobody is connected to one that is connected to another, and so refuses it: how often it is told varies. */
  everyoneHeard = true
  #routes = 0

  constructor(family: MessageFamilyAdapter, sockets: SocketCalls, receivesDescriptors: boolean, told: () => void) {
    this.family = family
    this.sockets = sockets
    this.receivesDescriptors = receivesDescriptors
    this.told = told
  }

  newRoute(): Route {
    return new Route(this.#routes++)
  }
}

/** One socket, and what must hold for it. */
export class DatagramEnd implements MessageHandler<AnySocket> {
  readonly #ledger: DatagramLedger
  readonly #routes = new Map<DatagramEnd, Route>()
  /** Of a connected socket. */
  peer: DatagramEnd | undefined
  socket: AnySocket | undefined
  #openCallbacks = 0
  #awaitsDrain = false
  #ended = false
  #closed = false
  #received = 0
  #receivedBytes = 0
  #descriptors = 0
  /** Codes of errors that it was told, which of a UDP socket's operations ever met them. */
  readonly #errors = new Set<string>()

  constructor(ledger: DatagramLedger, peer: DatagramEnd | undefined) {
    this.#ledger = ledger
    this.peer = peer
  }

  opened(socket: AnySocket): void {
    this.socket = socket
    const key = this.#ledger.family.keyOf(socket.localAddress)
    if (key !== undefined) this.#ledger.byName.set(key, this)
  }

  // ---------------------------------------------------------------- what it is told

  message(socket: AnySocket, chunk: Buffer, from: Address, details?: MessageDetails): void {
    const ledger = this.#ledger
    this.#require(!this.#closed, 'no datagram after close')
    this.#require(!socket.paused, 'no datagram while paused')
    const key = ledger.family.keyOf(from)
    const sender = key === undefined ? this.peer : ledger.byName.get(key)
    this.#require(sender !== undefined, 'a datagram is from who sent it')
    const came = details?.fds?.count ?? 0
    const whole = sender?.routeTo(this).arrives(chunk, ledger.receivesDescriptors ? came : undefined) === true
    this.#require(whole, 'every datagram whole, once and in order, with its descriptors',
      `${chunk.byteLength} bytes and ${came} descriptors from ${key ?? 'a peer'}`)
    this.#require(came === 0 || ledger.receivesDescriptors, 'no descriptors unasked')
    // Those of every other message are left to Sheaf.
    if (ledger.arrived % 2 === 0) for (const fd of details?.fds?.take() ?? []) ledger.sockets.close(fd)
    ledger.arrived++
    this.#received++
    this.#receivedBytes += chunk.byteLength
    this.#descriptors += came
    chunk.fill(0xee)
    ledger.told()
  }

  drain(): void {
    this.#require(this.#awaitsDrain, 'drain only follows a send that returned false')
    this.#awaitsDrain = false
    this.#ledger.told()
  }

  error(_socket: AnySocket, error: Error): void {
    const { code = '' } = error as NodeJS.ErrnoException
    this.#errors.add(code)
    this.#require(causedErrors.has(code) && !this.#undisturbed, 'no error without a cause', String(error))
    this.#ledger.told()
  }

  close(_socket: AnySocket, error?: Error): void {
    this.#require(!this.#closed, 'close is told once, and last')
    this.#closed = true
    if (error !== undefined) this.#errors.add((error as NodeJS.ErrnoException).code ?? '')
    this.#require(error === undefined || !this.#undisturbed, 'closing has no error', String(error))
    this.#ledger.told()
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

  send(to: DatagramEnd, sizeBytes: number, times: number, together: boolean, descriptors: number): void {
    const { family, sockets } = this.#ledger
    const address = to.socket?.localAddress
    if (this.socket === undefined || !this.canSend || address === undefined) return
    const name = this.peer === undefined ? address : undefined
    const destination = family.destination(name, []) as never
    const route = this.routeTo(to)
    if (together) {
      const chunks = Array.from({ length: times }, () => route.next(sizeBytes, 0))
      if (!this.socket.sendMany(chunks, destination, this.#callback(times))) this.#awaitsDrain = true
      return
    }
    for (let left = times; left > 0; left--) {
      const count = family.exclusive && this.#ledger.descriptorsLeft >= descriptors ? descriptors : 0
      this.#ledger.descriptorsLeft -= count
      const fds = Array.from({ length: count }, () => sockets.socket(unixFamily, datagramType, 0))
      const where = family.destination(name, fds) as never
      if (!this.socket.send(route.next(sizeBytes, count), where, this.#callback(1))) this.#awaitsDrain = true
      // Sheaf has duplicated them.
      for (const fd of fds) sockets.close(fd)
    }
  }

  /** It ends, or its peer has ended: it need not be told any more that there is room. */
  end(): void {
    this.#ended = true
  }

  /** Nobody has closed a socket, and its peer, if it has one, hears it. */
  get #undisturbed(): boolean {
    const heardByPeer = this.peer?.peer
    return this.#ledger.undisturbed && (heardByPeer === undefined || heardByPeer === this)
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
      if (error !== undefined) this.#errors.add((error as NodeJS.ErrnoException).code ?? '')
      this.#require(error === undefined || !this.#undisturbed, 'sending succeeds', String(error))
      this.#ledger.told()
    }
  }

  // ---------------------------------------------------------------- what must hold

  /** What can be seen of it at rest. That every message is a right one is checked as it arrives. */
  see(): string {
    const { state = 'opening', paused = false, bytesQueued = 0 } = this.socket ?? {}
    return `${state}${paused ? ' paused' : ''} received ${this.#received} of ${this.#receivedBytes} bytes`
      + ` with ${this.#descriptors} descriptors queued ${bytesQueued} callbacks ${this.#openCallbacks}`
      + `${this.#awaitsDrain ? ' full' : ''}${this.#closed ? ' closed' : ''} ${[...this.#errors].sort().join(' ')}`
  }

  checkFinally(): void {
    this.#require(this.#closed || this.socket === undefined, 'every socket closes', this.socket?.state)
    this.#require(this.#openCallbacks === 0, 'every send calls back', `${this.#openCallbacks} did not`)
    this.#require(!this.#awaitsDrain || this.#ended || !this.#undisturbed, 'drain follows a send that returned false')
  }

  #require(holds: boolean, name: string, detail = ''): void {
    if (!holds) this.#ledger.violations.push(new Violation(name, detail))
  }
}
