import { createSocket as createUdpSocket, type Socket as UdpSocket } from 'node:dgram'
import { EventEmitter } from 'node:events'
import { isBytes, timers } from '@sheaf/ring'
import { datagram, type PathAddress } from '@sheaf/unix'

/*
 * The API of the npm package `unix-dgram`, on `@sheaf/unix`: `README.md` says how to put it in that one's place.
 */

const badDescriptor = -9
const again = -11
/** How long `close` waits for receivers that are full. They have had their chance by then. */
const lingerMs = 1000

/** How that package makes its errors: `errno` and `code` are the negative number of the error. */
export interface UnixDgramError extends Error {
  errno?: number
  code: number
  syscall?: string
}

export type SendCallback = (error?: UnixDgramError) => void

/** Who sent a message. */
export interface RemoteInfo {
  readonly size: number
  readonly address: object
  /** Null for a socket without a path. */
  readonly path: string | null
}

type Listener = (message: Buffer, from: RemoteInfo) => void
type UdpListener = Parameters<typeof createUdpSocket>[1]

function errnoException(errno: number, syscall: string): UnixDgramError {
  return Object.assign(new Error(`${syscall} ${errno}`), { errno, code: errno, syscall })
}

function congestion(): UnixDgramError {
  return Object.assign(new Error('congestion'), { code: 1 })
}

/** `-errno` of what Sheaf throws and calls back with. @throws the error itself if it is no system error. */
function errnoOf(error: unknown): number {
  const { code, errno } = error as NodeJS.ErrnoException
  if (code === 'ERR_SHEAF_CLOSED') return badDescriptor
  if (errno === undefined) throw error
  return errno
}

/**
 * A Unix datagram socket. What that package's user sees differs in two things: callbacks of `send` and the errors that
 * it emits come in a later turn, and congestion begins when the queue of this socket is full, not its receiver's.
 *
 * Emits `listening`, `connect`, `message`, `error`; `congestion`, with what was not sent, when the queue of a connected
 * socket is full, and `writable` when it no longer is.
 */
export class Socket extends EventEmitter {
  readonly type = 'unix_dgram'
  /** -1 when it is closed. */
  fd: number
  connected = false
  readonly #socket: datagram.DatagramSocket
  #congested = false

  /** @internal Use {@link createSocket}. */
  constructor(listener?: Listener) {
    super()
    // Whoever listens for congestion while a callback is to come has many listeners, as callbacks come later.
    this.setMaxListeners(0)
    this.#socket = datagram.open({}, {
      message: (_socket, chunk, from) => this.emit('message', chunk, remoteInfo(chunk, from)),
      drain: () => this.#drained(),
      error: (_socket, error) => this.emit('error', errnoException(errnoOf(error), 'recv')),
    })
    this.fd = this.#socket.fd
    if (typeof listener === 'function') this.on('message', listener)
  }

  /** Receives at `path`, whose file stays when the socket closes. Emits `listening`, or `error`, before it returns. */
  bind(path: string): void {
    if (this.#tried('bind', () => this.#socket.bind(path, { keepFile: true }))) this.emit('listening')
  }

  /** What is sent goes to `path`. Emits `connect`, or `error`, before it returns. */
  connect(path: string): void {
    if (!this.#tried('connect', () => this.#socket.reconnect(path))) return
    this.connected = true
    this.emit('connect')
  }

  /** Sends all of `message` to the peer of a connected socket. */
  send(message: Uint8Array, callback?: SendCallback): void
  /** Sends `length` bytes of `message` from `offset` on to `path`. */
  send(message: Uint8Array, offset: number, length: number, path: string, callback?: SendCallback): void
  send(
    message: Uint8Array,
    offset?: number | SendCallback,
    length?: number,
    path?: string,
    callback?: SendCallback,
  ): void {
    if (!isBytes(message)) throw new TypeError('"message" must be a Buffer')
    if (this.connected) this.#sendToPeer(message, offset as SendCallback | undefined)
    else this.#sendTo(part(message, offset as number, length as number), path as string, callback)
  }

  /** As `send` of a socket that is not connected. */
  sendto(message: Uint8Array, offset: number, length: number, path: string, callback?: SendCallback): void {
    this.send(message, offset, length, path, callback)
  }

  /** Sends what is queued, for a second at most if its receiver does not read, and closes. */
  close(): void {
    if (this.fd === -1) throw errnoException(badDescriptor, 'close')
    this.fd = -1
    this.#socket.handler = {}
    this.#socket.close()
    const linger = timers.setTimeout(() => this.#socket.destroy(), lingerMs)
    this.#socket.onClosed = () => timers.clearTimeout(linger)
  }

  address(): never {
    return notImplemented()
  }

  setTTL(): never {
    return notImplemented()
  }

  setBroadcast(): never {
    return notImplemented()
  }

  setMulticastTTL(): never {
    return notImplemented()
  }

  setMulticastLoopback(): never {
    return notImplemented()
  }

  addMembership(): never {
    return notImplemented()
  }

  dropMembership(): never {
    return notImplemented()
  }

  #sendToPeer(message: Uint8Array, callback: SendCallback | undefined): void {
    if (!this.#congested) {
      this.#congested = !this.#socket.send(message, this.#told(callback)) && this.fd !== -1
    } else if (typeof callback === 'function') {
      callback(congestion())
    } else {
      this.emit('congestion', message)
    }
  }

  #sendTo(message: Uint8Array, path: string, callback: SendCallback | undefined): void {
    const told = this.#told(callback)
    if (this.#congested) told(Object.assign(new Error(), { errno: again }))
    else this.#congested = !this.#socket.send(message, { path }, told) && this.fd !== -1
  }

  /** Tells how sending one message ended. */
  #told(callback: SendCallback | undefined): (error?: Error) => void {
    return (error) => {
      const told = error && errnoException(errnoOf(error), 'send')
      if (typeof callback === 'function') callback(told)
      else if (told !== undefined) this.emit('error', told)
    }
  }

  #drained(): void {
    this.#congested = false
    if (this.connected) this.emit('writable')
  }

  /** @returns whether `attempt` succeeded; if not, the error has been emitted. */
  #tried(syscall: string, attempt: () => void): boolean {
    try {
      attempt()
      return true
    } catch (error) {
      this.emit('error', errnoException(errnoOf(error), syscall))
      return false
    }
  }
}

/**
 * A new socket. @param type `unix_dgram`; `udp4` and `udp6` make one of `node:dgram`. @param listener of `message`.
 * @throws Error for any other type; SheafError `ERR_SHEAF_UNSUPPORTED` where there is no io_uring.
 */
export function createSocket(type: 'unix_dgram', listener?: Listener): Socket
export function createSocket(type: 'udp4' | 'udp6', listener?: UdpListener): UdpSocket
export function createSocket(type: string, listener?: Listener | UdpListener): Socket | UdpSocket {
  if (type === 'udp4' || type === 'udp6') return createUdpSocket(type, listener as UdpListener)
  if (type !== 'unix_dgram') throw new Error(`Unsupported socket type: ${type}`)
  return new Socket(listener as Listener)
}

/** As `import unix from 'unix-dgram'` has it. */
export default { createSocket }

function part(message: Uint8Array, offset: number, length: number): Uint8Array {
  if (!(offset >= 0 && length >= 0 && offset + length <= message.byteLength)) {
    throw new RangeError('"offset" and "length" must be within "message"')
  }
  return message.subarray(offset, offset + length)
}

function remoteInfo(message: Buffer, from: PathAddress): RemoteInfo {
  const path = from.path === '' || from.path.startsWith('\0') ? null : from.path
  return { size: message.byteLength, address: {}, path }
}

function notImplemented(): never {
  throw new Error('not implemented')
}
