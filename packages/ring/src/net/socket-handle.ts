import type { AsyncResource } from 'node:async_hooks'
import {
  callInScope, callLastInScope, type Chunk, defaultRing, requestResource, type Ring, runTicks, type StreamConnection,
  type StreamHandler, timers, type Write,
} from '@sheaf/ring'
import { Errno } from '../abi'
import type { AddressFamily, Endpoint, SocketName } from './address-family'
import { callError, notABuffer, writeCutOff } from './errors'
import { HandleResource } from './handle-resource'
import type { Socket } from './socket'
import type { Receiver } from './socket-state'

export type WriteDone = (error?: Error | null) => void

/** A write that its connection has no room for. How it ends is told in the async context of whoever wrote. */
interface WaitingWrite {
  readonly done: WriteDone
  readonly resource: AsyncResource
}

/** What a handle tells the socket whose handle it is (`this`), in the handle's async context. */
export interface HandleEvents {
  /** Connecting has ended: without an error the connection is established. */
  readonly connect: (this: Socket, handle: SocketHandle, error?: NodeJS.ErrnoException) => void
  readonly data: (this: Socket, chunk: Chunk) => void
  readonly end: (this: Socket) => void
  /** The connection has taken what it had no room for before. `done` is that write's, and so is the async context. */
  readonly written: (this: Socket, done: WriteDone) => void
  /** The connection is lost. */
  readonly lost: (this: Socket, error: NodeJS.ErrnoException) => void
}

const resourceTypes = { tcp: 'TCPWRAP', pipe: 'PIPEWRAP' } as const

/**
 * What a socket has in `_handle`: a connection, or the descriptor that is to become one, with the surface that a handle
 * of libuv has, as far as programs look at it.
 *
 * What happens on the connection is told in the handle's async context, so that `AsyncLocalStorage` and `async_hooks`
 * see what they see with Node's sockets.
 */
export class SocketHandle {
  readonly family: AddressFamily
  readonly #ring: Ring
  readonly #events: HandleEvents
  #resource: HandleResource<Socket>
  owner!: Socket
  /** Undefined until it connects, or is connected. */
  #connection: StreamConnection | undefined
  #receiver: Receiver | undefined
  fd = -1
  /** Data is wanted. */
  reading = false
  #referenced = true
  #connecting = false
  #opened: ((handle: SocketHandle) => void) | undefined
  /** The owner makes no other before it has been told how this ended. */
  #waiting: WaitingWrite | undefined
  #closed: (() => void) | undefined
  #closing = false
  #closeTold = false
  /** The peer has ended, and the owner is to be told of it when the loop polls next. */
  #endWaits = false
  /** Connected without a `connect` that did not wait, of which Linux tells the next one, or has sent its end since. */
  #knownConnected = false
  /** The connection is gone, and the owner has been told. */
  #lost = false
  #onread: unknown
  /** Nothing is to be received. */
  #guarded = false
  /** The iteration of the loop in which something was received last. */
  #receivedIn = -1

  /** @param listenerAsyncId of the listener that has accepted it. */
  constructor(family: AddressFamily, events: HandleEvents, ring: Ring = defaultRing(), listenerAsyncId?: number) {
    this.family = family
    this.#events = events
    this.#ring = ring
    this.#resource = new HandleResource(resourceTypes[family.kind], this, listenerAsyncId)
  }

  // ---------------------------------------------------------------- how it begins

  /** Makes a socket. @returns 0 or `-errno`. */
  open(endpoint: Endpoint): number {
    const fd = this.family.open(this.#ring, endpoint)
    if (fd < 0) return fd
    this.fd = fd
    return 0
  }

  /** @returns 0 or `-errno`. */
  bind(endpoint: Endpoint): number {
    return this.family.bind(this.#ring, this.fd, endpoint)
  }

  /** Connects the socket. @returns 0, and the owner is told `onConnect` later, or `-errno`. */
  connect(endpoint: Endpoint): number {
    // Since the socket was made.
    if (this.#ring.closed) return -Errno.EBADF
    if (this.#connection !== undefined) return this.#connectAgain()
    let address: Uint8Array
    try {
      address = this.family.encode(this.#ring, endpoint)
    } catch (error) {
      return (error as NodeJS.ErrnoException).errno ?? -Errno.EINVAL
    }
    this.#connecting = true
    const connection = this.attach(this.fd)
    connection.connect(address)
    // Node's `connect` is a system call: who listens afterwards, in the same turn, is too late.
    connection.flush()
    return 0
  }

  /** What {@link connect} asked for has been answered by now, which the owner is told later. */
  get connectAnswered(): boolean {
    return this.#connection?.connectAnswered === true
  }

  /** As by a system call: of a TCP socket that has been connected meanwhile it says so once more, and only once. */
  #connectAgain(): number {
    if (this.#connecting) return -Errno.EALREADY
    if (this.#knownConnected) return -Errno.EISCONN
    this.#knownConnected = true
    this.#connecting = true
    timers.setImmediate((handle: SocketHandle) => handle.#tellConnectedAgain(), this)
    return 0
  }

  #tellConnectedAgain(): void {
    if (this.#closing || this.#lost) return
    this.#connecting = false
    const error = this.family.kind === 'tcp' ? undefined : callError(-Errno.EISCONN, 'connect')
    callInScope(this.#resource, this.#events.connect, this.owner, this, error)
  }

  /** Makes a connection of a connected socket, which belongs to the handle from then on. */
  adopt(fd: number): void {
    this.#knownConnected = true
    this.attach(fd).begin()
  }

  /**
   * The connection of a socket that belongs to the handle from then on. It receives nothing before {@link readStart}.
   * @param opened called when somebody has begun the connection.
   */
  attach(fd: number, opened?: (handle: SocketHandle) => void): StreamConnection {
    this.fd = fd
    this.#opened = opened
    if (opened !== undefined) this.#knownConnected = true
    const connection = this.family.connection(this.#ring, fd, connectionEvents, { allowHalfOpen: true })
    connection.attachment = this
    connection.serveSocket()
    if (this.#receiver !== undefined) connection.exactChunks = false
    if (!this.reading) connection.pause()
    if (!this.#referenced) connection.unref()
    this.#connection = connection
    return connection
  }

  /** `receiver`, which has an async context of its own, is given what is received, in place of the owner. */
  divert(receiver: Receiver): void {
    this.#receiver = receiver
    if (this.#connection !== undefined) this.#connection.exactChunks = false
  }

  // ---------------------------------------------------------------- what the socket asks for

  readStart(): number {
    this.reading = true
    this.#connection?.resume()
    if (this.#endWaits) this.#tellEndNext()
    return 0
  }

  readStop(): number {
    this.reading = false
    this.#connection?.pause()
    return 0
  }

  /**
   * Writes to an established connection. @param done called at once when the bytes are on their way, else when there
   * is room again.
   */
  write(chunk: Uint8Array | string, encoding: BufferEncoding | undefined, done: WriteDone): void {
    if (typeof chunk === 'string' && encoding === undefined) throw notABuffer()
    const refused = this.#refused
    if (refused !== undefined) done(refused)
    else if ((this.#connection as StreamConnection).write(chunk, encoding)) done()
    else this.#wait(done)
  }

  /** As {@link write}, of all chunks at once. */
  writev(chunks: readonly Write[], done: WriteDone): void {
    const refused = this.#refused
    if (refused !== undefined) done(refused)
    else if ((this.#connection as StreamConnection).writeAll(chunks)) done()
    else this.#wait(done)
  }

  /**
   * Writes chunks that nobody else has.
   * @param more see {@link StreamConnection.writeOwn}.
   * @param done called when they are not read any more and there is room for more.
   */
  writeOwn(chunks: readonly Uint8Array[], more: boolean, done: WriteDone): void {
    if ((this.#connection as StreamConnection).writeOwn(chunks, more)) done()
    else this.#wait(done)
  }

  /** Why nothing can be written any more. */
  get #refused(): Error | undefined {
    if (this.#closing) return callError(-Errno.EBADF, 'write')
    return this.#lost || this.#connection === undefined ? callError(-Errno.EPIPE, 'write') : undefined
  }

  #wait(done: WriteDone): void {
    this.#waiting = { done, resource: requestResource('WRITEWRAP') }
  }

  /**
   * Sends the FIN after what has been written.
   * @param done when it has been sent, or there is nobody to send it to; with an error if what had been accepted before
   * could not be.
   */
  shutdown(done: WriteDone): void {
    const connection = this.#connection
    if (connection === undefined) {
      done()
      return
    }
    const resource = requestResource('SHUTDOWNWRAP')
    connection.end((error) => {
      // A path refuses every further `connect`, and says so later.
      if (this.family.kind === 'tcp') this.#knownConnected = true
      callLastInScope(resource, done, undefined, isOfWrite(error) ? error : undefined)
      runTicks()
    })
  }

  /** @param closed when the kernel has let go of the connection. */
  close(closed?: () => void): void {
    this.#receiver?.closing()
    if (!this.#beginClose(closed)) return
    if (this.#connection === undefined) {
      if (this.fd !== -1) this.#ring.sockets.close(this.fd)
      this.#tellClosedSoon()
    } else if (this.#connection.state === 'closed') {
      this.#tellClosedSoon()
    } else {
      this.#destroyNow(this.#connection, false)
    }
  }

  #destroyNow(connection: StreamConnection, reset: boolean): void {
    connection.destroyNow(reset)
    if (connection.closedAtOnce) this.#tellClosedSoon()
  }

  /**
   * Lets go of the connection, which goes on: it is neither ended nor closed for whoever has it next. What was written
   * is sent before; nothing is received once this has returned.
   * @returns a descriptor of it, or `-errno`: `EBUSY` if something has been received that would be lost.
   */
  release(): number {
    if (this.#connecting || !this.#usable) return -Errno.EBADF
    const connection = this.#connection as StreamConnection
    const fd = connection.pauseNow() ? this.#ring.sockets.dup(this.fd) : -Errno.EBUSY
    if (fd >= 0) this.close()
    else if (this.reading) connection.resume()
    return fd
  }

  /**
   * A descriptor of the connection, for somebody else to go on with after {@link release}, if nothing has been received
   * yet. Nothing is from now on, but after {@link readStart}.
   * @returns `-errno` if there is none.
   */
  offer(): number {
    if (this.#connecting || !this.#usable) return -Errno.EBADF
    return this.#connection?.pauseNow() === true ? this.#ring.sockets.dup(this.fd) : -Errno.EBUSY
  }

  /** Another descriptor of the connection, which goes on here, too. What was written leaves before. */
  duplicate(): number {
    if (this.#connecting || !this.#usable) return -Errno.EBADF
    this.#connection?.flush()
    return this.#ring.sockets.dup(this.fd)
  }

  /**
   * The descriptor, for another process to have too. What was written leaves before anything of its, and what comes
   * from now on is left to it, until {@link readStart}.
   */
  lend(): number {
    this.reading = false
    if (this.#usable) this.#connection?.pauseNow()
    return this.fd
  }

  /** As {@link close}, but the peer sees a reset. @returns 0 or `-errno`. */
  reset(closed?: () => void): number {
    const connection = this.#connection
    if (connection === undefined || connection.state === 'closed') this.close(closed)
    else if (this.#beginClose(closed)) this.#destroyNow(connection, true)
    return 0
  }

  #beginClose(closed: (() => void) | undefined): boolean {
    if (this.#closing) return false
    this.#closing = true
    this.reading = false
    this.#closed = closed
    return true
  }

  #tellClosedSoon(): void {
    if (this.#closeTold) return
    this.#closeTold = true
    this.#ring.closingPhase.add(() => { this.#tellClosed() })
  }

  ref(): void {
    this.#referenced = true
    this.#connection?.ref()
  }

  unref(): void {
    this.#referenced = false
    this.#connection?.unref()
  }

  hasRef(): boolean {
    return this.#referenced && !this.#closing
  }

  setNoDelay(enabled: boolean): void {
    if (this.#usable) this.family.setNoDelay?.(this.#connection as StreamConnection, enabled)
  }

  setKeepAlive(enabled: boolean, initialSeconds: number, intervalSeconds?: number, probes?: number): void {
    if (!this.#usable) return
    const delays = { initialSeconds, intervalSeconds, probes }
    this.family.setKeepAlive?.(this.#connection as StreamConnection, enabled, delays)
  }

  /** @param value absent: as it is. @returns what it is then, undefined if there can be none yet, or `-errno`. */
  typeOfService(value?: number): number | undefined {
    return this.#usable ? this.family.typeOfService?.(this.#connection as StreamConnection, value) : undefined
  }

  /** @returns 0 or `-errno`. */
  getsockname(out: SocketName): number {
    return this.#name('getsockname', out)
  }

  /** @returns 0 or `-errno`. */
  getpeername(out: SocketName): number {
    return this.#name('getpeername', out)
  }

  #name(call: 'getsockname' | 'getpeername', out: SocketName): number {
    if (this.fd === -1 || this.#closing || (this.#connection !== undefined && !this.#usable)) return -Errno.EBADF
    const name = this.family.name(this.#ring, this.fd, call)
    if (typeof name === 'number') return name
    Object.assign(out, name)
    return 0
  }

  /** The descriptor is the connection's still. */
  get #usable(): boolean {
    const state = this.#connection?.state
    return state !== undefined && state !== 'closing' && state !== 'closed'
  }

  get bytesRead(): number {
    return this.#connection?.bytesRead ?? 0
  }

  /** Bytes accepted, whether or not they have left. */
  get bytesWritten(): number {
    return this.#connection === undefined ? 0 : this.#connection.bytesWritten + this.#connection.bytesQueued
  }

  get writeQueueSize(): number {
    return this.#connection?.bytesQueued ?? 0
  }

  /** A write waits for room. */
  get writing(): boolean {
    return this.#waiting !== undefined
  }

  // ---------------------------------------------------------------- what Node's modules do with it

  /**
   * The agent of `http` puts a function of its own here while a socket is free (from Node 22.23 on): what comes then is
   * no answer to anything, and must not be taken for that to the next request. The function would read the state of
   * libuv's streams; what it does is done here.
   */
  get onread(): unknown {
    return this.#onread
  }

  set onread(onread: unknown) {
    this.#onread = onread
    this.#guarded = typeof onread === 'function' && onread.name === 'freeSocketOnReadGuard'
  }

  /**
   * Something has come, or the end, that the owner has not been told of. The agent of `http` asks before it uses a free
   * socket again (from Node 22.23 and 24.22 on), for what the function above has not seen yet.
   */
  hasPendingRead(): boolean {
    return !this.#connecting && this.#usable
      && (this.#endWaits || (this.#connection as StreamConnection).hasPendingReceive)
  }

  /** Something has been told, and perhaps answered: where answers leave one by one, the peer goes on meanwhile. */
  answered(): void {
    const connection = this.#connection
    if (connection?.ring.turn.prompt === true) connection.sendFirst()
  }

  // ---------------------------------------------------------------- async_hooks

  getAsyncId(): number {
    return this.#resource.asyncId()
  }

  getProviderType(): string {
    return resourceTypes[this.family.kind]
  }

  /** Another async context from here on: that of the caller. `http.Agent` does it when it uses a socket again. */
  asyncReset(): void {
    this.#resource.emitDestroy()
    this.#resource = new HandleResource(resourceTypes[this.family.kind], this)
  }

  // ---------------------------------------------------------------- what the connection tells

  /** @internal */
  connectionOpened(): boolean {
    const opened = this.#opened
    this.#opened = undefined
    opened?.(this)
    if (!this.#connecting) return opened !== undefined
    this.#connecting = false
    callInScope(this.#resource, this.#events.connect, this.owner, this)
    return true
  }

  /** @internal @returns whether something of the application's may have been called. */
  connectionReceived(chunk: Chunk): boolean {
    this.#receivedIn = this.#ring.turn.iteration
    if (this.#receiver !== undefined) {
      this.owner._unrefTimer()
      return this.#receiver.received(chunk)
    }
    if (this.#guarded) this.owner.destroy()
    else callInScope(this.#resource, this.#events.data, this.owner, chunk)
    return true
  }

  /** @internal */
  connectionDrained(): void {
    const waiting = this.#waiting
    if (waiting === undefined) return
    this.#waiting = undefined
    callLastInScope(waiting.resource, this.#events.written, this.owner, waiting.done)
  }

  /** @internal */
  connectionEnded(): void {
    // libuv reads once an iteration, so the end comes in the one after the last data. TLS on a stream of JavaScript
    // answers its peer's end in between.
    const { turn } = this.#ring
    if (turn.polling && this.#receivedIn !== turn.iteration) {
      this.#tellEnd()
    } else {
      this.#endWaits = true
      this.#tellEndNext()
    }
  }

  /** Not while the owner does not read: libuv would not have seen it. */
  #tellEndNext(): void {
    const ring = this.#ring
    // The connection may have ended in both directions, and hold it no longer.
    const holds = this.#referenced
    if (holds) ring.ref()
    ring.turn.whenPolledNext(() => {
      if (holds) ring.unref()
      if (!this.#endWaits || !this.reading) return
      this.#endWaits = false
      this.#tellEnd()
    })
  }

  #tellEnd(): void {
    if (this.#guarded) this.owner.destroy()
    else if (!this.#closing) callInScope(this.#resource, this.#events.end, this.owner)
  }

  /** @internal */
  connectionClosed(error: NodeJS.ErrnoException | undefined): void {
    if (this.#closing) {
      this.#tellClosedSoon()
      return
    }
    this.#lost = true
    const lost = error ?? new Error('The connection was closed')
    if (this.#connecting) callInScope(this.#resource, this.#events.connect, this.owner, this, lost)
    else callInScope(this.#resource, this.#events.lost, this.owner, lost)
  }

  #tellClosed(): void {
    const waiting = this.#waiting
    const closed = this.#closed
    this.#waiting = this.#closed = undefined
    if (waiting !== undefined) callLastInScope(waiting.resource, waiting.done, undefined, writeCutOff())
    if (closed !== undefined) callInScope(this.#resource, closed)
    this.#resource.emitDestroy()
  }

  /** Takes the write that waits for room away. */
  takeWrite(): WriteDone | undefined {
    const waiting = this.#waiting
    if (waiting === undefined) return undefined
    this.#waiting = undefined
    const { done, resource } = waiting
    return (error) => {
      resource.runInAsyncScope(done, undefined, error)
      resource.emitDestroy()
    }
  }
}

/** One for all connections. */
const connectionEvents: StreamHandler<StreamConnection> = {
  open(connection) {
    // A socket that is made of a connection is nobody's event: its maker goes on.
    if ((connection.attachment as SocketHandle).connectionOpened()) connection.ring.turn.eventTold()
  },
  data(connection, chunk) {
    const handle = connection.attachment as SocketHandle
    if (!handle.connectionReceived(chunk)) return
    handle.answered()
    connection.ring.turn.eventTold()
  },
  drain(connection) {
    (connection.attachment as SocketHandle).connectionDrained()
    connection.ring.turn.eventTold()
  },
  end(connection) {
    (connection.attachment as SocketHandle).connectionEnded()
    connection.ring.turn.eventTold()
  },
  close(connection, error) {
    (connection.attachment as SocketHandle).connectionClosed(error)
    connection.ring.turn.eventTold()
  },
}

function isOfWrite(error: NodeJS.ErrnoException | undefined): boolean {
  return error?.syscall === 'write'
}

/** The stream's `buffer` means that the chunk is no string. */
export function knownEncoding(encoding: BufferEncoding | 'buffer'): BufferEncoding | undefined {
  return encoding === 'buffer' ? undefined : encoding
}
