import { constants } from 'node:os'
import { detach } from '@sheaf/native'
import { SheafError, timers } from '@sheaf/ring'
import { handleOf, type Socket } from '@sheaf/ring/net'
import type { JsStream, Request } from './js-stream'
import { reportingOfSession } from './thrown-in-session'

const { ECANCELED, EPIPE } = constants.errno

/**
 * One chunk below that is cheaper left to the collector. Above, memory that waits for it is missed: C++ encrypts the
 * next answer in pages that the kernel has to find first, and that are in no cache. And of many, which are the frames
 * of HTTP/2, each small, the next ones are had from where these were.
 */
const giveBackBytes = 1024

/** Frees the memory of chunks that nobody reads any more. */
function giveBack(chunks: readonly Uint8Array[]): void {
  if (chunks.length > 1 || (chunks.length === 1 && chunks[0].byteLength >= giveBackBytes)) detach?.(chunks)
}

/**
 * C++ wants to know. When it has asked for something with an exception on its way through it, as a listener has thrown,
 * that of Node 20 takes it for failed, whatever it was answered, and has let go of the request.
 */
function isAwaited(request: Request): boolean {
  return request.getAsyncId() >= 0
}

/** What of Node's goes on in C++ with a connection. */
export type StreamUser = 'tls' | 'http2'

interface Write {
  readonly request: Request
  /** Copies that C++ has made for it. */
  readonly chunks: readonly Uint8Array[]
  /** How it went, if that is known and C++ is still to be told. */
  outcome?: number
}

/**
 * What C++ writes, one write at a time. Most are done at once; but C++ must have returned from asking for one before it
 * is told, and hears of those that come of what it is being told as soon as it returns from that.
 */
export class StreamWrites {
  readonly #stream: JsStream
  readonly #socket: Socket
  readonly #user: StreamUser
  readonly #servesSession: () => boolean
  #write: Write | undefined
  /** C++ is asking for the write. */
  #asking = false
  /** C++ is being told something, and of writes when it returns. */
  #telling = false
  /** Waits for the write before it: C++ asks for the end while it has more to write, which follows. */
  #ending: Request | undefined
  #ended = false

  /** @param servesSession whether it is HTTP/2 that writes, perhaps by way of TLS. */
  constructor(stream: JsStream, socket: Socket, user: StreamUser, servesSession: () => boolean) {
    this.#stream = stream
    this.#socket = socket
    this.#user = user
    this.#servesSession = servesSession
  }

  // ---------------------------------------------------------------- what C++ asks for

  write(request: Request, chunks: readonly Uint8Array[]): number {
    const handle = handleOf(this.#socket)
    if (handle === null) return -ECANCELED
    if (this.#ended) return -EPIPE
    if (chunks.every((chunk) => chunk.byteLength === 0)) {
      // With one of no bytes TLS only asks when a write would be done, and does not wait for it with others.
      timers.setImmediate(() => { if (isAwaited(request)) this.#stream.finishWrite(request, 0) })
      return 0
    }
    this.#write = { request, chunks }
    this.#lives()
    this.#asking = true
    try {
      // A stream of HTTP/2 ends in an iteration of the event loop that follows the one in which it was answered.
      const more = this.#user === 'http2'
      handle.writeOwn(chunks, more, this.#done)
      // TLS has joined what there is.
      if (!more) handle.answered()
    } catch (error) {
      this.#write = undefined
      // What is thrown here may be a listener's, on its way through C++.
      if (!(error instanceof SheafError)) throw error
      // The socket itself was ended.
      return -EPIPE
    } finally {
      this.#asking = false
    }
    return 0
  }

  /** A TLS socket of Node's has those beneath begin their time-outs anew when it writes, but does not know Sheaf's. */
  #lives(): void {
    if (this.#user === 'tls') this.#socket._unrefTimer()
  }

  shutdown(request: Request): number {
    const handle = handleOf(this.#socket)
    if (this.#write !== undefined) {
      this.#ending = request
    } else if (handle === null) {
      timers.setImmediate(() => this.#finishShutdown(request, -ECANCELED))
    } else {
      this.#ended = true
      handle.shutdown(() => this.#finishShutdown(request, 0))
    }
    return 0
  }

  // ---------------------------------------------------------------- what C++ is told

  #finishShutdown(request: Request, status: number): void {
    if (isAwaited(request)) this.#stream.finishShutdown(request, status)
  }

  readonly #done = (error?: NodeJS.ErrnoException | null): void => {
    if (this.#write === undefined) return
    this.#write.outcome = error ? error.errno ?? -EPIPE : 0
    if (!this.#asking) this.finish()
    else if (!this.#telling) process.nextTick(this.finish)
  }

  /** C++ is about to be told something; {@link finish} is to be called when it has returned, or thrown. */
  hold(): void {
    this.#telling = true
  }

  /**
   * Tells C++ of what is done, unless it is asking. Writes that come of what it is told are finished before anything
   * else happens, as libuv's are: a session that is destroyed while it writes sends no GOAWAY, and resets a stream
   * before what was written to it.
   */
  readonly finish = (): void => {
    if (this.#asking) return
    this.#telling = true
    try {
      while (this.#write?.outcome !== undefined) this.#tell(this.#write, this.#write.outcome)
    } finally {
      this.#telling = false
      // What was told has thrown.
      if (this.#write?.outcome !== undefined) process.nextTick(this.finish)
    }
  }

  #tell({ request, chunks }: Write, outcome: number): void {
    // First: what C++ writes next is put where they were.
    giveBack(chunks)
    this.#write = undefined
    this.#lives()
    if (!isAwaited(request)) {
      // Whoever asked for it writes nothing more.
      this.#socket.destroy()
      return
    }
    if (this.#servesSession()) {
      reportingOfSession(() => { this.#stream.finishWrite(request, outcome) }, this.#servesSession)
    } else {
      this.#stream.finishWrite(request, outcome)
    }
    const ending = this.#ending
    this.#ending = undefined
    if (ending !== undefined) this.shutdown(ending)
  }
}
