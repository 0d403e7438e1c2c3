import dns from 'node:dns'
import { tracingChannel } from 'node:diagnostics_channel'
import { defaultRing, nodeMajor, type SystemError } from '@sheaf/ring'
import { Errno } from '../abi'
import { onConnection } from './accepting'
import type { FamilyKind, ListenRequest, SocketName } from './address-family'
import type { NetOptions } from './arguments'
import {
  announceListening, askPrimary, isClusterWorker, meetWorkers, type PrimaryHandle, type PrimaryQuery,
} from './cluster'
import { addressError, invalidValue, listenError } from './errors'
import { familyOfKind, kindOfDescriptor } from './families'
import type { ForeignHandle } from './foreign-handle'
import { ListenHandle } from './listen-handle'
import { adoptByNode, type NodeListenHandle } from './node-handle'
import { holdPort } from './places'
import type { Server } from './server'

const listenChannel = tracingChannel('net.server.listen')

/** Word for word what Node says. */
const abstractHasNoMode = 'can not set readableAll or writableAllt to true when path is abstract unix socket'

const anyAddress = '0.0.0.0'
const anyAddress6 = '::'

export function listenOnPort(server: Server, options: NetOptions, port: number, backlog: number): void {
  const { host } = options
  const request = {
    port, backlog, ipv6Only: options.ipv6Only === true, mode: 0,
    reusePort: (options as { reusePort?: boolean }).reusePort === true,
  }
  const alone = Boolean(options.exclusive) || request.reusePort || !isClusterWorker()
  const listenOn = (address: string | null, requests: readonly ListenRequest[]): void => {
    if (alone) listen(server, 'tcp', requests)
    else listenBesideWorkers(server, address, requests)
  }
  if (!host) {
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

export function listenOnPath(server: Server, options: NetOptions, path: string, backlog: number): void {
  const { readableAll, writableAll } = options
  if (path.startsWith('\0') && (readableAll || writableAll)) {
    throw invalidValue('options', options, abstractHasNoMode)
  }
  server._pipeName = path
  if (!options.exclusive && isClusterWorker()) {
    const forAll = { readableAll: readableAll === true, writableAll: writableAll === true }
    listenByPrimary(server, { address: path, port: -1, addressType: -1, backlog, ...forAll })
    return
  }
  listen(server, 'pipe', [{
    address: path,
    port: 0,
    version: 0,
    backlog,
    ipv6Only: false,
    reusePort: false,
    mode: (readableAll === true ? 0o444 : 0) | (writableAll === true ? 0o222 : 0),
  }])
}

export function listenOnDescriptor(server: Server, fd: number, backlog: number): void {
  const ring = defaultRing()
  if (kindOfDescriptor(ring, fd) === undefined) {
    failToListen(server, listenError(-Errno.EINVAL, null))
    return
  }
  let given: NodeListenHandle
  try {
    given = adoptByNode(ring, fd)
  } catch (error) {
    failToListen(server, listenError((error as SystemError).errno, null))
    return
  }
  // A socket that was given is the server's, even if it can't listen.
  if (!listenOnHandle(server, given, backlog)) given.close()
}

/**
 * On a handle of Node's, which accepts. Other processes may listen on the same socket, and of those that have io_uring
 * wait for a connection the kernel wakes one only, always the same, however busy that is. @returns false if it can't.
 */
export function listenOnHandle(server: Server, given: NodeListenHandle, backlog: number): boolean {
  const kind = kindOfDescriptor(defaultRing(), given.fd)
  const handle = kind === undefined ? undefined : newHandle(kind)
  const result = handle === undefined ? -Errno.EINVAL : given.listen(backlog)
  if (handle === undefined || result < 0) {
    handle?.close()
    failToListen(server, listenError(result, null))
    return false
  }
  handle.deal(given)
  begin(server, handle, 'null:null:null')
  return true
}

/** On the socket of a handle of Node's that nobody else has. */
export function listenInPlaceOf(server: Server, kind: FamilyKind, given: ForeignHandle, backlog: number): void {
  const { sockets } = defaultRing()
  const handle = newHandle(kind)
  const fd = sockets.dup(given.fd)
  const result = fd < 0 ? fd : handle?.adopt(fd, backlog) ?? -Errno.EINVAL
  if (handle === undefined || result < 0) {
    if (fd >= 0) sockets.close(fd)
    handle?.close()
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
function listen(
  server: Server,
  kind: FamilyKind,
  requests: readonly ListenRequest[],
  errorOf: typeof listenError = listenError,
): boolean {
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
    handle.close()
    failToListen(server, errorOf(result, tried.address, kind === 'pipe' ? -1 : tried.port))
    return false
  }
  const where = kind === 'pipe' ? `-1:${tried.address}:-1` : `${tried.version}:${tried.address}:${tried.port}`
  begin(server, handle, where)
  return true
}

/** Where servers of this worker listen beside others: the kernel would let it have a second one there. */
const ownPlaces = new Set<string>()

/**
 * In a worker of a cluster: each listens with a socket of its own, and the kernel deals the connections out
 * (`SO_REUSEPORT`). Those that listen on any port agree on one.
 */
function listenBesideWorkers(server: Server, address: string | null, requests: readonly ListenRequest[]): void {
  const shared = requests.map((request) => ({ ...request, reusePort: true }))
  const [{ port: wanted, version }] = requests
  const place = `${address}:${wanted}:${version}`
  // Node's workers ask the primary to bind.
  const bindError: typeof listenError = (errno, _address, port) =>
    addressError(errno, 'bind', address as string, port ?? wanted)
  if (ownPlaces.has(place)) {
    failToListen(server, bindError(-Errno.EADDRINUSE, address))
    return
  }
  const { _listeningId: listeningId } = server
  const held = wanted === 0 && process.connected ? holdPort(requests) : undefined
  if (typeof held === 'number') {
    failToListen(server, bindError(held, address))
    return
  }
  if (wanted !== 0) ownPlaces.add(place)
  meetWorkers(server, place, held?.port ?? wanted, (port, meeting) => {
    const agreed = shared.map((request) => ({ ...request, port }))
    const leave = (): void => {
      ownPlaces.delete(place)
      meeting?.close()
    }
    const listens = listeningId === server._listeningId && listen(server, 'tcp', agreed, bindError)
    held?.release()
    if (!listens || !server._handle) {
      leave()
      return
    }
    server._handle.servesAccepted = true
    server._handle.whenClosing(leave)
    server.once('listening', () => announceListening(address, port, version))
  })
}

/** In a worker of a cluster: has the primary listen on what can't be shared otherwise. */
export function listenByPrimary(server: Server, query: PrimaryQuery): void {
  const { _listeningId: listeningId } = server
  askPrimary(server, query, (error, given) => {
    if (listeningId !== server._listeningId) {
      given.close()
      return
    }
    if (error !== 0) {
      server.emit('error', addressError(error, 'bind', query.address ?? undefined, query.port ?? undefined))
      return
    }
    const handle = newHandle(query.address === null ? kindOfGiven(given) : 'pipe')
    if (handle === undefined) return
    // One that is dealt connections does not listen itself.
    const result = given.fd === undefined ? 0 : (given as NodeListenHandle).listen(query.backlog)
    if (result < 0) {
      given.close()
      server.emit('error', addressError(result, 'listen', query.address ?? undefined, query.port ?? undefined))
      return
    }
    handle.deal(given)
    begin(server, handle, `${query.addressType}:${query.address}:${query.port}`)
  })
}

/** Of a descriptor of the primary's. A dealer has the name of a TCP socket only. */
function kindOfGiven(given: PrimaryHandle): FamilyKind | undefined {
  if (given.fd !== undefined) return kindOfDescriptor(defaultRing(), given.fd)
  const name: SocketName = {}
  given.getsockname?.(name)
  return name.port === undefined ? 'pipe' : 'tcp'
}

function newHandle(kind: FamilyKind | undefined): ListenHandle | undefined {
  const family = kind && familyOfKind(kind)
  return family && new ListenHandle(family, onConnection)
}

/** From here on the server is what `handle` tells of connections. */
export function begin(server: Server, handle: ListenHandle, connectionKey: string): void {
  handle.owner = server
  server._handle = handle
  server._connectionKey = connectionKey
  if (listenChannel.asyncEnd.hasSubscribers) listenChannel.asyncEnd.publish({ server })
  if (server._unref) handle.unref()
  process.nextTick(emitListening, server)
}

function emitListening(server: Server): void {
  if (server._handle) server.emit('listening')
}

function failToListen(server: Server, error: Error): void {
  if (listenChannel.error.hasSubscribers) listenChannel.error.publish({ server, error })
  process.nextTick(() => server.emit('error', error))
}
