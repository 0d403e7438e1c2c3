import { constants } from 'node:os'
import type { TLSSocket } from 'node:tls'
import { divert, handleOf, type Socket } from '@sheaf/ring/net'
import { findJsStream, type Request } from './js-stream'
import { StreamEnd } from './stream-end'
import type { StreamUser } from './stream-writes'

interface StreamHandle {
  /** The TLS socket that is topmost on the connection. */
  secure: TLSSocket | undefined
  /** Somebody has thrown who was told of what C++ was given. */
  thrown(): void
}

type StreamConstructor = new (socket: Socket, user: StreamUser) => StreamHandle

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

    get secure(): TLSSocket | undefined {
      return this.#end.secure
    }

    set secure(secure: TLSSocket | undefined) {
      this.#end.secure = secure
    }

    thrown(): void {
      this.#end.hasThrown = true
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

    hasPendingRead(): boolean {
      return this.#end.holds || handleOf(this.#socket)?.hasPendingRead() === true
    }

    // Of the socket, which remembers them while it connects: what is on it asks once, and takes it for done.

    setNoDelay(enabled: boolean): void {
      this.#socket.setNoDelay(enabled)
    }

    setKeepAlive(enabled: boolean, initialDelaySeconds: number): void {
      this.#socket.setKeepAlive(enabled, initialDelaySeconds * 1000)
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

/** The handle of a stream that something is put on. That of a TLS socket knows what it is on itself. */
export interface HandleBeneath {
  readonly _parent?: HandleBeneath
}

/** Has errors of the connection of Sheaf's beneath `handle`, if there is one, go to the TLS socket that is topmost. */
export function giveErrorsTo(secure: TLSSocket, handle: HandleBeneath | undefined): void {
  const stream = handle && streamBeneath(handle)
  if (stream !== undefined) stream.secure = secure
}

/** The stream of a connection of Sheaf's that a handle of Node's is on, if it is. */
export function streamBeneath(handle: HandleBeneath): StreamHandle | undefined {
  let lowest = handle
  while (lowest._parent !== undefined) lowest = lowest._parent
  return streamClass !== undefined && lowest instanceof streamClass ? lowest : undefined
}
