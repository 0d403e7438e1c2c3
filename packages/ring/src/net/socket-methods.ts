import { Duplex } from 'node:stream'
import { nodeMajor, timers, type Write } from '@sheaf/ring'
import type { Endpoint, SocketName } from './address-family'
import { isNormalized, normalizeArguments } from './arguments'
import { announceClient, announcesConnecting } from './client-channel'
import { connectToHost, connectToPath } from './connect'
import { type AttemptOptions, ConnectAttempts } from './connect-attempts'
import {
  addressMissing, callError, checkFunction, checkTimeout, checkTypeOfService, invalidHandleType, socketClosed,
} from './errors'
import { continueAsNodes, isLeftToNode } from './foreign-socket'
import { giveHandle } from './give-handle'
import type { ReadBuffer } from './read-buffer'
import type { Server } from './server'
import type { Socket } from './socket'
import { knownEncoding, type SocketHandle, type WriteDone } from './socket-handle'
import { newState, type SocketState, state } from './socket-state'
import { pendingBytes, totalBytes, writeWhenConnected } from './untimely-writes'

interface KeepAliveOptions {
  enable?: boolean
  initialDelay?: number
  interval?: number
  count?: number
}

/** What `net.Socket` has, on a connection of Sheaf's. */
export class SocketMethods extends Duplex {
  declare readonly [state]: SocketState
  declare connecting: boolean
  declare timeout?: number
  declare server: Server | null
  declare autoSelectFamilyAttemptedAddresses?: string[]
  /** Properties of Node's sockets that `http`, `tls` and programs look at. */
  declare _hadError: boolean
  declare _parent: SocketMethods | null
  declare _host: string | null
  declare _server: Server | null
  declare _peername: SocketName | undefined
  declare _sockname: SocketName | null
  declare _pendingData: Uint8Array | string | readonly Write[] | null
  declare _pendingEncoding: BufferEncoding | ''
  declare _aborted?: boolean
  declare _closeAfterHandlingError: boolean
  declare resetAndClosing?: boolean

  // ---------------------------------------------------------------- connecting

  connect(...args: unknown[]): this {
    const normalized = isNormalized(args[0]) ? args[0] : normalizeArguments(args)
    const [options, callback] = normalized
    if (isLeftToNode(this, options)) {
      continueAsNodes(this, SocketMethods.prototype)
      return this.connect(normalized)
    }
    if (announcesConnecting) announceClient(this)
    if (callback !== null) this.once('connect', callback)
    if (this._parent?.connecting === true) return this
    if (options.port === undefined && (options.path === undefined || (options.path as unknown) === null)) {
      throw addressMissing()
    }
    // What writing after the peer's end had put there.
    if (Object.hasOwn(this, 'write')) delete (this as Partial<Socket>).write
    const own = this[state]
    if (this.destroyed) {
      own.handle = null
      own.boundPath = undefined
      this._peername = undefined
      this._sockname = null
    }
    const isPath = own.boundPath === undefined ? Boolean(options.path) : own.handle?.family.kind === 'pipe'
    if (own.handle === null) giveHandle(this, isPath ? 'pipe' : 'tcp')
    this._unrefTimer()
    this.connecting = true
    const start = (endpoints: readonly Endpoint[], attempt: AttemptOptions): void => {
      own.attempts = new ConnectAttempts(this, endpoints, attempt, (first) => {
        if (!first) {
          own.handle?.close()
          giveHandle(this, 'tcp')
        }
        return own.handle as SocketHandle
      })
      own.attempts.next()
    }
    if (isPath) connectToPath(options, start)
    else connectToHost(this, options, start)
    return this
  }

  get _connecting(): boolean {
    return this.connecting
  }

  get pending(): boolean {
    return usedHandle(this) === null || this.connecting
  }

  get readyState(): string {
    if (this.connecting) return 'opening'
    if (this.readable) return this.writable ? 'open' : 'readOnly'
    return this.writable ? 'writeOnly' : 'closed'
  }

  // ---------------------------------------------------------------- receiving

  override _read(size: number): void {
    const handle = usedHandle(this)
    if (this.connecting || handle === null) this.once('connect', () => this._read(size))
    else if (!handle.reading) startReading(this, handle)
  }

  override read(size?: number): unknown {
    resumeReadBuffer(this)
    return super.read(size)
  }

  override pause(): this {
    const { handle, readBuffer } = this[state]
    if (readBuffer !== undefined && !this.connecting && handle?.reading === true) handle.readStop()
    return super.pause()
  }

  override resume(): this {
    resumeReadBuffer(this)
    return super.resume()
  }

  get bytesRead(): number {
    const { bytesRead, readBuffer } = this[state]
    const handle = usedHandle(this)
    return handle === null ? bytesRead : handle.bytesRead - (readBuffer?.restBytes ?? 0)
  }

  // ---------------------------------------------------------------- sending

  override _write(chunk: Uint8Array | string, encoding: BufferEncoding, done: WriteDone): void {
    const own = this[state]
    if (this.connecting) {
      writeWhenConnected(this, chunk, encoding, done, () => {
        // Not that of a class which inherits it, and may have changed the chunk.
        SocketMethods.prototype._write.call(this, chunk, encoding, done)
      })
    } else if (own.handle === null) {
      done(socketClosed())
    } else {
      this._unrefTimer()
      own.handle.write(chunk, knownEncoding(encoding), done)
    }
  }

  override _writev(chunks: Write[], done: WriteDone): void {
    const own = this[state]
    if (this.connecting) {
      writeWhenConnected(this, chunks, '', done, () => SocketMethods.prototype._writev.call(this, chunks, done))
    } else if (own.handle === null) {
      done(socketClosed())
    } else {
      this._unrefTimer()
      own.handle.writev(chunks, done)
    }
  }

  override _final(done: WriteDone): void {
    const { handle } = this[state]
    const waits = nodeMajor < 22 ? this.pending : this.connecting
    if (waits) this.once('connect', () => this._final(done))
    else if (handle === null) done()
    else handle.shutdown(done)
  }

  get bufferSize(): number | undefined {
    return usedHandle(this) === null ? undefined : this.writableLength
  }

  get _bytesDispatched(): number {
    const { bytesWritten } = this[state]
    const handle = usedHandle(this)
    return handle === null ? bytesWritten : handle.bytesWritten
  }

  /** Bytes that were given to the socket, sent or not. */
  get bytesWritten(): number | undefined {
    const buffered = (this as { writableBuffer?: readonly Write[] }).writableBuffer
    return buffered === undefined ? undefined : this._bytesDispatched + totalBytes(buffered) + pendingBytes(this)
  }

  // ---------------------------------------------------------------- ending

  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', () => this.destroy())
  }

  resetAndDestroy(): this {
    const { handle } = this[state]
    if (handle === null) {
      this.destroy(socketClosed())
      return this
    }
    if (handle.family.kind !== 'tcp') throw invalidHandleType()
    if (this.connecting) this.once('connect', () => this._reset())
    else this._reset()
    return this
  }

  _reset(): this {
    this.resetAndClosing = true
    return this.destroy()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.connecting = false
    const own = this[state]
    own.idle.clear()
    const { handle } = own
    const { attempts } = own
    own.attempts = undefined
    const tellClosed = (): void => {
      attempts?.cancelled()
      this.emit('close', error !== null)
    }
    if (handle === null) {
      done(error)
      process.nextTick(emitClose, this)
    } else {
      own.bytesRead = this.bytesRead
      own.bytesWritten = handle.bytesWritten
      if (this._closeAfterHandlingError && this.resetAndClosing !== true) {
        // Whoever handles the error may still look at the connection, and does so before this.
        timers.queueMicrotask(() => {
          handle.close(() => {
            tellClosed()
            forgetHandle(this)
          })
        })
      } else {
        if (this.resetAndClosing === true) handle.reset(tellClosed)
        else handle.close(tellClosed)
        this.resetAndClosing = false
        forgetHandle(this)
      }
      done(error)
    }
    if (this._server !== null) {
      this._server._connections--
      this._server._emitCloseIfDrained()
    }
  }

  // ---------------------------------------------------------------- time-outs

  setTimeout(timeoutMs: number, callback?: () => void): this {
    if (this.destroyed) return this
    this.timeout = timeoutMs
    const delayMs = checkTimeout(timeoutMs)
    this[state].idle.set(delayMs)
    if (callback !== undefined) {
      checkFunction('callback', callback)
      if (delayMs === 0) this.removeListener('timeout', callback)
      else this.once('timeout', callback)
    }
    return this
  }

  /** There is life: the time-out begins anew. */
  _unrefTimer(): void {
    this[state].idle.refresh()
    // Programs put `undefined` there, too.
    for (let socket = this._parent; socket; socket = socket._parent) socket._unrefTimer()
  }

  _onTimeout(): void {
    const own = this[state]
    const queued = own.handle?.writeQueueSize ?? 0
    if (queued > 0 && queued !== own.queuedAtTimeout && own.handle?.writing === true) {
      // What is being written has moved on.
      own.queuedAtTimeout = queued
      this._unrefTimer()
      return
    }
    this.emit('timeout')
  }

  // ---------------------------------------------------------------- options of the connection

  setNoDelay(enable?: boolean): this {
    const own = this[state]
    const enabled = enable === undefined || Boolean(enable as unknown)
    if (own.handle !== null && enabled !== own.noDelay) own.handle.setNoDelay(enabled)
    own.noDelay = enabled
    return this
  }

  setKeepAlive(
    enable?: boolean | KeepAliveOptions | null, initialDelayMs?: number, intervalMs?: number, count?: number,
  ): this {
    if (typeof enable === 'object' && enable !== null) {
      const { enable: enabled, initialDelay, interval, count: probes } = enable
      return this.setKeepAlive(enabled, initialDelay, interval, probes)
    }
    const own = this[state]
    const enabled = Boolean(enable)
    const delaySeconds = wholeSeconds(initialDelayMs)
    const intervalSeconds = intervalMs === undefined ? undefined : wholeSeconds(intervalMs)
    const changes = enabled !== own.keepAlive || (enabled && (delaySeconds !== own.keepAliveDelaySeconds
      || intervalSeconds !== own.keepAliveIntervalSeconds || count !== own.keepAliveProbes))
    own.keepAlive = enabled
    own.keepAliveDelaySeconds = delaySeconds
    own.keepAliveIntervalSeconds = intervalSeconds
    own.keepAliveProbes = count
    if (changes) own.handle?.setKeepAlive(enabled, delaySeconds, intervalSeconds, count)
    return this
  }

  /** @param value the byte in the IP header, in time for the connection if it is not there yet. */
  setTypeOfService(value: number): this {
    checkTypeOfService('tos', value)
    const own = this[state]
    if (value === own.typeOfService) return this
    own.typeOfService = value
    const result = own.handle?.typeOfService(value) ?? 0
    if (result < 0) throw callError(result, 'setTypeOfService')
    return this
  }

  getTypeOfService(): number {
    const own = this[state]
    const result = own.handle?.typeOfService() ?? own.typeOfService ?? 0
    if (result < 0) throw callError(result, 'getTypeOfService')
    return result
  }

  ref(): this {
    const { handle } = this[state]
    if (handle === null) this.once('connect', () => this.ref())
    else handle.ref()
    return this
  }

  unref(): this {
    const { handle } = this[state]
    if (handle === null) this.once('connect', () => this.unref())
    else handle.unref()
    return this
  }

  // ---------------------------------------------------------------- addresses

  address(): SocketName {
    return this._getsockname()
  }

  _getsockname(): SocketName {
    const handle = usedHandle(this)
    if (this[state].boundPath) return { address: this[state].boundPath }
    if (handle === null) return {}
    if (this._sockname === null) {
      this._sockname = {}
      handle.getsockname(this._sockname)
    }
    return this._sockname
  }

  _getpeername(): SocketName {
    const handle = usedHandle(this)
    if (handle === null || this.connecting) return this._peername ?? {}
    if (this._peername === undefined) {
      const name: SocketName = {}
      if (handle.getpeername(name) !== 0) return name
      this._peername = name
    }
    return this._peername
  }

  get remoteAddress(): string | undefined {
    return this._getpeername().address
  }

  get remoteFamily(): string | undefined {
    return this._getpeername().family
  }

  get remotePort(): number | undefined {
    return this._getpeername().port
  }

  get localAddress(): string | undefined {
    return this._getsockname().address
  }

  get localFamily(): string | undefined {
    return this._getsockname().family
  }

  get localPort(): number | undefined {
    return this._getsockname().port
  }

  get _handle(): object | null {
    const { shown, handle } = this[state]
    return shown ?? handle
  }

  set _handle(handle: object | null) {
    const own = this[state]
    if (own === unmade) Object.defineProperty(this, '_handle', { value: handle, writable: true })
    else if (own.shown === undefined) own.handle = handle as SocketHandle | null
  }
}

/** Of what only inherits from the class, as stand-ins do that tests make: it was never connected, and keeps nothing. */
const unmade = new Proxy(newState(SocketMethods.prototype, {}), { set: () => true })
Object.defineProperty(SocketMethods.prototype, state, { value: unmade, writable: true })

/** A socket's own; or another's, where a program has put that in `_handle` with `Object.defineProperty` (msw does). */
function usedHandle(socket: Socket): SocketHandle | null {
  const { handle } = socket[state]
  return handle ?? (Object.hasOwn(socket, '_handle') ? socket._handle as SocketHandle | null : null)
}

function wholeSeconds(timeMs = 0): number {
  return Math.trunc(timeMs / 1000) | 0
}

function startReading(socket: Socket, handle: SocketHandle): void {
  handle.readStart()
  const { readBuffer } = socket[state]
  // As if it came then: what the stream itself has put off until the next tick must not find it reading no more.
  if (readBuffer?.hasRest === true) timers.setImmediate(deliverRest, socket, handle, readBuffer)
}

function deliverRest(socket: Socket, handle: SocketHandle, readBuffer: ReadBuffer): void {
  if (!socket.destroyed) readBuffer.deliverRest(handle)
}

function resumeReadBuffer(socket: Socket): void {
  const { handle, readBuffer } = socket[state]
  if (readBuffer !== undefined && !socket.connecting && handle?.reading === false) startReading(socket, handle)
}

/** Of a socket that has no handle: Node does not say there whether it was an error. */
function emitClose(socket: Socket): void {
  socket.emit('close')
}

function forgetHandle(socket: Socket): void {
  socket[state].handle = null
  socket._sockname = null
}
