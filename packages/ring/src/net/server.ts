import dns from 'node:dns'
import { captureRejectionSymbol, EventEmitter } from 'node:events'
import { channel, tracingChannel } from 'node:diagnostics_channel'
import type { BlockList } from 'node:net'
import { getDefaultHighWaterMark } from 'node:stream'
import { defaultRing, invalidArgumentType, limits, nodeMajor, stockNet } from '@sheaf/ring'
import { Errno } from '../abi'
import type { FamilyKind, ListenRequest, SocketName } from './address-family'
import { countOf, isPath, type NetOptions, normalizeArguments } from './arguments'
import { kindOfBound, takeBound } from './bound-socket'
import { callableClass, construct } from './callable-class'
import { announceListening, askPrimary, isClusterWorker, meetWorkers, type PrimaryQuery } from './cluster'
import {
  addressError, alreadyListening, callError, checkBlockList, checkKeepAliveDelay, checkNumber, checkPort, checkSignal,
  invalidValue, listenError, portOf, serverNotRunning,
} from './errors'
import { familyOfKind, kindOfDescriptor } from './families'
import { type ForeignHandle, isForeignHandle } from './foreign-handle'
import { ListenHandle } from './listen-handle'
import type { NodeListenHandle } from './node-handle'
import { addWorker, closeWorkers, countConnections, type SocketList } from './server-workers'
import { acceptedSocket, type Socket } from './socket'
import type { SocketHandle } from './socket-handle'
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

const serverSocketChannel = channel('net.server.socket')
const listenChannel = tracingChannel('net.server.listen')

/** Word for word what Node says. */
const abstractHasNoMode = 'can not set readableAll or writableAllt to true when path is abstract unix socket'

const anyAddress = '0.0.0.0'
const anyAddress6 = '::'

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
  declare _handle: ListenHandle | null
  declare _usingWorkers: boolean
  declare _workers: SocketList[]
  declare _unref: boolean
  declare _listeningId: number
  declare _pipeName?: string
  declare _connectionKey?: string

  listen(...args: unknown[]): this {
    const [given, callback] = normalizeArguments(args)
    if (this._handle !== null) throw alreadyListening()
    if (isNodes(given)) {
      listenAsNode.apply(this, args)
      return this
    }
    if (listenChannel.asyncStart.hasSubscribers) listenChannel.asyncStart.publish({ server: this, options: given })
    if (callback !== null) this.once('listening', callback)
    // (handle | path | port, backlog) or (port, host, backlog)
    const backlog = countOf(args.length > 1 && args[1]) || countOf(args.length > 2 && args[2]) || 0
    const options = (given._handle ?? given.handle ?? given) as NetOptions
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
      listenOnPort(this, options, portOf(options.port), options.backlog ?? backlog)
    } else if (options.path !== undefined && isPath(options.path) && options.path !== '') {
      listenOnPath(this, options, options.path, options.backlog ?? backlog)
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
    return this._handle !== null
  }

  address(): SocketName | string | null {
    if (this._handle !== null && isNamed(this._handle)) {
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
      if (this._handle === null) this.once('close', () => callback(serverNotRunning()))
      else this.once('close', callback)
    }
    this._handle?.close()
    this._handle = null
    if (this._workers.length === 0) {
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
    if (this._handle === null) return
    await new Promise<void>((resolve, reject) => {
      this.close((error) => error === undefined ? resolve() : reject(error))
    })
  }

  _emitCloseIfDrained(): void {
    if (this._handle !== null || this._connections !== 0) return
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

function emitListening(server: Server): void {
  if (server._handle !== null) server.emit('listening')
}

function closeOnAbort(server: Server, signal: AbortSignal | undefined): void {
  if (signal === undefined) return
  checkSignal('options.signal', signal)
  const close = (): void => { server.close() }
  if (signal.aborted) {
    process.nextTick(close)
    return
  }
  signal.addEventListener('abort', close, { once: true })
  server.once('close', () => signal.removeEventListener('abort', close))
}

// ---------------------------------------------------------------- listening

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

function listenOnPort(server: Server, options: NetOptions, port: number, backlog: number): void {
  const { host, ipv6Only = false } = options
  const request = {
    port, backlog: backlog || limits.backlog, ipv6Only, mode: 0,
    reusePort: (options as { reusePort?: boolean }).reusePort === true,
  }
  const alone = options.exclusive === true || request.reusePort || !isClusterWorker()
  const listenOn = (address: string | null, requests: readonly ListenRequest[]): void => {
    if (alone) listen(server, 'tcp', requests)
    else listenBesideWorkers(server, address, requests)
  }
  if (host === undefined || host === '') {
    const any6 = { ...request, address: anyAddress6, version: 6 } as const
    const any = { ...request, address: anyAddress, version: 4 } as const
    listenOn(null, [any6, any])
    return
  }
  const listeningId = server._listeningId
  resolve(host, (error, address, version) => {
    if (listeningId !== server._listeningId) return
    if (error !== null) server.emit('error', error)
    else listenOn(address, [{ ...request, address, version: version as 4 | 6 }])
  })
}

type Resolved = (error: Error | null, address: string, version: number) => void

/** Of several addresses, that of a single link is the last to be taken: it needs a zone to be listened on. */
function resolve(host: string, resolved: Resolved): void {
  if (nodeMajor < 22) {
    dns.lookup(host, resolved)
    return
  }
  dns.lookup(host, { all: true }, (error, addresses) => {
    if (error !== null) {
      resolved(error, '', 0)
      return
    }
    const { address, family } = addresses.find((entry) => !linkLocal.test(entry.address)) ?? addresses[0]
    resolved(null, address, family)
  })
}

const linkLocal = /^fe[89ab][0-9a-f]:/i

function listenOnPath(server: Server, options: NetOptions, path: string, backlog: number): void {
  const { readableAll = false, writableAll = false } = options
  if (path.startsWith('\0') && (readableAll || writableAll)) {
    throw invalidValue('options', options, abstractHasNoMode)
  }
  server._pipeName = path
  if (options.exclusive !== true && isClusterWorker()) {
    listenByPrimary(server, { address: path, port: -1, addressType: -1, backlog, readableAll, writableAll })
    return
  }
  listen(server, 'pipe', [{
    address: path,
    port: 0,
    version: 0,
    backlog: backlog || limits.backlog,
    ipv6Only: false,
    reusePort: false,
    mode: (readableAll ? 0o444 : 0) | (writableAll ? 0o222 : 0),
  }])
}

function listenOnDescriptor(server: Server, fd: number, backlog: number): void {
  const kind = kindOfDescriptor(defaultRing(), fd)
  const handle = kind === undefined ? undefined : newHandle(kind)
  if (handle === undefined) {
    failToListen(server, listenError(-Errno.EINVAL, null))
    return
  }
  const result = handle.adopt(fd, backlog || limits.backlog)
  if (result === 0) {
    begin(server, handle, 'null:null:null')
  } else {
    // A socket that was given is the server's, even if it can't listen.
    defaultRing().sockets.close(fd)
    failToListen(server, listenError(result, null))
  }
}

/**
 * On a handle of Node's. Other processes may accept from the same socket, and whether that may block is the same for
 * all: so it stays as Node's own code has it, and Node accepts.
 */
function listenOnHandle(server: Server, given: NodeListenHandle, backlog: number): void {
  const kind = kindOfDescriptor(defaultRing(), given.fd)
  const handle = kind === undefined ? undefined : newHandle(kind)
  const result = handle === undefined ? -Errno.EINVAL : given.listen(backlog || limits.backlog)
  if (handle === undefined || result < 0) {
    failToListen(server, listenError(result, null))
    return
  }
  handle.deal(given)
  begin(server, handle, 'null:null:null')
}

/** On the socket of a handle of Node's that nobody else has. */
function listenInPlaceOf(server: Server, kind: FamilyKind, given: ForeignHandle, backlog: number): void {
  const { sockets } = defaultRing()
  const handle = newHandle(kind)
  const fd = sockets.dup(given.fd)
  const result = fd < 0 ? fd : handle?.adopt(fd, backlog || limits.backlog, false) ?? -Errno.EINVAL
  if (handle === undefined || result < 0) {
    if (fd >= 0) sockets.close(fd)
    given.close()
    failToListen(server, listenError(result, null, -1))
    return
  }
  // Closing removes the file of a path.
  if (kind === 'pipe') handle.whenClosing(() => given.close())
  else given.close()
  begin(server, handle, '-1:null:-1')
}

/**
 * Listens as the first of the requests that the system can do asks for.
 * @returns false if none could be done, which an `error` event tells.
 */
function listen(server: Server, kind: FamilyKind, requests: readonly ListenRequest[]): boolean {
  const handle = newHandle(kind)
  if (handle === undefined) {
    failToListen(server, listenError(-Errno.EINVAL, requests[0].address))
    return false
  }
  let tried = requests[0]
  let result = 0
  for (const request of requests) {
    tried = request
    result = handle.listen(request)
    if (result === 0 || result === -Errno.EADDRINUSE) break
  }
  if (result < 0) {
    failToListen(server, listenError(result, tried.address, kind === 'pipe' ? -1 : tried.port))
    return false
  }
  const where = kind === 'pipe' ? `-1:${tried.address}:-1` : `${tried.version}:${tried.address}:${tried.port}`
  begin(server, handle, where)
  return true
}

/**
 * In a worker of a cluster: each listens with a socket of its own, and the kernel deals the connections out
 * (`SO_REUSEPORT`). Those that listen on any port agree on one.
 */
function listenBesideWorkers(server: Server, address: string | null, requests: readonly ListenRequest[]): void {
  const shared = requests.map((request) => ({ ...request, reusePort: true }))
  const [{ port: wanted, version }] = requests
  const { _listeningId: listeningId } = server
  // Any port is held with a socket of its own until all have agreed.
  const held = wanted === 0 ? holdPort(shared) : undefined
  if (typeof held === 'number') {
    failToListen(server, listenError(held, shared[0].address, wanted))
    return
  }
  const name: SocketName = {}
  held?.getsockname(name)
  meetWorkers(server, `${address}:${wanted}:${version}`, name.port ?? wanted, (port, meeting) => {
    held?.close()
    const agreed = shared.map((request) => ({ ...request, port }))
    if (listeningId !== server._listeningId || !listen(server, 'tcp', agreed)) {
      meeting?.close()
      return
    }
    server._handle?.whenClosing(() => meeting?.close())
    server.once('listening', () => announceListening(address, port, version))
  })
}

/** @returns a handle that listens as the first request asks that can be done. It does not keep the process alive. */
function holdPort(requests: readonly ListenRequest[]): ListenHandle | number {
  const handle = newHandle('tcp')
  let result: number = -Errno.EINVAL
  for (const request of requests) if (result < 0) result = handle?.listen(request) ?? result
  if (handle === undefined || result < 0) return result
  handle.unref()
  return handle
}

/** In a worker of a cluster: has the primary listen on what can't be shared otherwise. */
function listenByPrimary(server: Server, query: PrimaryQuery): void {
  const { _listeningId: listeningId } = server
  const backlog = query.backlog === 0 ? limits.backlog : query.backlog
  askPrimary(server, query, (error, given) => {
    if (listeningId !== server._listeningId) {
      given.close()
      return
    }
    if (error !== 0) {
      server.emit('error', addressError(error, 'bind', query.address ?? undefined, query.port ?? undefined))
      return
    }
    const handle = newHandle(query.address === null ? 'tcp' : 'pipe')
    if (handle === undefined) return
    if (given.fd === undefined) handle.deal(given)
    else handle.adopt(defaultRing().sockets.dup(given.fd), backlog)
    if (given.fd !== undefined) handle.whenClosing(() => given.close())
    begin(server, handle, `${query.addressType}:${query.address}:${query.port}`)
  })
}

function newHandle(kind: FamilyKind): ListenHandle | undefined {
  const family = familyOfKind(kind)
  return family && new ListenHandle(family, onConnection)
}

function begin(server: Server, handle: ListenHandle, connectionKey: string): void {
  handle.owner = server
  server._handle = handle
  server._connectionKey = connectionKey
  if (listenChannel.asyncEnd.hasSubscribers) listenChannel.asyncEnd.publish({ server })
  if (server._unref) handle.unref()
  process.nextTick(emitListening, server)
}

function failToListen(server: Server, error: Error): void {
  if (listenChannel.error.hasSubscribers) listenChannel.error.publish({ server, error })
  process.nextTick(() => server.emit('error', error))
}

// ---------------------------------------------------------------- accepting

function onConnection(this: ListenHandle, _error: number, handle: SocketHandle): void {
  acceptConnection(this.owner, handle)
}

function acceptConnection(server: Server, handle: SocketHandle): void {
  if (isFull(server)) {
    drop(server, handle)
    return
  }
  if (isBlocked(server, handle)) {
    handle.close()
    return
  }
  const socket = acceptedSocket(handle, {
    allowHalfOpen: server.allowHalfOpen,
    pauseOnCreate: server.pauseOnConnect,
    readableHighWaterMark: server.highWaterMark,
    writableHighWaterMark: server.highWaterMark,
  })
  if (server.noDelay) socket.setNoDelay(true)
  if (server.keepAlive) socket.setKeepAlive(true, server.keepAliveInitialDelay * 1000)
  server._connections++
  socket.server = server
  socket._server = server
  server.emit('connection', socket)
  if (serverSocketChannel.hasSubscribers) serverSocketChannel.publish({ socket })
}

/** Before Node 21, 0 was no bound. */
function isFull({ maxConnections, _connections: count }: Server): boolean {
  if (maxConnections === undefined || (maxConnections as unknown) === null) return false
  return (maxConnections !== 0 || nodeMajor >= 21) && count >= maxConnections
}

function isBlocked(server: Server, handle: SocketHandle): boolean {
  if (server.blockList === undefined) return false
  const peer: SocketName = {}
  handle.getpeername(peer)
  if (peer.address === undefined || peer.family === undefined) return false
  return server.blockList.check(peer.address, peer.family.toLowerCase() as 'ipv4')
}

function drop(server: Server, handle: SocketHandle): void {
  if (handle.family.kind === 'tcp') {
    const local: SocketName = {}
    const remote: SocketName = {}
    handle.getsockname(local)
    handle.getpeername(remote)
    server.emit('drop', {
      localAddress: local.address,
      localPort: local.port,
      localFamily: local.family,
      remoteAddress: remote.address,
      remotePort: remote.port,
      remoteFamily: remote.family,
    })
  } else {
    server.emit('drop')
  }
  handle.close()
}
