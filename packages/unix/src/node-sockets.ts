import { chmodSync, linkSync, mkdtempSync, rmdirSync, unlinkSync } from 'node:fs'
import { connect as connectSocket, type Server, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import {
  checkSocketDescriptor, limits, listeningServer, type ListenerHandler, nodeSocket, nodeSocketOf, NodeStreamListener,
  type PathAddress, type StreamHandler, systemError, unsupported,
} from '@sheaf/ring'
import { NodeUnixConnection } from './node-connection'
import type { AdoptOptions, ConnectOptions, ListenOptions } from './options'
import { fileIdentity, SocketFile, takeAway } from './socket-file'
import type { UnixConnection } from './transport'
import { encodeUnixAddress, isAbstract } from './unix-address'

/*
 * Unix stream sockets on Node's own: what `listen`, `connect` and `adopt` do where there is no ring.
 */

/** Before 22 Node pads an abstract name with NULs to 108 bytes: another name. */
const exactAbstractNames = Number.parseInt(process.versions.node, 10) >= 22
const addressInUse = -98

export async function listenOnNode(
  options: ListenOptions,
  handler: ListenerHandler<UnixConnection>,
): Promise<NodeUnixListener> {
  const { fd, mode, removeStale = false } = options
  if (fd !== undefined) {
    checkSocketDescriptor(fd, 'listening Unix stream socket')
    const server = await listeningServer({ fd }, {})
    return new NodeUnixListener(server, { path: server.address() as string }, handler, options, undefined)
  }
  const path = checkedPath(options.path as string, 'listen')
  // libuv removes what it has made.
  if (options.keepFile === true && !isAbstract(path)) throw unsupported('keepFile')
  const listenAt = (): Promise<Server> => mode === undefined ? plainServer(path, options) : privateServer(path, options)
  let server: Server
  try {
    server = await listenAt()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || !removeStale) throw error
    if (!await takeAwayStale(path)) throw error
    server = await listenAt()
  }
  const file = isAbstract(path) ? undefined : new SocketFile(path)
  file?.made()
  return new NodeUnixListener(server, { path }, handler, options, file)
}

/** A connection on its way to `options.path`. */
export function connectingOnNode(options: ConnectOptions, handler: StreamHandler<UnixConnection>): NodeUnixConnection {
  const path = checkedPath(options.path, 'connect')
  const connection = new NodeUnixConnection(nodeSocket(), handler, options)
  connection.remote = { path }
  connection.connect((socket) => {
    socket.connect({ path })
  })
  return connection
}

export function adoptOnNode(options: AdoptOptions, handler: StreamHandler<UnixConnection>): NodeUnixConnection {
  const connection = new NodeUnixConnection(nodeSocketOf(options.fd, 'Unix stream socket'), handler, options)
  connection.begin()
  return connection
}

/** The sibling of `UnixListener`. */
export class NodeUnixListener extends NodeStreamListener {
  declare readonly address: PathAddress
  readonly #file: SocketFile | undefined

  constructor(
    server: Server,
    address: PathAddress,
    handler: ListenerHandler<UnixConnection>,
    options: ListenOptions,
    file: SocketFile | undefined,
  ) {
    super(server, address, handler, (socket: Socket) => {
      const connection = new NodeUnixConnection(socket, handler, options)
      connection.local = address
      return connection
    })
    this.#file = file
  }

  override close(): Promise<void> {
    // Before the socket is closed: afterwards the file could be another listener's.
    this.#file?.remove()
    return super.close()
  }
}

/** @throws SystemError `EINVAL` for a path that is too long, which Node would cut short. */
function checkedPath(path: string, syscall: string): string {
  encodeUnixAddress(path, syscall)
  if (isAbstract(path) && !exactAbstractNames) throw unsupported(`An abstract name on Node.js ${process.versions.node}`)
  return path
}

function plainServer(path: string, { backlog = limits.backlog }: ListenOptions): Promise<Server> {
  return listeningServer({ path, backlog }, {})
}

/**
 * Listens where nobody else can connect, sets the permissions, and then has the file appear at `path`: Node can't have
 * them in force from the beginning.
 */
async function privateServer(path: string, options: ListenOptions): Promise<Server> {
  const directory = mkdtempSync(join(dirname(path), '.sheaf-'))
  const hidden = join(directory, 's')
  try {
    encodeUnixAddress(hidden, 'listen')
    const server = await plainServer(hidden, options)
    try {
      chmodSync(hidden, options.mode as number)
      linkSync(hidden, path)
      unlinkSync(hidden)
      return server
    } catch (error) {
      // This removes the file, too.
      server.close()
      throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? systemError(addressInUse, 'listen', path) : error
    }
  } finally {
    rmdirSync(directory)
  }
}

/** Removes the socket file at `path` if nobody listens on it. @returns whether the path may be free now. */
async function takeAwayStale(path: string): Promise<boolean> {
  const tried = fileIdentity(path)
  if (tried === undefined) return true
  return tried.isSocket && await refusesConnections(path) && takeAway(path, tried)
}

function refusesConnections(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectSocket(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(false)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code === 'ECONNREFUSED')
    })
  })
}
