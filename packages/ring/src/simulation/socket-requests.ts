import { Errno, PollEvent } from '../abi'
import { type OpenFile, RoomWatch } from './descriptors'
import { Request, type RequestRing } from './request'
import type { SimulatedSocket } from './socket'
import type { StreamSocket } from './stream-socket'
import type { Submission } from './submission'

/** A multishot accept. */
export class AcceptRequest extends Request {
  readonly #socket: StreamSocket
  /** Gives an accepted socket a descriptor. @returns it, or `-errno`. */
  readonly #install: (socket: StreamSocket) => number
  readonly #full: () => boolean

  constructor(
    ring: RequestRing,
    submission: Submission,
    file: OpenFile,
    socket: StreamSocket,
    install: (socket: StreamSocket) => number,
    full: () => boolean,
  ) {
    super(ring, submission, file)
    this.#socket = socket
    this.#install = install
    this.#full = full
    socket.readers.add(this)
  }

  protected override leave(): void {
    this.#socket.readers.delete(this)
  }

  protected override go(): void {
    while (!this.over && this.#socket.acceptable) {
      if (this.#full()) {
        this.end(-Errno.EMFILE)
        return
      }
      const accepted = this.#socket.accept()
      if (accepted === undefined) return
      const fd = this.#install(accepted)
      if (!this.post(fd, 0)) this.end(fd, 0, false)
    }
  }
}

/** A connect. */
export class ConnectRequest extends Request {
  readonly #socket: StreamSocket
  readonly #find: () => StreamSocket | undefined
  readonly #bind: () => void
  #waitsFor: StreamSocket | undefined

  constructor(
    ring: RequestRing,
    submission: Submission,
    file: OpenFile,
    socket: StreamSocket,
    find: () => StreamSocket | undefined,
    bind: () => void,
  ) {
    super(ring, submission, file)
    this.#socket = socket
    this.#find = find
    this.#bind = bind
  }

  protected override leave(): void {
    this.#waitsFor?.connecting.delete(this)
  }

  protected override go(): void {
    const listener = this.#find()
    if (listener === undefined) {
      this.end(-Errno.ECONNREFUSED)
      return
    }
    this.#bind()
    if (listener.enqueue(this.#socket)) {
      this.end(0)
      return
    }
    this.#waitsFor = listener
    listener.connecting.add(this)
  }
}

/** A poll, once: for hang-ups, or for room to write. */
export class PollRequest extends Request {
  /** Until it ends it is among those that wait. */
  protected override readonly canBeMissed = false
  readonly #socket: SimulatedSocket

  constructor(ring: RequestRing, submission: Submission, file: OpenFile) {
    super(ring, submission, file)
    this.#socket = file.socket
    this.#socket.hangUps.add(this)
    this.#socket.writers.add(this)
  }

  protected override leave(): void {
    this.#socket.hangUps.delete(this)
    this.#socket.writers.delete(this)
  }

  protected override go(): void {
    const event = this.file instanceof RoomWatch ? PollEvent.Readable : PollEvent.Writable
    const wanted = (this.submission.operationFlags & event) !== 0
    if (wanted && this.#socket.writable) this.end(event)
    else if (this.#socket.hungUp) this.end(PollEvent.HangUp)
  }
}

/** Something that ends as soon as it begins. */
export class ImmediateRequest extends Request {
  readonly #act: () => number

  constructor(ring: RequestRing, submission: Submission, file: OpenFile | undefined, act: () => number) {
    super(ring, submission, file)
    this.#act = act
  }

  protected override leave(): void {
    // It never waits.
  }

  protected override go(): void {
    this.end(this.#act())
  }
}
