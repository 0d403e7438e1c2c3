import { CompletionFlag, Errno } from '../abi'
import { whenAborted } from '../aborting'
import { systemError } from '../errors'
import { limits } from '../limits'
import { Cancellation } from '../queue/cancellation'
import { Operation, type OperationOwner } from '../queue/operation-table'
import type { Ring } from '../ring'
import { commonSocketOption, setSocketOption } from '../socket/socket-option'
import { clearTimeout, nowMs, setImmediate, setTimeout } from '../timers'
import type { Address, Listener, ListenerHandler } from '../transport'

/** What a listener makes of an accepted descriptor. */
export interface AcceptedSocket {
  onClosed: (() => void) | undefined
  /** Tells the handler and begins to receive. */
  begin(): void
}

type ListenerState = 'listening' | 'closing' | 'closed'

/** Failures that concern only the connection that was being accepted. */
const peerErrors = new Set<number>([Errno.ECONNABORTED, Errno.EPERM, Errno.EINTR, Errno.EAGAIN])

/**
 * A listening socket of any family that has connections: one multishot accept. What it accepts is told for
 * `limits.acceptTellMs` in an iteration of the event loop, and the rest in the next. No more is accepted meanwhile: who
 * comes faster than that waits in the kernel's backlog, or is refused there.
 */
export class StreamListener implements Listener, OperationOwner {
  readonly address: Address
  readonly #ring: Ring
  readonly fd: number
  readonly #slot: number
  readonly #handler: Pick<ListenerHandler, 'acceptError'>
  /** Makes the family's connection of an accepted descriptor. */
  readonly #accept: (fd: number) => AcceptedSocket
  #state: ListenerState = 'listening'
  /** Accepts in the kernel: one, and one more while that is being cancelled. */
  #accepts = 0
  /** The kernel is told to accept no more for now. */
  #pausing = false
  /** Accepted, and to be told of in another iteration of the event loop. */
  readonly #waiting: number[] = []
  #yielding = false
  /** The iteration in which connections were told last, how many, and until when more are. */
  #iteration = -1
  #toldInIteration = 0
  #tellUntilMs = 0
  readonly #cancellation = new Cancellation()
  #closeSubmitted = false
  /** Others go on with the socket. */
  #left = false
  #referenced = false
  #connections = 0
  #retry: NodeJS.Timeout | undefined
  readonly #closing: (() => void)[] = []
  #forgetSignal: (() => void) | undefined
  scheduled = false

  /** @param fd a descriptor that listens already; it is the listener's from now on. */
  constructor(
    ring: Ring,
    fd: number,
    address: Address,
    handler: Pick<ListenerHandler, 'acceptError'>,
    accept: (fd: number) => AcceptedSocket,
  ) {
    this.#ring = ring
    this.fd = fd
    this.address = address
    this.#handler = handler
    this.#accept = accept
    this.#slot = ring.operations.allocate(this)
    ring.members.add(this, this.#slot)
    ring.own(fd)
    this.ref()
    ring.turn.schedule(this)
  }

  get listening(): boolean {
    return this.#state === 'listening'
  }

  get connections(): number {
    return this.#connections
  }

  ref(): void {
    if (this.#referenced || this.#state === 'closed') return
    this.#referenced = true
    this.#ring.ref()
  }

  unref(): void {
    if (!this.#referenced || this.#state === 'closing') return
    this.#referenced = false
    this.#ring.unref()
  }

  /** Has the kernel accept whoever waits for that. They are told of in the next turn. */
  acceptWaiting(): void {
    this.#acceptMore()
    this.#ring.reap()
  }

  /** Closes it for others to go on with the socket. What had been accepted meanwhile is still told. */
  leave(): void {
    this.#left = true
    void this.close()
    // At once: the kernel wakes one of those who wait for a connection, and it shall not be this one.
    this.#steer()
    this.#ring.submit()
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#state === 'closed') {
        resolve()
        return
      }
      this.#closing.push(resolve)
      if (this.#state === 'closing') return
      this.#forgetSignal?.()
      this.ref()
      this.#state = 'closing'
      clearTimeout(this.#retry)
      this.#ring.turn.schedule(this)
    })
  }

  /** Closes when `signal` is aborted. */
  closeOnAbort(signal: AbortSignal | undefined): void {
    this.#forgetSignal = whenAborted(signal, () => void this.close())
  }

  complete(operation: Operation, result: number, flags: number): void {
    if (operation === Operation.Close) {
      this.#finish()
      return
    }
    if (operation === Operation.Accept && (flags & CompletionFlag.More) === 0) this.#accepts--
    this.#ring.turn.schedule(this)
    if (operation === Operation.CancelAll) this.#cancellation.answered(result)
    if (operation === Operation.Cancel) this.#pausing = false
    if (operation !== Operation.Accept) return
    if (result < 0) {
      this.#failed(result)
    } else if (this.#waiting.length === 0 && this.#mayTell()) {
      this.#accepted(result)
    } else {
      this.#ring.own(result)
      this.#waiting.push(result)
    }
  }

  advance(): void {
    this.scheduled = false
    try {
      this.#tellWaiting()
    } finally {
      this.#steer()
    }
  }

  #tellWaiting(): void {
    try {
      for (let fd = this.#nextToTell(); fd !== undefined; fd = this.#nextToTell()) this.#accepted(fd)
    } finally {
      if (this.#waiting.length !== 0) this.#yield()
    }
  }

  /** When it is closed, none is told, or all are at once. */
  #nextToTell(): number | undefined {
    const isTold = this.#waiting.length !== 0 && (this.#state !== 'listening' || this.#mayTell())
    return isTold ? this.#waiting.shift() : undefined
  }

  /** Another is told of in this iteration of the event loop. */
  #mayTell(): boolean {
    const { iteration } = this.#ring.turn
    if (iteration !== this.#iteration) {
      this.#iteration = iteration
      this.#toldInIteration = 0
      this.#tellUntilMs = nowMs() + limits.acceptTellMs
    }
    return this.#toldInIteration++ < limits.acceptsAtLeast || nowMs() < this.#tellUntilMs
  }

  #yield(): void {
    if (this.#yielding) return
    this.#yielding = true
    setImmediate(() => {
      this.#yielding = false
      if (this.#waiting.length !== 0) this.#ring.turn.schedule(this)
    })
  }

  #acceptMore(): void {
    if (this.#accepts > (this.#pausing ? 1 : 0) || this.#retry !== undefined) return
    this.#accepts++
    this.#ring.submissions.acceptMultishot(this.#slot, this.fd)
  }

  #acceptNoMore(): void {
    if (this.#accepts === 0 || this.#pausing) return
    this.#pausing = true
    this.#ring.submissions.cancelOperation(this.#slot, Operation.Accept)
  }

  #steer(): void {
    if (this.#state === 'listening') {
      if (this.#waiting.length === 0) this.#acceptMore()
      else this.#acceptNoMore()
    } else if (this.#state === 'closing' && !this.#closeSubmitted && this.#waiting.length === 0) {
      const outstanding = this.#ring.operations.outstanding(this.#slot)
      if (outstanding === 0) {
        this.#closeSubmitted = true
        this.#ring.submissions.close(this.#slot, this.fd)
      } else if (this.#cancellation.isDue(outstanding)) {
        this.#ring.submissions.cancelDescriptor(this.#slot, this.fd)
      }
    }
  }

  /** The ring is closed: nothing is in the kernel any more. */
  ringClosed(): void {
    clearTimeout(this.#retry)
    this.#forgetSignal?.()
    this.#ring.operations.abandon(this.#slot)
    for (const fd of this.#waiting.splice(0)) this.#refuse(fd)
    if (!this.#closeSubmitted) this.#ring.sockets.close(this.fd)
    this.#finish()
  }

  #accepted(fd: number): void {
    if (this.#state !== 'listening' && !this.#left) {
      this.#refuse(fd)
      return
    }
    let connection: AcceptedSocket
    try {
      connection = this.#accept(fd)
    } catch (error) {
      // What it takes to receive could not be had.
      this.#refuse(fd)
      this.#handler.acceptError?.(error as Error)
      return
    }
    this.#ring.metrics.accepted++
    this.#connections++
    connection.onClosed = this.#connectionClosed
    connection.begin()
  }

  /** With a reset, as the kernel refuses its backlog: who is told an end may take that for an answer. */
  #refuse(fd: number): void {
    const { sockets } = this.#ring
    setSocketOption(sockets, fd, commonSocketOption.linger, 1, 0)
    sockets.close(fd)
  }

  #failed(result: number): void {
    if (this.#state !== 'listening' || result === -Errno.ECANCELED || peerErrors.has(-result)) return
    // Mostly for want of descriptors or memory, which come back. What stays must not be tried all the time.
    this.#ring.metrics.acceptPauses++
    this.#retry = setTimeout(this.#tryAgain, limits.acceptRetryMs)
    if (!this.#referenced) this.#retry.unref()
    this.#handler.acceptError?.(systemError(result, 'accept'))
  }

  readonly #tryAgain = (): void => {
    clearTimeout(this.#retry)
    this.#retry = undefined
    this.#ring.turn.schedule(this)
  }

  readonly #connectionClosed = (): void => {
    this.#connections--
    if (this.#retry !== undefined) this.#tryAgain()
  }

  #finish(): void {
    this.#state = 'closed'
    this.#ring.operations.release(this.#slot)
    this.#ring.members.delete(this.#slot)
    this.unref()
    for (const resolve of this.#closing) resolve()
  }
}
