import { captureRejectionSymbol, EventEmitter } from 'node:events'
import { tracingChannel } from 'node:diagnostics_channel'
import type { BlockList } from 'node:net'
import { getDefaultHighWaterMark } from 'node:stream'
import { checkSignalOption, invalidArgumentType, stockNet } from '@sheaf/ring'
import type { SocketName } from './address-family'
import { backlogOf, countOf, isPath, type NetOptions, normalizeArguments } from './arguments'
import { kindOfBound, takeBound } from './bound-socket'
import { callableClass, construct } from './callable-class'
import { isClusterWorker } from './cluster'
import {
  alreadyListening, callError, checkBlockList, checkKeepAliveDelay, checkNumber, checkPort, invalidValue,
  portOf, serverNotRunning,
} from './errors'
import { familyOfKind } from './families'
import { isForeignHandle } from './foreign-handle'
import { ListenHandle } from './listen-handle'
import {
  begin, listenByPrimary, listenInPlaceOf, listenOnDescriptor, listenOnHandle, listenOnPath, listenOnPort,
} from './listening'
import type { NodeListenHandle } from './node-handle'
import { addWorker, closeWorkers, countConnections, type SocketList } from './server-workers'
import type { Socket } from './socket'
import { markTransferable } from './transfer-mode'

export interface ServerOptions {
  allowHalfOpen?: boolean
  pauseOnConnect?: boolean
  noDelay?: boolean
  keepAlive?: boolean
  keepAliveInitialDelay?: number
  highWaterMark?: number
  blockList?: BlockList
}

type ConnectionListener = (socket: Socket) => void

const listenChannel = tracingChannel('net.server.listen')

/** `net.Server`, on a listener of Sheaf's. */
class ServerMethods extends EventEmitter {
  declare allowHalfOpen: boolean
  declare pauseOnConnect: boolean
  declare noDelay: boolean
  declare keepAlive: boolean
  /** In seconds, as Node has it. */
  declare keepAliveInitialDelay: number
  declare highWaterMark: number
  declare blockList: BlockList | undefined
  declare maxConnections?: number
  declare dropMaxConnection?: boolean
  /** Properties of Node's servers that programs look at. */
  declare _connections: number
  /** Undefined in what only inherits from the class. */
  declare _handle: ListenHandle | null | undefined
  declare _usingWorkers: boolean
  declare _workers: SocketList[]
  declare _unref: boolean
  declare _listeningId: number
  declare _pipeName?: string
  declare _connectionKey?: string

  listen(...args: unknown[]): this {
    const [given, callback] = normalizeArguments(args)
    if (this._handle) throw alreadyListening()
    if (isNodes(given)) {
      listenAsNode.apply(this, args)
      return this
    }
    if (listenChannel.asyncStart.hasSubscribers) listenChannel.asyncStart.publish({ server: this, options: given })
    if (callback !== null) this.once('listening', callback)
    // (handle | path | port, backlog) or (port, host, backlog)
    const counts = [countOf(args.length > 1 && args[1]), countOf(args.length > 2 && args[2])]
    const backlog = backlogOf(...counts)
    const options = [given._handle, given.handle].find(Boolean) as NetOptions | undefined ?? given
    this._listeningId++
    const boundKind = kindOfBound(options)
    if (boundKind !== undefined) {
      const { handle, path } = takeBound(options, boundKind)
      if (boundKind === 'pipe') this._pipeName = path
      listenInPlaceOf(this, boundKind, handle, backlog)
      return this
    }
    if (options instanceof ListenHandle) {
      // Another server's listener, from here on.
      begin(this, options, '-1:null:-1')
      return this
    }
    if (isForeignHandle(options)) {
      listenOnHandle(this, options as NodeListenHandle, backlog)
      return this
    }
    closeOnAbort(this, options.signal)
    if (typeof options.fd === 'number' && options.fd >= 0) {
      const { fd } = options
      if (isClusterWorker()) listenByPrimary(this, { address: null, port: null, addressType: null, fd, backlog })
      else listenOnDescriptor(this, fd, backlog)
      return this
    }
    const port: unknown = options.port
    const anyPort = args.length === 0 || typeof args[0] === 'function' || (port === undefined && 'port' in options)
    if (anyPort || port === null) options.port = 0
    if (typeof options.port === 'number' || typeof options.port === 'string') {
      checkPort(options.port, 'options.port')
      listenOnPort(this, options, portOf(options.port), backlogOf(options.backlog, ...counts))
    } else if (options.path !== undefined && isPath(options.path) && options.path !== '') {
      listenOnPath(this, options, options.path, backlogOf(options.backlog, ...counts))
    } else {
      const hasNeither = !('port' in options) && !('path' in options)
      throw invalidValue('options', options, hasNeither ? 'must have the property "port" or "path"' : undefined)
    }
    return this
  }

  /** The second half of Node's `listen`. */
  _listen2(...args: unknown[]): void {
    listenAsNode2.apply(this, args)
  }

  get listening(): boolean {
    return Boolean(this._handle)
  }

  address(): SocketName | string | null {
    if (this._handle && isNamed(this._handle)) {
      const name: SocketName = {}
      const result = this._handle.getsockname(name)
      if (result !== 0) throw callError(result, 'address')
      return name
    }
    return this._pipeName !== undefined && this._pipeName !== '' ? this._pipeName : null
  }

  getConnections(callback: (error: Error | null, count: number) => void): this {
    countConnections(this, callback)
    return this
  }

  close(callback?: (error?: Error) => void): this {
    this._listeningId++
    if (typeof callback === 'function') {
      if (!this._handle) this.once('close', () => callback(serverNotRunning()))
      else this.once('close', callback)
    }
    this._handle?.close()
    this._handle = null
    if (!this._usingWorkers) {
      this._emitCloseIfDrained()
      return this
    }
    // One more, so that `close` is not emitted before all workers have answered.
    this._connections++
    closeWorkers(this, () => {
      this._connections = 0
      this._emitCloseIfDrained()
    })
    return this
  }

  /** Called by Node when the first of the server's sockets is sent to a process. */
  _setupWorker(sockets: SocketList): void {
    addWorker(this, sockets)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this._handle) return
    await new Promise<void>((resolve, reject) => {
      this.close((error) => error === undefined ? resolve() : reject(error))
    })
  }

  _emitCloseIfDrained(): void {
    if (this._handle || this._connections) return
    process.nextTick(emitClose, this)
  }

  override [captureRejectionSymbol](error: Error, event: string, socket: Socket): void {
    if (event === 'connection') socket.destroy(error)
    else this.emit('error', error)
  }

  ref(): this {
    this._unref = false
    this._handle?.ref()
    return this
  }

  unref(): this {
    this._unref = true
    this._handle?.unref()
    return this
  }
}

export type Server = ServerMethods

export const Server = callableClass('Server', ServerMethods, stockNet.Server, initialise)

function initialise(
  server: Server,
  first?: ServerOptions | ConnectionListener | null,
  second?: ConnectionListener,
): undefined {
  construct(EventEmitter, server)
  markTransferable(server)
  const listener = typeof first === 'function' ? first : second
  if (!['function', 'object', 'undefined'].includes(typeof first)) {
    throw invalidArgumentType('options', 'of type object', first)
  }
  const options = typeof first === 'object' && first !== null ? first : {}
  if (typeof listener === 'function') server.on('connection', listener)
  server.keepAliveInitialDelay = Math.trunc(checkKeepAliveDelay(options.keepAliveInitialDelay) / 1000)
  if (options.highWaterMark !== undefined) checkNumber('options.highWaterMark', options.highWaterMark)
  const highWaterMark = options.highWaterMark ?? -1
  server.highWaterMark = highWaterMark < 0 ? getDefaultHighWaterMark(false) : highWaterMark
  server._connections = 0
  server._handle = null
  server._usingWorkers = false
  server._workers = []
  server._unref = false
  server._listeningId = 1
  server.allowHalfOpen = options.allowHalfOpen ?? false
  server.pauseOnConnect = Boolean(options.pauseOnConnect)
  server.noDelay = Boolean(options.noDelay)
  server.keepAlive = Boolean(options.keepAlive)
  server.blockList = checkBlockList(options.blockList)
  return undefined
}

/** Listens on an address, not on a path. The handle may be Node's. */
function isNamed(handle: ListenHandle): boolean {
  const { family } = handle as Partial<ListenHandle>
  return family === undefined ? 'getsockname' in handle : family.kind === 'tcp'
}

function emitClose(server: Server): void {
  server.emit('close')
}

function closeOnAbort(server: Server, signal: AbortSignal | undefined): void {
  if (signal === undefined) return
  checkSignalOption(signal)
  const close = (): void => { server.close() }
  if (signal.aborted) {
    process.nextTick(close)
    return
  }
  signal.addEventListener('abort', close, { once: true })
  server.once('close', () => signal.removeEventListener('abort', close))
}

/** Node's own way to listen. What it does to a server of its own it can do to one of Sheaf's. */
const { listen: listenAsNode, _listen2: listenAsNode2 } = stockNet.Server.prototype as unknown as {
  listen: (this: Server, ...args: unknown[]) => void
  _listen2: (this: Server, ...args: unknown[]) => void
}

/** What nobody here can listen on is left to Node: a path where `@sheaf/unix` is not installed. */
function isNodes(options: NetOptions): boolean {
  const { handle, _handle, fd, port, path } = options
  const boundKind = kindOfBound(handle ?? options)
  if (boundKind !== undefined) return familyOfKind(boundKind) === undefined
  if (Boolean(handle ?? _handle) || fd !== undefined) return false
  const isPort = port !== undefined && (port as unknown) !== null
  return familyOfKind(!isPort && path ? 'pipe' : 'tcp') === undefined
}
