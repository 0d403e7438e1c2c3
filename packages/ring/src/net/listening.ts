import dns from 'node:dns'
import { tracingChannel } from 'node:diagnostics_channel'
import { fstatSync } from 'node:fs'
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
import { holdPort, overlap } from './places'
import type { Server } from './server'

const listenChannel = tracingChannel('net.server.listen')

/** Word for word what Node says. */
const abstractHasNoMode = 'can not set readableAll or writableAllt to true when path is abstract unix socket'

const anyAddress = '0.0.0.0'
const anyAddress6 = '::'

/** `UV_TCP_IPV6ONLY`: the primary process of a cluster knows it. */
const ipv6OnlyFlag = 1

export function listenOnPort(server: Server, options: NetOptions, port: number, backlog: number): void {
  const { host } = options
  const request = {
    port, backlog, ipv6Only: options.ipv6Only === true, mode: 0,
    reusePort: (options as { reusePort?: boolean }).reusePort === true,
  }
  const alone = Boolean(options.exclusive) || request.reusePort || !isClusterWorker()
  const listenOn = (address: string | null, requests: readonly ListenRequest[]): void => {
    if (alone) listenAlone(server, 'tcp', requests)
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
  listenAlone(server, 'pipe', [{
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

interface Listening {
  readonly result: number
  /** Absent if `result` is an error. */
  readonly handle?: ListenHandle
  /** What that is the result of. */
  readonly tried: ListenRequest
}

/** Listens as the first of the requests asks that the system can do. */
function listen(kind: FamilyKind, requests: readonly ListenRequest[]): Listening {
  const handle = newHandle(kind)
  let tried = requests[0]
  if (handle === undefined) return { result: -Errno.EINVAL, tried }
  let result = 0
  for (const request of requests) {
    tried = request
    result = handle.listen(request)
    if (result === 0) return { result, handle, tried }
    if (result === -Errno.EADDRINUSE) break
  }
  handle.close()
  return { result, tried }
}

function listenAlone(server: Server, kind: FamilyKind, requests: readonly ListenRequest[]): void {
  const { handle, result, tried } = listen(kind, requests)
  if (handle === undefined) {
    failToListen(server, listenError(result, tried.address, kind === 'pipe' ? -1 : tried.port))
    return
  }
  begin(server, handle, kind === 'pipe' ? `-1:${tried.address}:-1` : keyOf(tried))
}

function keyOf({ version, address, port }: ListenRequest): string {
  return `${version}:${address}:${port}`
}

/** Where servers of this worker listen beside others: the kernel would let it have a second one there. */
const ownPlaces = new Set<readonly ListenRequest[]>()

function isOwn(requests: readonly ListenRequest[]): boolean {
  const [{ port }] = requests
  for (const own of ownPlaces) if (own[0].port === port && overlap(own, requests)) return true
  return false
}

/**
 * In a worker of a cluster: each listens with a socket of its own, and the kernel deals the connections out
 * (`SO_REUSEPORT`), if all are the primary's user; the primary listens for others. Those that listen on any port agree
 * on one.
 */
function listenBesideWorkers(server: Server, address: string | null, requests: readonly ListenRequest[]): void {
  const [{ port: wanted, version, backlog, ipv6Only }] = requests
  const addressType = address === null ? 4 : version
  const place = `${address}:${wanted}:${addressType}`
  // Node's workers ask the primary to bind.
  const failToBind = (errno: number, port = wanted): void => {
    failToListen(server, addressError(errno, 'bind', address, port))
  }
  if (wanted !== 0 && isOwn(requests)) {
    failToBind(-Errno.EADDRINUSE)
    return
  }
  const { _listeningId: listeningId } = server
  const held = wanted === 0 && process.connected ? holdPort(requests) : undefined
  if (typeof held === 'number') {
    failToBind(held)
    return
  }
  if (wanted !== 0) ownPlaces.add(requests)
  meetWorkers(server, place, held?.port ?? wanted, (port, meeting) => {
    const agreed = requests.map((request) => ({ ...request, port, reusePort: true }))
    ownPlaces.delete(requests)
    ownPlaces.add(agreed)
    const settled = (handle: ListenHandle | undefined): void => {
      held?.release()
      const leave = (): void => {
        ownPlaces.delete(agreed)
        meeting?.close()
      }
      if (handle === undefined) leave()
      else handle.whenClosing(leave)
    }
    if (listeningId !== server._listeningId) {
      settled(undefined)
      return
    }
    const { handle, result, tried } = isOfOtherUser(meeting)
      ? { result: -Errno.EACCES, tried: agreed[0] }
      : listen('tcp', agreed)
    // The primary may have more privileges, or listen there for workers of other users.
    if (result === -Errno.EACCES || result === -Errno.EADDRINUSE) {
      const flags = ipv6Only ? ipv6OnlyFlag : 0
      listenByPrimary(server, { address, port, addressType, flags, backlog }, settled)
      return
    }
    settled(handle)
    if (handle === undefined) {
      failToBind(result, port)
      return
    }
    handle.servesAccepted = true
    begin(server, handle, keyOf(tried))
    server.once('listening', () => announceListening(address, port, addressType))
  })
}

/**
 * Whether the kernel would let this worker share a port with none of the primary's user: the meeting's socket was made
 * by the primary, and belongs to it.
 */
function isOfOtherUser(meeting: PrimaryHandle | null): boolean {
  return meeting?.fd !== undefined && fstatSync(meeting.fd).uid !== process.geteuid?.()
}

/** In a worker of a cluster: has the primary listen on what can't be shared otherwise. */
export function listenByPrimary(
  server: Server,
  query: PrimaryQuery,
  settled: (handle: ListenHandle | undefined) => void = () => undefined,
): void {
  const { _listeningId: listeningId } = server
  const { address, port, addressType } = query
  askPrimary(server, query, (error, given) => {
    if (listeningId !== server._listeningId) {
      given?.close()
      settled(undefined)
      return
    }
    if (given === null || !hasPort(given, port)) {
      given?.close()
      settled(undefined)
      server.emit('error', addressError(error || -Errno.EADDRINUSE, 'bind', address, port ?? undefined))
      return
    }
    const handle = newHandle(kindOfGiven(given))
    // One that is dealt connections does not listen itself.
    const result = given.fd === undefined ? 0 : (given as NodeListenHandle).listen(query.backlog)
    if (handle === undefined || result < 0) {
      given.close()
      settled(undefined)
      failToListen(server, listenError(handle === undefined ? -Errno.EINVAL : result, address, port))
      return
    }
    handle.deal(given)
    settled(handle)
    begin(server, handle, `${addressType}:${address}:${port}`)
  })
}

/** libuv says only when it listens that a port is in use, and would listen on another. */
function hasPort(given: PrimaryHandle, port: number | null): boolean {
  if (port === null || port <= 0) return true
  const name: SocketName = {}
  given.getsockname?.(name)
  return name.port === port
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
