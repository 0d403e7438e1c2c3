import diagnostics from 'node:diagnostics_channel'
import { once } from 'node:events'
import { closeSync, fstatSync, openSync, statSync } from 'node:fs'
import type { Server, Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { defaultRing } from '@sheaf/ring'
import { isBlocking, nonBlocking } from '../descriptors'
import { until } from '../fixtures'
import type { Scenario, Scene, Where } from './scene'

const af = { unix: 1, inet: 2 } as const
const streamSocket = 1
const datagramSocket = 2

/** A socket of the system's that is bound to a place of the scene's. */
function boundDescriptor(scene: Scene, type = streamSocket): { fd: number, where: Where } {
  const place = scene.place()
  const { sockets } = defaultRing()
  const fd = scene.descriptor(sockets.socket('path' in place ? af.unix : af.inet, type, 0))
  if ('path' in place) {
    sockets.bind(fd, new Uint8Array([af.unix, 0, ...Buffer.from(place.path), 0]))
    return { fd, where: place }
  }
  const address = new Uint8Array([af.inet, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
  sockets.bind(fd, address)
  sockets.getsockname(fd, address)
  return { fd, where: { host: '127.0.0.1', port: address[2] * 256 + address[3] } }
}

async function answerOf(scene: Scene, where: Where): Promise<string> {
  let text = ''
  for await (const chunk of scene.connect(where)) text += String(chunk)
  return text
}

/** Which file a descriptor is of, or that it is none. */
function inode(fd: number): number | string {
  try {
    return fstatSync(fd).ino
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? ''
  }
}

const channels = [
  'net.client.socket', 'net.server.socket',
  ...['asyncStart', 'asyncEnd', 'error', 'start', 'end'].map((name) => `tracing:net.server.listen:${name}`),
]

export const listening: Record<string, Scenario> = {
  async 'who else may read and write a server\'s file'(scene) {
    for (const [readableAll, writableAll] of [[true, false], [false, true], [true, true]]) {
      const where = await scene.listen(scene.server(), { readableAll, writableAll })
      scene.log('file', 'path' in where && (statSync(where.path).mode & 0o777).toString(8))
    }
  },

  async 'a server listens on a descriptor, whether that listens already or is only bound'(scene) {
    const { log, server: newServer, watch } = scene
    for (const backlog of [undefined, 5]) {
      const { fd, where } = boundDescriptor(scene)
      if (backlog === undefined) defaultRing().sockets.listen(fd, 5)
      const socketInode = inode(fd)
      const server = watch('server', newServer())
      server.on('connection', (socket: Socket) => socket.end('served'))
      scene.given(fd)
      server.listen({ fd, backlog }, () => log('server', server.address(), server.listening))
      await once(server, 'listening')
      log('client', await answerOf(scene, where))
      server.close()
      await once(server, 'close')
      await until(() => inode(fd) !== socketInode, 'a descriptor that is closed with its server')
    }
  },

  async 'a server listens on a non-blocking descriptor, which it stays'(scene) {
    const { log, server: newServer, watch } = scene
    const { fd, where } = boundDescriptor(scene, streamSocket | nonBlocking)
    const others = scene.descriptor(defaultRing().sockets.dup(fd))
    const server = watch('server', newServer())
    server.on('connection', (socket: Socket) => socket.end('served'))
    scene.given(fd)
    server.listen({ fd })
    await once(server, 'listening')
    log('client', await answerOf(scene, where), 'blocking', isBlocking(others))
    server.close()
    await once(server, 'close')
  },

  async 'a server does not listen on a descriptor that another has'(scene) {
    const { log, server: newServer, watch } = scene
    const { fd, where } = boundDescriptor(scene)
    const first = newServer()
    first.on('connection', (socket: Socket) => socket.end('served'))
    scene.given(fd)
    first.listen({ fd })
    await once(first, 'listening')
    const second = watch('second', newServer())
    second.listen({ fd })
    await once(second, 'error').catch(() => undefined)
    log('client', await answerOf(scene, where))
    first.close()
    await once(first, 'close')
  },

  async 'a server that listens can be logged as JSON'(scene) {
    const server = scene.server()
    await scene.listen(server)
    scene.log('json', Object.keys(JSON.parse(JSON.stringify(server)) as object).includes('_events'))
  },

  async 'a server listens where it is told, whatever falsy thing it is told of a handle'(scene) {
    const { log, server: newServer, watch } = scene
    for (const handle of ['', 0, null, undefined, false]) {
      const server = watch('server', newServer())
      server.listen({ ...scene.place(), handle } as object)
      await once(server, 'listening')
      log('server', server.listening)
      server.close()
      await once(server, 'close')
    }
  },

  async 'a server does not listen on a descriptor that is none to listen on'(scene) {
    const { log, server: newServer, watch } = scene
    const { client } = await scene.pair()
    const { fd: connected } = (client as unknown as { _handle: { fd: number } })._handle
    const descriptors: [string, number][] = [
      ['a connected socket', scene.descriptor(defaultRing().sockets.dup(connected))],
      ['a file', openSync('/proc/self/stat', 'r')],
      ['nothing', 100_000],
    ]
    if (!('path' in scene.place())) descriptors.push(['a datagram socket', boundDescriptor(scene, datagramSocket).fd])
    for (const [what, fd] of descriptors) {
      const before = inode(fd)
      const server = watch('server', newServer())
      log('server', what)
      server.listen({ fd })
      log('server', server.listening)
      const [{ code }] = await once(server, 'error') as [NodeJS.ErrnoException]
      if (code === 'EINVAL') log('server', server.address())
      for (let turns = 0; turns < 10; turns++) await turn()
      const isOpen = inode(fd) === before
      log('server', 'open:', isOpen)
      if (!isOpen) scene.given(fd)
      if (what === 'a file' && isOpen) closeSync(fd)
    }
    for (const fd of [-1, 1.5, '3', NaN, null]) {
      const server = newServer().on('error', (error) => log('bad', fd, error))
      scene.outcome('bad', () => server.listen({ fd } as object) === server)
      await turn()
      server.close()
    }
  },

  async 'an abort closes a server, and one that was before it lets none listen'(scene) {
    const { log, server: newServer, watch } = scene
    const controller = new AbortController()
    const server = watch('aborted later', newServer())
    const where = await scene.listen(server, { signal: controller.signal })
    const accepted = once(server, 'connection')
    const client = scene.connect(where)
    await Promise.all([accepted, once(client, 'connect')])
    controller.abort()
    log('aborted later', server.listening)
    // Its connections go on.
    client.destroy()
    await once(server, 'close')

    const never = watch('aborted before', newServer())
    never.listen({ ...scene.place(), signal: AbortSignal.abort() })
    log('aborted before', never.listening)
    await once(never, 'close')

    const closed = watch('closed before', newServer())
    const late = new AbortController()
    await scene.listen(closed, { signal: late.signal })
    closed.close()
    await once(closed, 'close')
    late.abort()
    await scene.listen(closed)
    log('closed before', closed.listening)

    for (const signal of [{}, 5, 'signal', null]) {
      scene.outcome('wrong', () => newServer().listen({ ...scene.place(), signal: signal as AbortSignal }).listening)
    }
  },

  async 'says on diagnostics channels what it makes'(scene) {
    const { log, owned, watch } = scene
    const onMessage = (message: unknown, name: string | symbol): void => {
      const values = Object.entries(message as object).map(([key, value]) =>
        [key, value instanceof Error ? value.message : typeof value] as const)
      log(String(name).includes('client') ? 'client' : 'server', name, Object.fromEntries(values))
    }
    for (const name of channels) diagnostics.subscribe(name, onMessage)
    try {
      const server = watch('server', scene.server())
      const where = await scene.listen(server)
      const accepted = once(server, 'connection')
      const client = watch('client', scene.connect(where))
      await once(client, 'connect')
      await accepted
      client.destroy()
      await scene.gone(client)
      owned(new scene.net.Socket()).connect(where as { path: string }).on('error', () => undefined)
      await once(server, 'connection')
      const taken = watch('server', scene.server())
      taken.listen(where)
      await once(taken, 'error')
    } finally {
      for (const name of channels) diagnostics.unsubscribe(name, onMessage)
    }
  },

  async 'a listener of diagnostics channels is given the sockets and servers themselves'(scene) {
    const { log, server: newServer } = scene
    const told: object[] = []
    const onMessage = (message: unknown): void => { told.push(message as object) }
    for (const name of channels) diagnostics.subscribe(name, onMessage)
    try {
      const server = newServer()
      const accepted = once(server, 'connection') as Promise<[Socket]>
      const client = scene.connect(await scene.listen(server))
      const known = new Map<unknown, string>([[server, 'server'], [client, 'client']])
      known.set((await accepted)[0], 'accepted')
      await until(() => told.some((message) => known.get((message as { socket?: object }).socket) === 'accepted'),
        'the connection that was accepted')
      const shown = told.map(({ socket, server: its }: { socket?: object, server?: Server }) =>
        known.get(socket ?? its)).sort()
      log('messages', shown)
    } finally {
      for (const name of channels) diagnostics.unsubscribe(name, onMessage)
    }
  },
}
