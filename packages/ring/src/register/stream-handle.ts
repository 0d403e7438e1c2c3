import { constants } from 'node:os'
import { Duplex } from 'node:stream'
import { detach } from '@sheaf/native'
import { defaultRing, timers } from '@sheaf/ring'
import { divert, handleOf, type Receiver, type Socket } from '@sheaf/ring/net'
import { nodeTls } from './node-modules'

/** What C++ is to be told when it has been done. */
type Request = object

/** Node's `JSStream`: a stream for C++ whose other side is JavaScript. It calls the methods of {@link makeClass}. */
interface JsStream {
  /** Called with what is received while C++ does not listen; without anything at the end. */
  onread: (received?: ArrayBuffer) => void
  readBuffer(chunk: Uint8Array): void
  emitEOF(): void
  finishWrite(request: Request, status: number): void
  finishShutdown(request: Request, status: number): void
}

const { ECANCELED, EPIPE } = constants.errno

/** Node does not export the class, but makes such a stream beneath a TLS socket that is put on a JavaScript stream. */
function findJsStream(): new () => JsStream {
  // With `ca` it need not read the root certificates.
  const secureContext = nodeTls.createSecureContext({ ca: [] })
  const stream = new Duplex({ read: () => undefined, write: () => undefined })
  const socket = new nodeTls.TLSSocket(stream, { isServer: true, secureContext })
  const { _handle } = socket as unknown as { _handle: { _parent: { constructor: new () => JsStream } } }
  const { constructor } = _handle._parent
  socket.on('error', () => undefined).destroy()
  return constructor
}

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

/** What of Node's goes on in C++ with a connection. */
type StreamUser = 'tls' | 'http2'

/**
 * The JavaScript side of a stream: what C++ writes goes to the connection, and what that receives goes to C++, past the
 * streams of JavaScript. It is no class on top of `JSStream`: V8 keeps the fields of an object that C++ has made in a
 * hash table as soon as there are more than twelve.
 */
class StreamEnd implements Receiver {
  readonly #stream: JsStream
  readonly #socket: Socket
  readonly #user: StreamUser
  #writing: Request | undefined
  /** What that is to write: copies that C++ has made for it. */
  #chunks: readonly Uint8Array[] = []
  /** C++ is asking for a write, and must have returned from that before it is told that it is done. */
  #asking = false
  /** How the write went that is done, of which C++ is still to be told. */
  #outcome: number | undefined
  /** C++ is being told something, and of writes that come of it when it returns. */
  #inCall = false
  /** What C++ is to be given next. */
  readonly #arrived: Uint8Array[] = []
  /** The end has come after that. */
  #endArrived = false
  #delivering = false
  /** Waits for the write before it: C++ asks for the end while it has more to write, which follows. */
  #ending: Request | undefined
  #ended = false

  constructor(stream: JsStream, socket: Socket, user: StreamUser) {
    this.#stream = stream
    this.#socket = socket
    this.#user = user
    // What arrives when C++ has gone is the socket's own again: an HTTP/2 session that has closed waits for its end.
    stream.onread = (received) => {
      socket.push(received === undefined ? null : Buffer.from(received))
      if (received === undefined) socket.read(0)
    }
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
      this.#stream.emitEOF()
    } else {
      this.#endArrived = true
      this.#deliverLater()
    }
  }

  /**
   * C++ is given what has arrived when the turn is over: of each thing that comes of it JavaScript is then told in a
   * call of its own, with ticks after it. What undici does when the header of an HTTP/2 response has come must be
   * done before the body comes, also if both are in one chunk.
   */
  #deliverLater(): void {
    if (this.#delivering || this.#arrived.length === 0) return
    this.#delivering = true
    defaultRing().afterTurn(this.#deliver)
  }

  readonly #deliver = (): void => {
    this.#delivering = false
    try {
      while (handleOf(this.#socket)?.reading === true) {
        const chunk = this.#arrived.shift()
        if (chunk === undefined) break
        this.#give(chunk)
      }
    } finally {
      if (handleOf(this.#socket)?.reading === true) this.#deliverLater()
    }
    if (this.#endArrived && this.#arrived.length === 0) {
      this.#endArrived = false
      this.#stream.emitEOF()
    }
  }

  #give(chunk: Uint8Array): void {
    this.#inCall = true
    try {
      this.#stream.readBuffer(chunk)
    } finally {
      this.#finishWrites()
    }
  }

  // ---------------------------------------------------------------- what C++ asks for

  readStart(): number {
    const result = handleOf(this.#socket)?.readStart() ?? 0
    this.#deliverLater()
    return result
  }

  readStop(): number {
    // A session stops reading while it writes. One that stops again is being destroyed, and says GOAWAY if it is not
    // writing.
    const stopsAgain = this.#user === 'http2' && handleOf(this.#socket)?.reading === false
    const result = handleOf(this.#socket)?.readStop() ?? 0
    if (stopsAgain && !this.#asking) this.#finishWrites()
    return result
  }

  write(request: Request, chunks: readonly Uint8Array[]): number {
    const handle = handleOf(this.#socket)
    if (handle === null) return -ECANCELED
    if (this.#ended) return -EPIPE
    if (chunks.every((chunk) => chunk.byteLength === 0)) {
      // With one of no bytes TLS only asks when a write would be done, and does not wait for it with others.
      timers.setImmediate(() => this.#stream.finishWrite(request, 0))
      return 0
    }
    this.#writing = request
    this.#chunks = chunks
    this.#asking = true
    try {
      handle.writeOwn(chunks, this.#written)
      // TLS has joined what there is. Of HTTP/2 more follows, which is to leave with it.
      if (this.#user === 'tls') handle.answered()
    } catch {
      // The socket itself was ended.
      this.#writing = undefined
      this.#chunks = []
      return -EPIPE
    } finally {
      this.#asking = false
    }
    return 0
  }

  readonly #written = (error?: NodeJS.ErrnoException | null): void => {
    this.#outcome = error ? error.errno ?? -EPIPE : 0
    if (!this.#asking) this.#finishWrites()
    else if (!this.#inCall) process.nextTick(this.#finishWrites)
  }

  /**
   * Tells C++ of what is done. Writes that come of what it is told are finished before anything else happens, as
   * libuv's are: a session that is destroyed while it writes sends no GOAWAY, and resets a stream before what was
   * written to it.
   */
  readonly #finishWrites = (): void => {
    this.#inCall = true
    try {
      for (let status = this.#outcome; status !== undefined; status = this.#outcome) this.#finishWrite(status)
    } finally {
      this.#inCall = false
      // What was told has thrown.
      if (this.#outcome !== undefined) process.nextTick(this.#finishWrites)
    }
  }

  #finishWrite(status: number): void {
    // First: what C++ writes next is put where they were.
    giveBack(this.#chunks)
    this.#chunks = []
    const writing = this.#writing
    this.#writing = this.#outcome = undefined
    if (writing !== undefined) this.#stream.finishWrite(writing, status)
    if (this.#user === 'http2') this.#readOn()
    const ending = this.#ending
    this.#ending = undefined
    if (ending !== undefined) this.shutdown(ending)
  }

  /**
   * A session stops reading while it writes, and does not go on if the peer has said GOAWAY meanwhile: it would never
   * see the connection end. (Writes of libuv's are done at once, mostly.)
   */
  #readOn(): void {
    if (this.#writing === undefined) this.readStart()
  }

  shutdown(request: Request): number {
    const handle = handleOf(this.#socket)
    if (this.#writing !== undefined) {
      this.#ending = request
    } else if (handle === null) {
      timers.setImmediate(() => this.#stream.finishShutdown(request, -ECANCELED))
    } else {
      this.#ended = true
      handle.shutdown(() => this.#stream.finishShutdown(request, 0))
    }
    return 0
  }
}

type StreamConstructor = new (socket: Socket, user: StreamUser) => object

function makeClass(): StreamConstructor {
  /** What a socket of Sheaf's has in `_handle` for those of Node's modules that go on in C++. */
  return class StreamHandle extends findJsStream() {
    readonly #socket: Socket
    readonly #end: StreamEnd

    constructor(socket: Socket, user: StreamUser) {
      super()
      this.#socket = socket
      this.#end = new StreamEnd(this, socket, user)
      divert(socket, this.#end, this)
    }

    // -------------------------------------------------------------- what C++ asks for

    isClosing(): boolean {
      return handleOf(this.#socket) === null
    }

    onreadstart(): number {
      return this.#end.readStart()
    }

    onreadstop(): number {
      return this.#end.readStop()
    }

    onwrite(request: Request, chunks: readonly Uint8Array[]): number {
      return this.#end.write(request, chunks)
    }

    onshutdown(request: Request): number {
      return this.#end.shutdown(request)
    }

    // -------------------------------------------------------------- what Node's sockets and sessions ask for

    close(closed?: () => void): void {
      if (closed !== undefined) this.#socket.once('close', closed)
      this.#socket.destroy()
    }

    ref(): void {
      handleOf(this.#socket)?.ref()
    }

    unref(): void {
      handleOf(this.#socket)?.unref()
    }

    hasRef(): boolean {
      return handleOf(this.#socket)?.hasRef() ?? false
    }

    getsockname(out: object): number {
      return handleOf(this.#socket)?.getsockname(out) ?? -constants.errno.EBADF
    }

    getpeername(out: object): number {
      return handleOf(this.#socket)?.getpeername(out) ?? -constants.errno.EBADF
    }

    setNoDelay(enabled: boolean): void {
      handleOf(this.#socket)?.setNoDelay(enabled)
    }

    setKeepAlive(enabled: boolean, initialDelaySeconds: number): void {
      handleOf(this.#socket)?.setKeepAlive(enabled, initialDelaySeconds)
    }
  }
}

let streamClass: StreamConstructor | undefined

/**
 * Lets C++ use the connection beneath `socket`, not its streams: to be called before one of Node's modules takes the
 * socket over. It then finds in `_handle` what it finds in Node's own sockets. Harmless when repeated, and for what is
 * no socket of Sheaf's; one that does not connect yet has nothing to give, and is used through its streams.
 */
export function giveStreamHandle(socket: unknown, user: StreamUser): void {
  if (typeof socket !== 'object' || socket === null || handleOf(socket) === null) return
  if ((socket as Socket)._handle !== handleOf(socket)) return
  streamClass ??= makeClass()
  new streamClass(socket as Socket, user)
}
