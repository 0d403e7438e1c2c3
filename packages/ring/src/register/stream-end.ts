import type { TLSSocket } from 'node:tls'
import { defaultRing, nodeMajor, runTicks } from '@sheaf/ring'
import { handleOf, type Receiver, type Socket } from '@sheaf/ring/net'
import type { JsStream, Request } from './js-stream'
import { StreamWrites, type StreamUser } from './stream-writes'
import { reportingOfSession } from './thrown-in-session'

/**
 * The JavaScript side of a stream: what C++ writes goes to the connection, and what that receives goes to C++, past the
 * streams of JavaScript. It is no class on top of `JSStream`: V8 keeps the fields of an object that C++ has made in a
 * hash table as soon as there are more than twelve.
 */
export class StreamEnd implements Receiver {
  readonly #stream: JsStream
  readonly #socket: Socket
  readonly #user: StreamUser
  /** The TLS socket on it, as soon as that has been made. */
  secure: TLSSocket | undefined
  /** Somebody has thrown who was told of what C++ was given. */
  hasThrown = false
  readonly #writes: StreamWrites
  /** What C++ is to be given next. */
  readonly #arrived: Uint8Array[] = []
  /** The end has come after that. */
  #endArrived = false
  #delivering = false

  constructor(stream: JsStream, socket: Socket, user: StreamUser) {
    this.#stream = stream
    this.#socket = socket
    this.#user = user
    this.#writes = new StreamWrites(stream, socket, user, this.#servesSession)
    // What arrives when C++ has gone is the socket's own again: an HTTP/2 session that has closed waits for its end.
    stream.onread = (received) => {
      socket.push(received === undefined ? null : Buffer.from(received))
      if (received === undefined) socket.read(0)
    }
  }

  /** C++ has not been given all that has arrived. */
  get holds(): boolean {
    return this.#arrived.length > 0 || this.#endArrived
  }

  // ---------------------------------------------------------------- what the connection tells

  received(chunk: Uint8Array): boolean {
    // What came before lies in the socket's buffer, which is read first.
    if (this.#socket.readableLength > 0 && this.#arrived.length === 0) {
      this.#socket.push(chunk)
      return true
    }
    this.#arrived.push(chunk)
    this.#deliverLater()
    return false
  }

  ended(): void {
    if (this.#arrived.length === 0) {
      this.#tellEnd()
    } else {
      this.#endArrived = true
      this.#deliverLater()
    }
  }

  /** An error is the TLS socket's alone, which closes the other. Node's `JSStream` can't be told of one. */
  failed(error: Error): boolean {
    if (this.secure === undefined || this.secure.destroyed) return false
    this.secure.destroy(error)
    return true
  }

  /**
   * TLS writes one thing after the other, and what it encrypts while it is given something may be behind a write that
   * it is still to be told of.
   */
  closing(): void {
    if (this.#user === 'tls') this.#writes.finish()
  }

  /**
   * C++ is given what has arrived when the turn is over: of each thing that comes of it JavaScript is then told in a
   * call of its own, with ticks after it. What undici does when the header of an HTTP/2 response has come must be
   * done before the body comes, also if both are in one chunk.
   */
  #deliverLater(): void {
    if (this.#delivering || !this.holds) return
    this.#delivering = true
    defaultRing().turn.afterwards(this.#deliver)
  }

  readonly #deliver = (): void => {
    this.#delivering = false
    try {
      while (handleOf(this.#socket)?.reading === true) {
        const chunk = this.#arrived.shift()
        if (chunk === undefined) break
        this.#give(chunk)
      }
    } catch (error) {
      this.hasThrown = true
      // C++ of Node 20 has left out a part of what it was to do, and its streams would wait for that for ever.
      if (nodeMajor < 22 && this.#servesSession()) this.#socket.destroy()
      this.#deliverLater()
      this.#receiveOn()
      throw error
    }
    if (this.#endArrived && this.#arrived.length === 0) {
      this.#endArrived = false
      this.#tellEnd()
    } else {
      this.#receiveOn()
    }
  }

  /** Has more received, if it is wanted, when all that has arrived has been given. */
  #receiveOn(): void {
    const handle = handleOf(this.#socket)
    if (this.#arrived.length === 0 && handle?.reading === true) handle.readStart()
  }

  /** As long as TLS has not agreed on what it carries, a session may begin along with the end of the handshake. */
  get #mayServeSession(): boolean {
    return this.secure?.alpnProtocol === null || this.#servesSession()
  }

  readonly #servesSession = (): boolean => this.#user === 'http2' || this.secure?.alpnProtocol === 'h2'

  #tellEnd(): void {
    this.#stream.emitEOF()
    if (!this.hasThrown || this.secure === undefined) return
    // The peer had said it to TLS before, perhaps: with an exception on its way, C++ of Node 20 tells it to nobody.
    this.secure.push(null)
    this.secure.read(0)
  }

  #give(chunk: Uint8Array): void {
    this.#writes.hold()
    try {
      if (this.#mayServeSession) {
        // What has waited until now is not of this.
        runTicks()
        reportingOfSession(() => { this.#stream.readBuffer(chunk) }, this.#servesSession)
      } else {
        this.#stream.readBuffer(chunk)
      }
    } finally {
      this.#writes.finish()
    }
  }

  // ---------------------------------------------------------------- what C++ asks for

  /** Not if something has arrived that is to be given first: who reads slowly begins anew for each piece. */
  readStart(): number {
    const handle = handleOf(this.#socket)
    if (handle === null) return 0
    if (this.#arrived.length === 0) handle.readStart()
    else handle.reading = true
    this.#deliverLater()
    return 0
  }

  readStop(): number {
    // A session stops reading while it writes. One that stops again is being destroyed, and says GOAWAY if it is not
    // writing.
    const stopsAgain = this.#user === 'http2' && handleOf(this.#socket)?.reading === false
    const result = handleOf(this.#socket)?.readStop() ?? 0
    if (stopsAgain) this.#writes.finish()
    return result
  }

  write(request: Request, chunks: readonly Uint8Array[]): number {
    return this.#writes.write(request, chunks)
  }

  shutdown(request: Request): number {
    return this.#writes.shutdown(request)
  }
}
