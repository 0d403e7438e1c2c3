import type { StreamHandler, Transport, TransportState } from '@sheaf/ring'
import type { Flow } from './flow'
import { check, Violation } from './violation'

const order: readonly TransportState[] = ['connecting', 'open', 'ended', 'closing', 'closed']

/** Connections that have to do with each other: one, or those that proxies join. */
export class Link {
  #joined: Link | undefined
  #cut = false

  /** What it and those it is joined with are. */
  get #root(): Link {
    return this.#joined === undefined ? this : this.#joined.#root
  }

  /** Somebody has cut it, or done what may: what has not arrived then may be lost. */
  get cut(): boolean {
    return this.#root.#cut
  }

  set cut(cut: boolean) {
    this.#root.#cut = cut
  }

  isJoinedWith(other: Link): boolean {
    return this.#root === other.#root
  }

  join(other: Link): void {
    if (this.isJoinedWith(other)) return
    const cut = this.cut || other.cut
    this.#root.#joined = other.#root
    this.cut = cut
  }
}

/** One end of a connection, and what must hold for it. */
export class ConnectionEnd implements StreamHandler {
  readonly link: Link
  readonly sends: Flow
  /** What the other end sends, once it is known which that is. */
  #receives: Flow | undefined
  /** What arrived before. */
  #early: Buffer[] = []
  transport: Transport | undefined
  receivedBytes = 0
  /** It pauses itself after so many chunks; 0 is never. */
  pausesEvery = 0
  /** It resumes itself when it has paused itself. */
  resumes = false
  #chunks = 0
  #told = ''
  #state: TransportState = 'connecting'
  #awaitsDrain = false
  /** Write callbacks that have not been called, and that have. */
  #openCallbacks = 0
  #sentBytesTold = 0
  ended = false
  closed = false
  error: Error | undefined
  /** It forwards to another end, or another forwards to it: its owner no longer writes or ends. */
  forwarding = false
  target = false
  readonly #opened: (end: ConnectionEnd) => void
  /** It has been told something. */
  readonly #reacts: () => void
  readonly #peerFinished: (transport: Transport) => boolean | undefined
  /** What did not hold when this was told something: not thrown into the code under test. */
  readonly #violations: unknown[]

  constructor(
    link: Link, flow: Flow, violations: unknown[], opened: (end: ConnectionEnd) => void, reacts: () => void,
    peerFinished: (transport: Transport) => boolean | undefined,
  ) {
    this.link = link
    this.#peerFinished = peerFinished
    this.#reacts = reacts
    this.sends = flow
    this.#violations = violations
    this.#opened = opened
  }

  // ---------------------------------------------------------------- what it is told

  open(transport: Transport): void {
    this.#require(this.#told === '', 'open comes first', `after ${this.#told}`)
    this.#told = 'open'
    this.transport = transport
    this.#opened(this)
    this.#reacts()
  }

  data(_transport: Transport, chunk: Buffer): void {
    this.#require(this.#told === 'open' && !this.ended, 'data comes between open and end', this.#told)
    this.#require(chunk.byteLength !== 0, 'data is never empty')
    this.#require(this.transport?.paused === false, 'no data while paused')
    this.#require(!this.forwarding, 'no data of a connection that forwards')
    if (this.#receives === undefined) this.#early.push(Buffer.from(chunk))
    else this.#verify(this.#receives, this.receivedBytes, chunk)
    this.receivedBytes += chunk.byteLength
    // The chunk is the receiver's own.
    chunk.fill(0xee)
    if (this.pausesEvery !== 0 && ++this.#chunks % this.pausesEvery === 0) {
      this.transport?.pause()
      if (this.resumes) setImmediate(() => this.transport?.resume())
    }
    this.#reacts()
  }

  drain(): void {
    this.#require(this.#told === 'open', 'drain comes between open and close', this.#told)
    // What is forwarded may fill a queue, too.
    this.#require(this.#awaitsDrain || this.target, 'drain only follows a write that returned false')
    this.#awaitsDrain = false
    const { bytesQueued = 0, writableHighWaterMark = 0 } = this.transport ?? {}
    this.#require(bytesQueued <= writableHighWaterMark / 4, 'drain comes when the queue is low', `${bytesQueued}`)
    this.#reacts()
  }

  end(transport: Transport): void {
    this.#require(this.#told === 'open' && !this.ended, 'end is told once, between open and close', this.#told)
    this.#require(this.#peerFinished(transport) !== false, 'an end is told of a peer that has finished')
    this.ended = true
    this.#reacts()
  }

  close(_transport: Transport, error?: Error): void {
    this.#require(this.#told !== 'close', 'close is told once, and last')
    this.#told = 'close'
    this.closed = true
    this.error = error
    const code = (error as NodeJS.ErrnoException | undefined)?.code
    // What it had queued cannot be sent: a kernel without memory does not know its group any more.
    if (code === 'ENOMEM') this.link.cut = true
    this.#require(code !== 'ERR_SHEAF_INVARIANT', 'no broken invariant', () => String(error))
    this.#reacts()
  }

  // ---------------------------------------------------------------- what it does

  get state(): TransportState {
    return this.transport?.state ?? 'connecting'
  }

  get writable(): boolean {
    return this.state === 'open' && !this.target
  }

  write(sizeBytes: number): void {
    if (this.transport === undefined || !this.writable) return
    const chunk = this.sends.next(sizeBytes)
    const position = this.sends.lengthBytes
    this.#openCallbacks++
    let called = false
    const told = (error?: Error): void => {
      this.#require(!called, 'a write calls back once')
      called = true
      this.#openCallbacks--
      if (error === undefined) {
        this.#require(position > this.#sentBytesTold || sizeBytes === 0, 'writes call back in order')
        this.#sentBytesTold = position
      }
      this.#reacts()
    }
    if (!this.transport.write(chunk, told)) this.#awaitsDrain = true
  }

  /** Tells this end what it is to receive. */
  match(other: ConnectionEnd): void {
    this.#receives = other.sends
    let position = 0
    for (const chunk of this.#early) {
      this.#verify(other.sends, position, chunk)
      position += chunk.byteLength
    }
    this.#early = []
  }

  #verify(flow: Flow, position: number, chunk: Buffer): void {
    try {
      flow.verify(position, chunk)
    } catch (violation) {
      this.#violations.push(violation)
    }
  }

  #require(holds: boolean, name: string, detail: string | (() => string) = ''): void {
    if (!holds) this.#violations.push(new Violation(name, typeof detail === 'string' ? detail : detail()))
  }

  get receives(): Flow | undefined {
    return this.#receives
  }

  // ---------------------------------------------------------------- what must hold

  /** What can be seen of it at rest. That all bytes are the right ones is checked as they arrive. */
  see(): string {
    const { transport, state, receivedBytes, sends, ended, error, link } = this
    const { bytesRead = 0, bytesWritten = 0, bytesQueued = 0, paused = false } = transport ?? {}
    const { code = '' } = (error ?? {}) as NodeJS.ErrnoException
    // How far it had come with what is lost is a matter of time.
    const carried = this.closed && link.cut ? '' : ` sent ${bytesWritten} queued ${bytesQueued} read ${bytesRead}`
    return `${state}${paused ? ' paused' : ''} wrote ${sends.lengthBytes}${carried} received ${receivedBytes}`
      + `${ended ? ' end' : ''}${this.#awaitsDrain ? ' full' : ''} awaits ${this.#openCallbacks} ${this.#told} ${code}`
  }

  checkNow(): void {
    const { state } = this
    check(order.indexOf(state) >= order.indexOf(this.#state), 'states only lead on', `${this.#state} to ${state}`)
    this.#state = state
  }

  /** When everything has come to rest. */
  checkFinally(): void {
    const { transport, link } = this
    check(this.closed || transport === undefined, 'every connection closes', () =>
      `${this.state}, ${transport?.bytesQueued ?? 0} queued, received ${this.receivedBytes}, ended ${this.ended}`)
    check(this.#openCallbacks === 0, 'every write calls back', `${this.#openCallbacks} did not`)
    if (transport === undefined) return
    if (!this.forwarding) {
      check(transport.bytesRead >= this.receivedBytes, 'bytesRead counts what was told')
    }
    if (link.cut) return
    check(this.error === undefined, 'an orderly end has no error', () => String(this.error))
    check(!this.#awaitsDrain, 'drain follows a write that returned false')
    const sent = this.#receives?.lengthBytes ?? 0
    check(this.forwarding || this.receivedBytes === sent, 'nothing is lost', `${this.receivedBytes} of ${sent} bytes`)
    check(transport.bytesWritten === this.sends.lengthBytes, 'bytesWritten counts what was sent', () =>
      `${transport.bytesWritten} of ${this.sends.lengthBytes}`)
    check(this.ended, 'the end is told')
  }
}
