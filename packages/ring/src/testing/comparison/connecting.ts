import { EventEmitter, once } from 'node:events'
import type { LookupAddress } from 'node:dns'
import type { AddressInfo, Server, Socket } from 'node:net'
import { defaultRing } from '@sheaf/ring'
import { isBlocking, nonBlocking } from '../descriptors'
import { until } from '../fixtures'
import type { Scenario, Scene, Where } from './scene'

const loopback = '127.0.0.1'
/** Also of the loopback interface. */
const other = '127.0.0.2'
const loopback6 = '::1'

/** A port of {@link loopback} where a full backlog leaves all further connections without an answer. */
async function silentPort({ connect, descriptor }: Scene): Promise<number> {
  const { sockets } = defaultRing()
  const fd = descriptor(sockets.socket(2, 1, 6))
  const address = new Uint8Array([2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
  sockets.bind(fd, address)
  sockets.listen(fd, 0)
  sockets.getsockname(fd, address)
  const port = address[2] * 256 + address[3]
  await once(connect({ host: loopback, port, autoSelectFamily: false }), 'connect')
  return port
}

/** A port of `host` where nobody listens; nor does anybody at the other addresses of this machine, most likely. */
async function closedPort({ listen, server }: Scene, host: string): Promise<number> {
  const taken = server()
  const where = await listen(taken, { host })
  taken.close()
  await once(taken, 'close')
  return (where as { port: number }).port
}

/** In place of a resolver. */
function resolving(...addresses: string[]): object {
  return {
    host: 'some.name',
    lookup: (_host: string, options: { all?: boolean }, done: (...args: unknown[]) => void) => {
      const all = addresses.map((address): LookupAddress => ({ address, family: address.includes(':') ? 6 : 4 }))
      if (options.all === true) process.nextTick(done, null, all)
      else process.nextTick(done, null, all[0].address, all[0].family)
    },
  }
}

async function portOn(scene: Scene, host: string, port = 0): Promise<{ server: Server, port: number }> {
  const server = scene.server()
  server.on('connection', (socket: Socket) => socket.on('error', () => undefined).resume())
  const where = await scene.listen(server, { host, port })
  return { server, port: (where as { port: number }).port }
}

/** A port on which nobody listens at any of `addresses` but a server of the scene's at `host`. */
async function portOnlyOn(scene: Scene, host: string, addresses: readonly string[]): Promise<number> {
  for (;;) {
    const { port } = await portOn(scene, host)
    if ([...new Set(addresses)].every((address) => address === host || reserve(scene, address, port))) return port
  }
}

/** Has a port that nobody can listen on. @returns false if somebody has it. */
function reserve({ descriptor }: Scene, address: string, port: number): boolean {
  const { sockets } = defaultRing()
  const isLoopback6 = address === loopback6
  const fd = descriptor(sockets.socket(isLoopback6 ? 10 : 2, 1, 0))
  const name = new Uint8Array(isLoopback6 ? 28 : 16)
  name.set([isLoopback6 ? 10 : 2, 0, port >> 8, port & 255])
  if (isLoopback6) name[23] = 1
  else name.set(address.split('.').map(Number), 4)
  return sockets.bind(fd, name) === 0
}

/** A non-blocking socket of the system's that is connected to `where`. */
async function connectedDescriptor({ descriptor }: Scene, where: Where): Promise<number> {
  const { sockets } = defaultRing()
  const stream = 1 | nonBlocking
  if ('path' in where) {
    const fd = descriptor(sockets.socket(1, stream, 0))
    sockets.connect(fd, new Uint8Array([1, 0, ...Buffer.from(where.path), 0]))
    return fd
  }
  const fd = descriptor(sockets.socket(2, stream, 0))
  sockets.connect(fd, new Uint8Array([2, 0, where.port >> 8, where.port & 255, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]))
  await until(() => sockets.getpeername(fd, new Uint8Array(16)) >= 0, 'a descriptor that is connected')
  return fd
}

export const connecting: Record<string, Scenario> = {
  async 'a socket of a non-blocking descriptor, which it stays, sends and receives more than the kernel takes'(scene) {
    const { listen, log, net, owned, server: newServer } = scene
    const server = newServer()
    const accepted = once(server, 'connection') as Promise<[Socket]>
    const fd = await connectedDescriptor(scene, await listen(server))
    const others = scene.descriptor(defaultRing().sockets.dup(fd))
    scene.given(fd)
    const socket = owned(new net.Socket({ fd, allowHalfOpen: true }))
    const [peer] = await accepted
    const bytes = Buffer.alloc(8_000_000, 'What is sent is to wait for room. ')
    for (const [from, to] of [[socket, peer], [peer, socket]]) {
      from.end(bytes)
      // Nobody reads for a while.
      await new Promise((wake) => setTimeout(wake, 20))
      let equal = true
      let read = 0
      for await (const chunk of to as AsyncIterable<Buffer>) {
        equal &&= chunk.equals(bytes.subarray(read, read + chunk.byteLength))
        read += chunk.byteLength
        if (read < 1_000_000) await new Promise(setImmediate)
      }
      log('socket', read, equal, 'blocking', isBlocking(others))
    }
    await scene.gone(socket, peer)
  },

  async 'an abort while it connects, and after, destroys the socket'(scene) {
    const { connect, listen, log, server, watch } = scene
    const where = await listen(server())
    const abort = async (who: string, when: (socket: Socket) => Promise<unknown>, reason?: unknown): Promise<void> => {
      const controller = new AbortController()
      const socket = watch(who, connect({ ...where, signal: controller.signal }))
      socket.on('error', () => undefined)
      log(who, socket.destroyed, socket.connecting)
      await when(socket)
      controller.abort(reason)
      log(who, socket.destroyed, socket.connecting)
      await scene.gone(socket)
    }
    await abort('at once', () => Promise.resolve())
    await abort('next tick', () => new Promise((done) => process.nextTick(done)), new Error('a reason'))
    await abort('after', (socket) => once(socket, 'connect'), { reason: 5 })
    await abort('closed', async (socket) => {
      await once(socket, 'connect')
      socket.destroy()
      await once(socket, 'close')
    })
  },

  'what only inherits from the classes can be asked, and has nothing'({ log, net, outcome }) {
    for (const name of ['Socket', 'Server'] as const) {
      const { prototype } = net[name]
      const standIn = Object.create(prototype) as Record<string, unknown>
      EventEmitter.call(standIn as never)
      const properties = Object.entries(Object.getOwnPropertyDescriptors(prototype)).sort()
      for (const [key, property] of properties) {
        if ('get' in property) outcome(name, () => `${key} ${Boolean(standIn[key])}`)
      }
      const methods = name === 'Socket'
        ? ['setNoDelay', 'setKeepAlive', 'address', 'ref', 'unref', 'setNoDelay']
        : ['address', 'ref', 'unref', 'getConnections', 'close']
      for (const method of methods) {
        outcome(name, () => typeof (standIn[method] as (callback: () => void) => unknown)(() => undefined))
      }
      standIn._handle = { fd: 5 }
      log(name, standIn._handle, (Object.create(prototype) as Record<string, unknown>)._handle ?? 'none')
    }
    return Promise.resolve()
  },

  async 'a socket that is connected is connected once more: that is one connection, and is told twice'(scene) {
    const { listen, log, server, watch } = scene
    const where = await listen(watch('server', server()))
    const socket = watch('client', scene.connect(where))
    await once(socket, 'connect')
    socket.connect(where as never)
    log('again', socket.connecting, socket.pending)
    await Promise.race([once(socket, 'connect'), scene.gone(socket)]).catch(() => undefined)
    log('connected', socket.connecting, socket.pending, socket.writable)
    socket.destroy()
    await scene.gone(socket)
  },

  async 'a server on a path is told of a client before the client is, who may close it then'(scene) {
    const { log, place } = scene
    const where = place()
    // Of a network the order is the kernel's.
    log('both', 'path' in where)
    if (!('path' in where)) return
    const serve = async (): Promise<Server> => {
      const server = scene.server()
      server.on('connection', (socket: Socket) => {
        log('both', 'connection')
        socket.on('data', (chunk) => socket.end(chunk))
      })
      // libuv's order is another for who connects while it polls.
      await new Promise(setImmediate)
      await once(server.listen(where), 'listening')
      return server
    }
    const connectAndClose = async (server: Server): Promise<void> => {
      const client = scene.connect(where)
      client.on('connect', () => {
        log('both', 'connect')
        server.close()
        client.write('text')
      })
      client.on('error', (error) => log('both', error)).on('data', (chunk) => log('both', String(chunk)))
      await once(client, 'close')
    }
    await connectAndClose(await serve())
    const waiting = await serve()
    await new Promise((later) => setTimeout(later, 5))
    await connectAndClose(waiting)
  },

  async 'a signal of a socket that has yet to connect, with what it has written'(scene) {
    const { listen, log, net, owned, server, watch } = scene
    const where = await listen(server())
    const controller = new AbortController()
    const socket = watch('socket', owned(new net.Socket({ signal: controller.signal })))
    socket.on('error', () => undefined).connect(where as { path: string })
    socket.write('text', (error) => log('socket', 'written', error))
    controller.abort()
    await scene.gone(socket)
    const idle = new AbortController()
    const never = watch('never', owned(new net.Socket({ signal: idle.signal })))
    idle.abort()
    await scene.gone(never)
    for (const signal of [{}, 5, 'signal', null]) {
      scene.outcome('wrong', () => owned(new net.Socket({ signal: signal as AbortSignal })).destroyed)
    }
  },

  async 'a signal that is aborted already lets no socket connect'(scene) {
    const { connect, listen, log, server } = scene
    const where = await listen(server())
    const socket = connect({ ...where, signal: AbortSignal.abort(new Error('a reason')) })
    const [error] = await once(socket, 'error') as [Error]
    log('socket', error)
    socket.destroy()
    await scene.gone(socket)
  },

  async 'a socket whose signal was aborted connects when it is asked to'(scene) {
    const { listen, owned, server, watch } = scene
    const where = await listen(server())
    const controller = new AbortController()
    const socket = watch('socket', owned(new scene.net.Socket({ signal: controller.signal })))
    socket.on('error', () => undefined)
    await new Promise(setImmediate)
    const closed = new Promise((close) => socket.once('close', close))
    controller.abort()
    await closed
    socket.connect(where as { path: string })
    await once(socket, 'connect')
    socket.destroy()
    await scene.gone(socket)
  },

  async '`ready`, `connect` and what a socket says of itself on the way'(scene) {
    const { connect, listen, log, server, watch } = scene
    const socket = connect(await listen(server()))
    const look = (): void => log('socket', socket.connecting, socket.pending, socket.readyState, socket.bytesWritten)
    watch('socket', socket)
    look()
    socket.write('early', look)
    look()
    await once(socket, 'ready')
    look()
    socket.end()
    look()
    socket.destroy()
    look()
    await scene.gone(socket)
  },

  async 'the default of `autoSelectFamily`, and its time-out'({ log, net, outcome }) {
    const family = net.getDefaultAutoSelectFamily()
    const timeoutMs = net.getDefaultAutoSelectFamilyAttemptTimeout()
    log('defaults', family, timeoutMs)
    try {
      for (const value of [true, false, 1, 'true', null]) {
        outcome('family', () => net.setDefaultAutoSelectFamily(value as boolean))
        log('family', value, net.getDefaultAutoSelectFamily())
      }
      for (const value of [300, 1, 0, -5, 1.5, '20', null]) {
        outcome('timeout', () => net.setDefaultAutoSelectFamilyAttemptTimeout(value as number))
        log('timeout', value, net.getDefaultAutoSelectFamilyAttemptTimeout())
      }
    } finally {
      net.setDefaultAutoSelectFamily(family)
      net.setDefaultAutoSelectFamilyAttemptTimeout(timeoutMs)
    }
    return Promise.resolve()
  },
}

export const connectingOverTcp: Record<string, Scenario> = {
  async 'who was connected twice, and who was accepted, is connected already'(scene) {
    const { log, watch } = scene
    const { server, client, accepted } = await scene.pair()
    const where = server.address() as AddressInfo
    const again = (socket: Socket): unknown => socket.connect(where.port, where.address)
    again(client)
    await once(client, 'connect')
    for (const [who, socket] of Object.entries({ client, accepted })) {
      watch(who, socket).on('error', ({ code }: NodeJS.ErrnoException) => log(who, code))
      scene.outcome(who, () => again(socket) === socket)
    }
    await scene.gone(client, accepted)
  },

  async 'a socket that has sent its end is connected already'(scene) {
    const { log, watch } = scene
    const { server, client, accepted } = await scene.pair()
    const where = server.address() as AddressInfo
    watch('client', client).on('error', ({ code }: NodeJS.ErrnoException) => log('client', code))
    await new Promise<void>((ended) => client.end(ended))
    scene.outcome('client', () => client.connect(where.port, where.address) === client)
    await scene.gone(client, accepted)
  },

  async '`autoSelectFamily` takes the first address that answers'(scene) {
    const { connect, log, watch } = scene
    for (const [name, host, addresses] of [
      ['first', loopback6, [loopback6, loopback]],
      ['second', loopback, [loopback6, loopback]],
      ['fourth', loopback, [loopback6, other, '127.0.0.3', loopback]],
      ['only', loopback, [loopback]],
      ['twice the same', loopback, [loopback, loopback]],
    ] as const) {
      const port = await portOnlyOn(scene, host, addresses)
      const socket = watch(name, connect({ port, autoSelectFamily: true, ...resolving(...addresses) }))
      await once(socket, 'connect')
      log(name, socket.remoteAddress, socket.remoteFamily, socket.autoSelectFamilyAttemptedAddresses)
      socket.destroy()
      await scene.gone(socket)
    }
  },

  async '`autoSelectFamily`: all attempts fail'(scene) {
    const { connect, log, watch } = scene
    const port = await closedPort(scene, loopback)
    for (const addresses of [[loopback6, loopback, other], [loopback, other], [loopback]]) {
      const who = addresses.join()
      const socket = watch(who, connect({ port, autoSelectFamily: true, ...resolving(...addresses) }))
      const [error] = await once(socket, 'error') as [AggregateError]
      log(who, error.constructor.name, Object.keys(error), socket.autoSelectFamilyAttemptedAddresses)
      await scene.gone(socket)
    }
  },

  async '`autoSelectFamily`: an address that does not answer is left for the next, after a while'(scene) {
    const { connect, log, watch } = scene
    const port = await silentPort(scene)
    await portOn(scene, other, port)
    const socket = watch('client', connect({
      port, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 20, ...resolving(loopback, other),
    }))
    await once(socket, 'connect')
    log('client', socket.remoteAddress, socket.autoSelectFamilyAttemptedAddresses)
    socket.end('text')
    await scene.gone(socket.resume())
    const last = watch('last', connect({
      port, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 20, ...resolving(loopback, loopback6),
    }))
    const [error] = await once(last, 'error') as [AggregateError]
    log('last', error.errors.length, last.autoSelectFamilyAttemptedAddresses)
    await scene.gone(last)
  },

  async '`autoSelectFamily`: destroyed or aborted during an attempt'(scene) {
    const { connect, log, watch } = scene
    const port = await silentPort(scene)
    for (const how of ['destroy', 'destroy with an error', 'abort'] as const) {
      const controller = new AbortController()
      const socket = watch(how, connect({
        port, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 20_000, signal: controller.signal,
        ...resolving(loopback, other),
      }))
      socket.on('error', () => undefined)
      await once(socket, 'connectionAttempt')
      if (how === 'abort') controller.abort()
      else socket.destroy(how === 'destroy' ? undefined : new Error('a reason'))
      await scene.gone(socket)
      log(how, socket.autoSelectFamilyAttemptedAddresses)
    }
  },

  async '`autoSelectFamily`: a handler of the attempts that destroys, or adds a write'(scene) {
    const { connect, log, watch } = scene
    for (const event of ['lookup', 'connectionAttemptFailed']) {
      const { port } = await portOn(scene, loopback)
      const socket = watch(event, connect({ port, autoSelectFamily: true, ...resolving(loopback6, loopback) }))
      socket.on(event, () => socket.destroy())
      await scene.gone(socket)
    }
    const server = scene.server()
    const { port } = await scene.listen(server, { host: loopback }) as { port: number }
    const socket = watch('written', connect({ port, autoSelectFamily: true, ...resolving(loopback6, loopback) }))
    socket.once('connectionAttemptFailed', () => socket.write('in between'))
    socket.once('connect', () => socket.end())
    const [accepted] = await once(server, 'connection') as [Socket]
    let text = ''
    for await (const chunk of accepted) text += String(chunk)
    log('written', text, socket.bytesWritten)
    await scene.gone(socket.resume())
  },

  async '`autoSelectFamily` off, by option or by default: only the first address is tried'(scene) {
    const { connect, net, watch } = scene
    const before = net.getDefaultAutoSelectFamily()
    const { port } = await portOn(scene, loopback)
    const addresses = resolving(loopback6, loopback)
    const off = watch('option', connect({ port, autoSelectFamily: false, ...addresses }))
    await scene.gone(off)
    try {
      net.setDefaultAutoSelectFamily(false)
      await scene.gone(watch('default', connect({ port, ...addresses })))
      net.setDefaultAutoSelectFamily(true)
      const on = watch('default on', connect({ port, ...addresses }))
      await once(on, 'connect')
    } finally {
      net.setDefaultAutoSelectFamily(before)
    }
    const local = { autoSelectFamily: true, localAddress: loopback }
    const bound = watch('local address', connect({ port, ...local, ...addresses }))
    await scene.gone(bound)
    const six = watch('family', connect({ port, autoSelectFamily: true, family: 6, ...addresses }))
    await scene.gone(six)
  },

  async 'a local address or port that is falsy is none'(scene) {
    const { connect, watch } = scene
    const { port } = await portOn(scene, loopback)
    for (const none of ['', 0, false, null, NaN]) {
      const socket = watch('client', connect({ port, host: loopback, localAddress: none, localPort: none }))
      await once(socket, 'connect')
      socket.destroy()
      await scene.gone(socket)
    }
  },

  async 'a local address may be what has it for its text'(scene) {
    const { connect, log, watch } = scene
    const { port } = await portOn(scene, loopback)
    const socket = watch('client', connect({ port, host: loopback, localAddress: [loopback] as never }))
    await once(socket, 'connect')
    log('client', socket.localAddress)
    socket.destroy()
    await scene.gone(socket)
  },

  async 'a local address of the other family can\'t be had'(scene) {
    const { connect, watch } = scene
    for (const [host, localAddress] of [[loopback, loopback6], [loopback6, loopback]]) {
      await scene.gone(watch('client', connect({ port: 1, host, localAddress })))
    }
  },

  async '`autoSelectFamily` and what is resolved wrongly'(scene) {
    const { connect, outcome, watch } = scene
    const { port } = await portOn(scene, loopback)
    const answers: Record<string, unknown[]> = {
      'an error': [new Error('unknown')],
      'no address of the first': [null, [{ address: 'nonsense', family: 4 }, { address: loopback, family: 4 }]],
      'no address': [null, [{ address: 'nonsense', family: 4 }]],
      'one, though asked for all': [null, loopback, 4],
      'no family': [null, [{ address: loopback, family: 5 }]],
    }
    for (const [name, answer] of Object.entries(answers)) {
      const lookup = (_host: string, _options: object, done: (...args: unknown[]) => void): void => done(...answer)
      const socket = watch(name, connect({ port, host: 'some.name', autoSelectFamily: true, lookup }))
      await Promise.race([once(socket, 'connect'), scene.gone(socket)]).catch(() => undefined)
      socket.destroy()
      await scene.gone(socket)
    }
    for (const options of [
      { autoSelectFamily: 1 }, { autoSelectFamily: 'true' }, { autoSelectFamilyAttemptTimeout: 0 },
      { autoSelectFamilyAttemptTimeout: '20' }, { autoSelectFamilyAttemptTimeout: 1.5 }, { autoSelectFamily: null },
    ]) outcome('wrong', () => connect({ port, host: loopback, ...options }).connecting)
  },

  async 'a connection that is refused, whoever listens for it'(scene) {
    const { connect, log, watch } = scene
    const port = await closedPort(scene, loopback)
    const socket = watch('client', connect({ host: loopback, port } satisfies Where))
    socket.write('text', (error) => log('client', 'written', error))
    await scene.gone(socket)
    log('client', socket.readyState, socket.pending, socket.bytesWritten, socket.remoteAddress)
  },
}
