import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { connect as nodeConnect, createServer } from 'node:net'
import { join } from 'node:path'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { pattern, Received, until, untilIdle, echo } from '@sheaf/ring/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  adopt, connect, createRing, datagram, listen, seqpacket, socketpair, type UnixConnection,
} from '../src/index'
import { directory, fullSoon, kernelThreads, leaveBehind, server, testRing } from './support'

let names = 0

function abstractName(): string {
  return `\0sheaf-test-${process.pid}-${++names}`
}

describe('addresses', () => {
  it('a path is the listener\'s and what clients see; an unnamed peer has the empty path', async () => {
    const ring = testRing()
    let accepted: UnixConnection | undefined
    const listener = await server(ring, { open: (connection) => { accepted = connection } })
    const { path } = listener.address
    const connection = await connect({ path, ring }, {})
    await until(() => accepted !== undefined, 'the connection')
    expect(connection.remoteAddress).toEqual({ path })
    expect(connection.localAddress).toEqual({ path: '' })
    expect(accepted?.localAddress).toEqual({ path })
    expect(accepted?.remoteAddress).toEqual({ path: '' })
    connection.destroy()
  })

  it('an abstract name is exactly as long as it is, and in no file system', async () => {
    const ring = testRing()
    const name = `${abstractName()}\0with a NUL`
    const listener = await server(ring, echo, { path: name })
    expect(listener.address).toEqual({ path: name })
    const listed = readFileSync('/proc/net/unix', 'latin1').split('\n')
    // The kernel shows NULs as @; padding would show as more of them.
    expect(listed.filter((line) => line.endsWith(` ${name.replaceAll('\0', '@')}`))).toHaveLength(1)
    await expect(connect({ path: `${name}\0`, ring }, {})).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    const received = new Received()
    const connection = await connect({ path: name, ring }, received)
    expect(connection.remoteAddress).toEqual({ path: name })
    connection.write('abstract')
    connection.end()
    await received.closed
    expect(received.text).toBe('abstract')
  })

  it('paths of 107 bytes and abstract names of 108 are the longest', async () => {
    const ring = testRing()
    const longest = join(directory(), 'x').padEnd(107, 'x')
    for (const path of [longest, abstractName().padEnd(108, 'x')]) {
      const listener = await server(ring, echo, { path })
      expect(listener.address).toEqual({ path })
      const connection = await connect({ path, ring }, {})
      expect(connection.remoteAddress).toEqual({ path })
      connection.destroy()
      const tooLong = { code: 'EINVAL', errno: -22, address: `${path}x` }
      await expect(listen({ path: `${path}x`, ring }, {})).rejects.toMatchObject({ ...tooLong, syscall: 'listen' })
      await expect(connect({ path: `${path}x`, ring }, {})).rejects.toMatchObject({ ...tooLong, syscall: 'connect' })
    }
    expect(existsSync(longest)).toBe(true)
    expect(existsSync(`${longest}x`)).toBe(false)
  })

  it('paths may have any characters', async () => {
    const ring = testRing()
    const path = join(directory(), 'häß € 😀')
    const listener = await server(ring, echo, { path })
    expect(listener.address).toEqual({ path })
    const connection = await connect({ path, ring }, {})
    expect(connection.remoteAddress).toEqual({ path })
    connection.destroy()
  })
})

describe('arguments that are wrong are refused at the call', () => {
  const handler = {}
  const listenCases: [string, unknown, string][] = [
    ['no options', undefined, 'ERR_INVALID_ARG_TYPE'],
    ['no path', {}, 'ERR_INVALID_ARG_TYPE'],
    ['a path that is a number', { path: 1 }, 'ERR_INVALID_ARG_TYPE'],
    ['an empty path', { path: '' }, 'ERR_INVALID_ARG_VALUE'],
    ['a path with a NUL', { path: '/tmp/a\0b' }, 'ERR_INVALID_ARG_VALUE'],
    ['a path and a descriptor', { path: '/tmp/a', fd: 1 }, 'ERR_INVALID_ARG_VALUE'],
    ['a mode of 0o1777', { path: '/tmp/a', mode: 0o1777 }, 'ERR_OUT_OF_RANGE'],
    ['a mode that is text', { path: '/tmp/a', mode: '777' }, 'ERR_INVALID_ARG_TYPE'],
    ['a mode without a file', { path: '\0sheaf', mode: 0o777 }, 'ERR_INVALID_ARG_VALUE'],
    ['removeStale that is a number', { path: '/tmp/a', removeStale: 1 }, 'ERR_INVALID_ARG_TYPE'],
    ['a backlog of 0', { path: '/tmp/a', backlog: 0 }, 'ERR_OUT_OF_RANGE'],
    ['a descriptor that is closed', { fd: 19_999 }, 'EBADF'],
    ['a descriptor that is no socket', { fd: 0 }, 'ERR_INVALID_ARG_VALUE'],
  ]
  it.each(listenCases)('listen with %s', async (_name, options, code) => {
    await expect(listen(options as never, handler)).rejects.toMatchObject({ code })
  })

  it.each([
    ['no options', undefined, handler, 'ERR_INVALID_ARG_TYPE'],
    ['no handler', { path: '/tmp/a' }, undefined, 'ERR_INVALID_ARG_TYPE'],
    ['a handler method that is no function', { path: '/tmp/a' }, { data: 1 }, 'ERR_INVALID_ARG_TYPE'],
    ['no path', {}, handler, 'ERR_INVALID_ARG_TYPE'],
    ['an empty path', { path: '' }, handler, 'ERR_INVALID_ARG_VALUE'],
    ['a timeout of 0', { path: '/tmp/a', timeout: 0 }, handler, 'ERR_OUT_OF_RANGE'],
    ['a signal that is none', { path: '/tmp/a', signal: {} }, handler, 'ERR_INVALID_ARG_TYPE'],
    ['a ring that is none', { path: '/tmp/a', ring: {} }, handler, 'ERR_INVALID_ARG_TYPE'],
  ])('connect with %s', async (_name, options, given, code) => {
    await expect(connect(options as never, given as never)).rejects.toMatchObject({ code })
  })

  it('adopt with a descriptor that is no connected Unix stream leaves it open', async () => {
    const ring = testRing()
    const { sockets } = ring
    const pair = new Int32Array(2)
    sockets.socketpair(1, 2, pair)
    const unconnected = sockets.socket(1, 1, 0)
    const tcp = sockets.socket(2, 1, 6)
    const wrong = [...pair, unconnected, tcp]
    const file = await open('/dev/null')
    onTestFinished(() => file.close())
    for (const fd of [file.fd, ...wrong]) {
      expect(() => adopt({ fd, ring }, {})).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }))
    }
    expect(() => adopt({ fd: 19_999, ring }, {})).toThrow(expect.objectContaining({ code: 'EBADF' }))
    expect(() => adopt({ fd: undefined as never, ring }, {})).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
    for (const fd of wrong) expect(sockets.close(fd)).toBe(0)
    await untilIdle(ring)
  })
})

describe('errors have what Node\'s have', () => {
  it.each(['none there', 'a file', 'a socket that nobody listens on'])('connecting to %s', async (what) => {
    const ring = testRing()
    const path = join(directory(), 'target')
    if (what === 'a file') writeFileSync(path, '')
    if (what.startsWith('a socket')) leaveBehind(path)
    const theirs = await once(nodeConnect(path), 'error').then(([error]) => error as Error)
    const ours = await connect({ path, ring }, {}).catch((error: unknown) => error as Error) as Error
    expect(Object.entries(ours)).toEqual(Object.entries(theirs))
    expect(ours.message).toBe(theirs.message)
    await untilIdle(ring)
  })

  it('an address in use, as path and as abstract name', async () => {
    const ring = testRing()
    for (const path of [join(directory(), 's'), abstractName()]) {
      await server(ring, echo, { path })
      const inUse = { code: 'EADDRINUSE', errno: -98, syscall: 'listen', address: path }
      await expect(listen({ path, ring }, {})).rejects.toMatchObject(inUse)
    }
  })

  it('a directory that is not there', async () => {
    const ring = testRing()
    await expect(listen({ path: join(directory(), 'no', 's'), ring }, {})).rejects.toMatchObject({ code: 'ENOENT' })
    await untilIdle(ring)
  })

  it('a socket of another type', async () => {
    const ring = testRing()
    const path = join(directory(), 'datagrams')
    const fd = ring.sockets.socket(1, 2, 0)
    ring.sockets.bind(fd, Buffer.from(`\x01\x00${path}\0`, 'latin1'))
    await expect(connect({ path, ring }, {})).rejects.toMatchObject({ code: 'EPROTOTYPE' })
    await expect(listen({ path, ring, removeStale: true }, {})).rejects.toMatchObject({ code: 'EADDRINUSE' })
    ring.sockets.close(fd)
  })
})

describe('the socket file', () => {
  it('is there while listening and goes with the listener', async () => {
    const ring = testRing()
    const listener = await server(ring, echo)
    const { path } = listener.address
    expect(statSync(path).isSocket()).toBe(true)
    const closing = listener.close()
    expect(existsSync(path)).toBe(false)
    await closing
    const again = await server(ring, echo, { path })
    await again.close()
    expect(existsSync(path)).toBe(false)
  })

  it('goes when the ring is closed, and when the signal is aborted', async () => {
    const ring = createRing()
    const path = join(directory(), 's')
    await listen({ path, ring }, echo)
    ring.close()
    expect(existsSync(path)).toBe(false)
    const controller = new AbortController()
    const listener = await server(testRing(), echo, { path, signal: controller.signal })
    controller.abort()
    expect(existsSync(path)).toBe(false)
    await listener.close()
  })

  it('goes when the process exits, in whatever directory it is then', () => {
    const path = join(directory(), 's')
    const program = `
      import { listen } from '@sheaf/unix'
      process.chdir(${JSON.stringify(join(path, '..'))})
      await listen({ path: 's' }, {})
      process.chdir('/')
      console.log((await import('node:fs')).existsSync(${JSON.stringify(path)}))
      process.exit()
    `
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
    expect(output).toBe('true\n')
    expect(existsSync(path)).toBe(false)
  })

  it('stays if it is another\'s by then', async () => {
    const ring = testRing()
    const listener = await server(ring, echo)
    const { path } = listener.address
    execFileSync('rm', [path])
    const other = await server(ring, echo, { path })
    await listener.close()
    expect(statSync(path).isSocket()).toBe(true)
    const connection = await connect({ path, ring }, {})
    connection.destroy()
    await other.close()
  })

  it('has the mode asked for, whatever the umask', async () => {
    const ring = testRing()
    for (const mode of [0o600, 0o666, 0o777, 0]) {
      const listener = await server(ring, echo, { mode })
      expect(statSync(listener.address.path).mode & 0o7777).toBe(mode)
    }
    const byDefault = await server(ring, echo)
    const theirs = createServer().listen(join(directory(), 's'))
    await once(theirs, 'listening')
    expect(statSync(byDefault.address.path).mode).toBe(statSync(theirs.address() as string).mode)
    theirs.close()
  })

  it('that is stale is replaced when asked, and only then', async () => {
    const ring = testRing()
    const path = join(directory(), 's')
    leaveBehind(path)
    await expect(listen({ path, ring }, {})).rejects.toMatchObject({ code: 'EADDRINUSE' })
    const listener = await server(ring, echo, { path, removeStale: true })
    const received = new Received()
    const connection = await connect({ path, ring }, received)
    connection.write('fresh')
    connection.end()
    await received.closed
    expect(received.text).toBe('fresh')
    await listener.close()
    expect(existsSync(path)).toBe(false)
  })

  it('that is alive, or no socket, is never replaced', async () => {
    const ring = testRing()
    const listener = await server(ring, echo)
    const { path } = listener.address
    await expect(listen({ path, ring, removeStale: true }, {})).rejects.toMatchObject({ code: 'EADDRINUSE' })
    const connection = await connect({ path, ring }, {})
    connection.destroy()
    const file = join(directory(), 'file')
    writeFileSync(file, 'precious')
    await expect(listen({ path: file, ring, removeStale: true }, {})).rejects.toMatchObject({ code: 'EADDRINUSE' })
    expect(readFileSync(file, 'utf8')).toBe('precious')
  })

  it('that is alive with a full backlog is not replaced either, and connecting waits its turn', async () => {
    const ring = testRing()
    const path = join(directory(), 's')
    const fd = fullSoon(ring, path, 1)
    const first = await connect({ path, ring }, {})
    await expect(connect({ path, ring, timeout: 50 }, {})).rejects.toMatchObject({
      code: 'ETIMEDOUT', errno: -110, syscall: 'connect', address: path,
    })
    const controller = new AbortController()
    const aborted = connect({ path, ring, signal: controller.signal }, {})
    setTimeout(() => controller.abort('enough'), 30)
    await expect(aborted).rejects.toMatchObject({ name: 'AbortError', cause: 'enough' })
    await expect(listen({ path, ring, removeStale: true }, {})).rejects.toMatchObject({ code: 'EADDRINUSE' })
    const waiting = connect({ path, ring }, {})
    await sleep(20)
    const listener = await listen({ fd, ring }, echo)
    onTestFinished(() => listener.close())
    const second = await waiting
    for (const connection of [first, second]) connection.destroy()
    await listener.close()
    await untilIdle(ring)
    // It was adopted, so its file is not the listener's.
    expect(existsSync(path)).toBe(true)
  })

  it('that is alive with a full backlog is connected to no longer when that is aborted at any time', async () => {
    const ring = testRing()
    const path = join(directory(), 's')
    const fd = fullSoon(ring, path, 1)
    const first = await connect({ path, ring }, {})
    for (let turns = 0; turns < 40; turns++) {
      const controller = new AbortController()
      const connecting = expect(connect({ path, ring, signal: controller.signal }, {})).rejects.toMatchObject({
        name: 'AbortError',
      })
      for (let left = turns; left > 0; left--) await setImmediate()
      controller.abort()
      await connecting
    }
    first.destroy()
    expect(ring.sockets.close(fd)).toBe(0)
    await untilIdle(ring)
  })

  it.each([
    ['stream', 1, connect, listen],
    ['seqpacket', 5, seqpacket.connect, seqpacket.listen],
  ] as const)('that is alive with a full backlog costs those who wait for it no thread: %s', async (
    _name, type, connectTo, listenOn,
  ) => {
    const ring = testRing()
    const path = join(directory(), 's')
    const fd = fullSoon(ring, path, type)
    const threads = kernelThreads()
    const connecting = Array.from({ length: 40 }, () => connectTo({ path, ring }, {}))
    const first = await Promise.race(connecting)
    // The others have tried.
    await sleep(20)
    let accepted = 0
    const listener = await listenOn({ fd, ring }, { open: () => { accepted++ } })
    const connections = await Promise.all(connecting)
    await until(() => accepted === connections.length, 'all of them')
    expect(kernelThreads()).toBeLessThanOrEqual(threads)
    expect(connections).toContain(first)
    for (const connection of connections) connection.destroy()
    await listener.close()
    await untilIdle(ring)
  })

  it('that is alive with a full backlog and closes refuses those who wait', async () => {
    const ring = testRing()
    const path = join(directory(), 's')
    const fd = fullSoon(ring, path, 1)
    const first = await connect({ path, ring }, {})
    const refused = expect(connect({ path, ring }, {})).rejects.toMatchObject({ code: 'ECONNREFUSED', address: path })
    await sleep(20)
    ring.sockets.close(fd)
    await refused
    first.destroy()
    await untilIdle(ring)
  })
})

it.each([
  ['stream', connect, listen],
  ['seqpacket', seqpacket.connect, seqpacket.listen],
] as const)('who has been accepted is told before who has connected: %s', async (_name, connectTo, listenOn) => {
  const ring = testRing()
  const path = join(directory(), 's')
  const told: string[] = []
  const listener = await listenOn({ path, ring }, { open: () => { told.push('accepted') } })
  await sleep(20)
  const connection = await connectTo({ path, ring }, { open: () => { told.push('connected') } })
  expect(told).toEqual(['accepted', 'connected'])
  connection.destroy()
  await listener.close()
})

it('the end of a seqpacket connection takes no thread of the kernel\'s', async () => {
  const ring = testRing()
  const threads = kernelThreads()
  let ended = 0
  const handler: seqpacket.SeqpacketHandler = { end: () => { ended++ } }
  for (const connection of seqpacket.socketpair({ ring }, handler)) connection.end()
  await until(() => ended === 2, 'both ends')
  expect(kernelThreads()).toBeLessThanOrEqual(threads)
  await untilIdle(ring)
})

describe('peer credentials', () => {
  it('are this process\'s on both sides of its own connection, also after it is closed', async () => {
    const ring = testRing()
    const own = { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() }
    const accepted: UnixConnection[] = []
    const listener = await server(ring, { open: (connection) => accepted.push(connection) })
    const received = new Received()
    const connection = await connect({ path: listener.address.path, ring }, received)
    await until(() => accepted.length === 1, 'the connection')
    expect(connection.peerCredentials).toEqual(own)
    expect(accepted[0].peerCredentials).toEqual(own)
    connection.destroy()
    await received.closed
    expect(connection.peerCredentials).toEqual(own)
    const [one, other] = socketpair({ ring }, {})
    expect(one.peerCredentials).toEqual(own)
    one.destroy()
    await until(() => other.state === 'closed', 'the other')
    expect(other.peerCredentials).toBeUndefined()
  })

  it('are another process\'s where that connects', async () => {
    const ring = testRing()
    const accepted: UnixConnection[] = []
    const listener = await server(ring, { open: (connection) => accepted.push(connection) })
    const program = `require('node:net').connect(${JSON.stringify(listener.address.path)})`
    const child = spawn(process.execPath, ['-e', program])
    await until(() => accepted.length === 1, 'the connection')
    expect(accepted[0].peerCredentials?.pid).toBe(child.pid)
    child.kill()
    await once(child, 'exit')
  })
})

describe('a socket pair', () => {
  it('is two open connections with each other', async () => {
    const ring = testRing()
    const opened: UnixConnection[] = []
    const one = new Received()
    const [first, second] = socketpair({ ring }, Object.assign(one, {
      open: (connection: UnixConnection) => opened.push(connection),
    }), echo)
    expect(opened).toEqual([first])
    expect(second.state).toBe('open')
    expect(first.localAddress).toEqual({ path: '' })
    expect(first.remoteAddress).toEqual({ path: '' })
    const sent = pattern(3_000_000, 3)
    first.write(sent)
    first.end()
    await one.closed
    expect(Buffer.concat(one.chunks).equals(sent)).toBe(true)
    await untilIdle(ring)
  })

  it('one of which can be adopted by its descriptor', async () => {
    const ring = testRing()
    const pair = new Int32Array(2)
    expect(ring.sockets.socketpair(1, 1, pair)).toBe(0)
    const received = new Received()
    const [first] = [...pair].map((fd, index) => adopt({ fd, ring }, index === 0 ? received : echo))
    first.write('adopted')
    first.end()
    await received.closed
    expect(received.text).toBe('adopted')
    await untilIdle(ring)
  })
})

describe('with node:net at the other end', () => {
  it('a server serves Node\'s clients', async () => {
    const ring = testRing()
    const listener = await server(ring, echo)
    const socket = nodeConnect(listener.address.path)
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    const sent = pattern(2_000_000, 4)
    socket.end(sent)
    await once(socket, 'close')
    expect(Buffer.concat(chunks).equals(sent)).toBe(true)
  })

  it('a client talks to Node\'s servers', async () => {
    const ring = testRing()
    const path = join(directory(), 's')
    const nodeServer = createServer((socket) => socket.pipe(socket)).listen(path)
    await once(nodeServer, 'listening')
    onTestFinished(() => void nodeServer.close())
    const received = new Received()
    const connection = await connect({ path, ring }, received)
    const sent = pattern(2_000_000, 5)
    connection.write(sent)
    connection.end()
    await received.closed
    expect(Buffer.concat(received.chunks).equals(sent)).toBe(true)
  })

  it('a peer that vanishes with unread data is an ECONNRESET or EPIPE', async () => {
    const ring = testRing()
    const path = join(directory(), 's')
    const nodeServer = createServer({ pauseOnConnect: true }, (socket) => {
      setTimeout(() => socket.destroy(), 50)
    }).listen(path)
    await once(nodeServer, 'listening')
    onTestFinished(() => void nodeServer.close())
    const received = new Received()
    const connection = await connect({ path, ring }, received)
    connection.write(pattern(5_000_000, 1))
    await received.closed
    expect(received.error).toMatchObject({ code: expect.stringMatching(/^(ECONNRESET|EPIPE)$/) as string })
    await untilIdle(ring)
  })
})

it.each([['stream', { listen, connect }], ['seqpacket', seqpacket]])(
  'a server is told of a client before that is told that it has connected, and may close the server: %s',
  async (_kind, family) => {
    const ring = testRing()
    const told: string[] = []
    const listener = await family.listen({ path: abstractName(), ring }, {
      open: () => { told.push('server') },
    })
    const connection = await family.connect({ path: listener.address.path, ring }, {
      open() {
        told.push('client')
        void listener.close()
      },
    })
    expect(told).toEqual(['server', 'client'])
    connection.destroy()
    await untilIdle(ring)
  },
)

describe('socket options', () => {
  it('buffer sizes are read and set', async () => {
    const ring = testRing()
    const [first, second] = socketpair({ ring }, {})
    first.setSendBufferBytes(50_000)
    first.setReceiveBufferBytes(60_000)
    // The kernel doubles what is set.
    expect(first.sendBufferBytes).toBe(100_000)
    expect(first.receiveBufferBytes).toBe(120_000)
    expect(() => first.setSendBufferBytes(0)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
    first.destroy()
    await until(() => first.state === 'closed' && second.state === 'closed', 'both to close')
    expect(() => first.sendBufferBytes).toThrow(expect.objectContaining({ code: 'ERR_SHEAF_CLOSED' }))
  })
})

it('null in the place of an encoding is none, as with Node\'s sockets', async () => {
  for (const backend of ['ring', 'node'] as const) {
    const received = new Received()
    const path = join(directory(), 's')
    const listener = await listen({ path, backend }, received)
    const connection = await connect({ path, backend }, {})
    await new Promise((told) => { connection.write('text', null as never, told) })
    connection.end()
    await received.closed
    expect(received.text).toBe('text')
    await listener.close()
  }
})

it('a signal that is aborted already, and a file that can\'t be kept, are refused', async () => {
  const ring = testRing()
  const aborted = { name: 'AbortError', code: 'ABORT_ERR', cause: 'enough' }
  const options = { ring, path: abstractName(), signal: AbortSignal.abort('enough') }
  for (const call of [listen, connect, seqpacket.listen, seqpacket.connect, datagram.bind, datagram.connect]) {
    await expect(call(options, {})).rejects.toMatchObject(aborted)
  }
  for (const call of [datagram.open, datagram.socketpair]) {
    expect(() => call(options, {})).toThrow(expect.objectContaining(aborted) as Error)
  }
  await untilIdle(ring)
  await expect(listen({ path: join(directory(), 's'), keepFile: true, backend: 'node' }, {})).rejects.toMatchObject({
    code: 'ERR_SHEAF_UNSUPPORTED',
  })
})

it.each([
  ['stream', listen, connect, socketpair], ['seqpacket', seqpacket.listen, seqpacket.connect, seqpacket.socketpair],
] as const)('metrics count connections, not what never was one: %s', async (_kind, listen, connect, socketpair) => {
  const ring = testRing()
  const path = abstractName()
  const listener = await listen({ path, ring }, {})
  for (let index = 0; index < 3; index++) (await connect({ path, ring }, {})).destroy()
  await until(() => ring.metrics.accepted === 3, 'the connections')
  await listener.close()
  await expect(connect({ path, ring }, {})).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  for (const connection of socketpair({ ring }, {})) connection.destroy()
  datagram.open({ ring }, {}).destroy()
  await untilIdle(ring)
  expect(ring.metrics).toMatchObject({ accepted: 3, connected: 3, closed: 8 })
})
