import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import { readdirSync, readFile } from 'node:fs'
import stockNet, { type AddressInfo, type NetConnectOpts, type Server, type Socket } from 'node:net'
import { inherits } from 'node:util'
import { Duplex, Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setImmediate as turn } from 'node:timers/promises'
import { defaultRing } from '@sheaf/ring'
import { pattern, sha, until, untilIdle } from './fixtures'
import type { TestFramework } from './streams'

/** A stand-in for `node:net`, and where its servers are to listen. */
export interface SocketFamily {
  readonly net: typeof stockNet
  /** Where a new server is to listen. */
  place(): { host: string, port: number } | { path: string }
}

/** One test's server, which is closed with its connections when the test is over. */
class Bench {
  readonly net: typeof stockNet
  readonly #family: SocketFamily
  readonly #sockets = new Set<Socket>()
  readonly #servers: Server[] = []

  constructor(family: SocketFamily) {
    this.#family = family
    this.net = family.net
  }

  readonly listen = (
    onConnection: (socket: Socket) => void,
    options: stockNet.ServerOpts = {},
  ): Promise<NetConnectOpts> => this.listenOn(this.net.createServer(options), onConnection)

  readonly listenOn = async (server: Server, onConnection: (socket: Socket) => void): Promise<NetConnectOpts> => {
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      onConnection(socket)
    })
    this.#servers.push(server)
    server.listen(this.#family.place())
    await once(server, 'listening')
    return addressOf(server)
  }

  readonly connect = (where: NetConnectOpts): Socket => {
    const socket = this.net.connect(where)
    this.#sockets.add(socket)
    return socket
  }

  async close(): Promise<void> {
    for (const server of this.#servers) server.close()
    for (const socket of this.#sockets) socket.destroy()
    await untilIdle(defaultRing())
  }
}

function addressOf(server: Server): NetConnectOpts {
  const address = server.address()
  return typeof address === 'string' ? { path: address } : { host: '127.0.0.1', port: (address as AddressInfo).port }
}

type Test = (bench: Bench) => Promise<void>

const mib = 1024 * 1024

function ignore(): void {
  // Errors of sockets that are destroyed on purpose.
}

async function collect(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

const exchange: Record<string, Test> = {
  async '100 MB go both ways through pipelines, unharmed'({ listen, connect }) {
    const bytes = pattern(100 * mib, 7)
    const where = await listen((socket) => void pipeline(socket, socket))
    const socket = connect(where)
    const received = sha()
    let sizeBytes = 0
    const chunkBytes = 60_000
    const source = Readable.from((function* () {
      for (let start = 0; start < bytes.byteLength; start += chunkBytes) yield bytes.subarray(start, start + chunkBytes)
    })(), { objectMode: false })
    const sink = new Writable({
      write(chunk: Buffer, _encoding, done) {
        received.update(chunk)
        sizeBytes += chunk.byteLength
        done()
      },
    })
    await Promise.all([pipeline(source, socket), pipeline(socket, sink)])
    assert.equal(sizeBytes, bytes.byteLength)
    assert.equal(received.digest('hex'), sha().update(bytes).digest('hex'))
    assert.equal(socket.bytesRead, bytes.byteLength)
    assert.equal(socket.bytesWritten, bytes.byteLength)
  },

  async 'strings of every encoding, corked writes and buffers keep their order'({ listen, connect }) {
    const received = new Promise<Buffer>((resolve) => {
      void listen((socket) => void collect(socket).then(resolve)).then((where) => {
        const socket = connect(where)
        socket.write('é', 'latin1')
        socket.cork()
        socket.write('6869', 'hex')
        socket.write('ü')
        socket.uncork()
        socket.write('aGk=', 'base64')
        socket.end(Buffer.from('end'))
      })
    })
    const expected = [Buffer.from('é', 'latin1'), Buffer.from('hiü'), Buffer.from('hiend')]
    assert.deepEqual(await received, Buffer.concat(expected))
  },

  async 'a writer is held back by a reader that pauses, and goes on with it'({ listen, connect }) {
    let reader: Socket | undefined
    const where = await listen((socket) => { reader = socket.pause() })
    const socket = connect(where)
    const chunk = pattern(32 * 1024, 3)
    let written = 0
    while (socket.write(chunk)) written += chunk.byteLength
    written += chunk.byteLength
    let drained = false
    socket.on('drain', () => { drained = true })
    while (written < 20 * mib) {
      socket.write(chunk)
      written += chunk.byteLength
    }
    await until(() => reader !== undefined, 'the connection')
    await turn()
    assert.equal(drained, false)
    let read = 0
    reader?.on('data', (data: Buffer) => { read += data.byteLength })
    reader?.resume()
    await until(() => read === written && drained, 'everything to arrive')
  },

  async 'who awaits one event after another misses none'({ listen, connect }) {
    const bytes = pattern(32 * mib, 5)
    const socket = connect(await listen((peer) => peer.end(bytes)))
    const received = sha()
    while (!socket.readableEnded) {
      const waiting = new AbortController()
      const next = ['data', 'end'].map((event) => once(socket, event, waiting).catch(() => []))
      const [chunk] = await Promise.race(next) as [Buffer?]
      if (chunk !== undefined) received.update(chunk)
      waiting.abort()
    }
    assert.equal(received.digest('hex'), sha().update(bytes).digest('hex'))
  },

  async '`pauseOnConnect` keeps the bytes for whoever resumes'({ listen, connect }) {
    const accepted: Socket[] = []
    const where = await listen((socket) => accepted.push(socket), { pauseOnConnect: true })
    connect(where).end('kept')
    await until(() => accepted.length !== 0, 'the connection')
    await turn()
    const [socket] = accepted
    assert.equal(socket.bytesRead, 0)
    const received = collect(socket)
    socket.resume()
    assert.equal((await received).toString(), 'kept')
  },

  async 'no chunk is larger than what libuv reads at a time'({ listen, connect }) {
    const bytes = pattern(8 * mib, 3)
    const where = await listen((socket) => socket.end(bytes))
    const socket = connect(where)
    const received = sha()
    let largest = 0
    let sizeBytes = 0
    socket.on('data', (chunk: Buffer) => {
      largest = Math.max(largest, chunk.byteLength)
      received.update(chunk)
      sizeBytes += chunk.byteLength
      assert.equal(socket.bytesRead, sizeBytes)
    })
    await once(socket, 'end')
    assert.ok(largest <= 64 * 1024, `a chunk has ${largest} bytes`)
    assert.equal(received.digest('hex'), sha().update(bytes).digest('hex'))
  },

  async '`onread` fills the same buffer again and again, and can pause'({ listen, net }) {
    const where = await listen((socket) => socket.end('abcdefghij'))
    const pieces: string[] = []
    const buffer = Buffer.alloc(4)
    const socket = net.connect({
      ...where,
      onread: {
        buffer,
        callback(bytes: number, filled: Uint8Array) {
          pieces.push(Buffer.from(filled.subarray(0, bytes)).toString())
          if (pieces.length !== 1) return true
          setImmediate(() => socket.resume())
          return false
        },
      },
    })
    await once(socket, 'end')
    assert.deepEqual(pieces, ['abcd', 'efgh', 'ij'])
  },

  async 'it is a web stream too'({ listen, connect }) {
    const where = await listen((socket) => socket.pipe(socket))
    const { readable, writable } = Duplex.toWeb(connect(where))
    const writer = writable.getWriter()
    await writer.write(Buffer.from('web'))
    const { value } = await readable.getReader().read() as { value: Uint8Array }
    assert.equal(Buffer.from(value).toString(), 'web')
    await writer.close()
  },
}

const ending: Record<string, Test> = {
  async 'what was written just before `destroy` arrives'({ listen, connect }) {
    let received: Promise<Buffer> | undefined
    const where = await listen((socket) => { received = collect(socket) })
    const socket = connect(where)
    await once(socket, 'connect')
    socket.write('one')
    await turn()
    socket.write('two')
    socket.destroy()
    await once(socket, 'close')
    await until(() => received !== undefined, 'the connection')
    assert.equal((await (received as unknown as Promise<Buffer>)).toString(), 'onetwo')
  },

  async 'and if the loop comes to its immediates before the ring'({ listen, connect }) {
    let received: Promise<Buffer> | undefined
    const where = await listen((socket) => { received = collect(socket) })
    const socket = connect(where)
    await once(socket, 'connect')
    // A callback of the loop's polling, as those of other sockets of Node's.
    readFile('/dev/null', () => {
      socket.write('last')
      socket.destroy()
    })
    await once(socket, 'close')
    await until(() => received !== undefined, 'the connection')
    assert.equal((await (received as unknown as Promise<Buffer>)).toString(), 'last')
  },

  async 'half-open: this side goes on when the peer has ended'({ listen, connect }) {
    const where = await listen((socket) => {
      socket.on('end', () => {
        setImmediate(() => socket.end('after the end'))
      }).resume()
    }, { allowHalfOpen: true })
    const socket = connect(where)
    socket.end()
    assert.equal((await collect(socket)).toString(), 'after the end')
  },

  async 'not half-open: writing after the peer\'s end fails with EPIPE'({ listen, connect }) {
    const where = await listen((socket) => socket.end())
    const socket = connect(where)
    socket.resume()
    await once(socket, 'end')
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => { socket.once('error', resolve) })
    await until(() => socket.writableEnded, 'the socket to end')
    if (!socket.destroyed) {
      socket.write('late')
      assert.equal((await failed).code, 'EPIPE')
    }
  },

  async 'events come in Node\'s order'({ listen, connect }) {
    const where = await listen((socket) => socket.end('bye'))
    const socket = connect(where)
    const seen: string[] = []
    for (const name of ['lookup', 'connect', 'ready', 'data', 'end', 'finish', 'close']) {
      socket.on(name, () => seen.push(name))
    }
    await once(socket, 'close')
    assert.deepEqual(seen.filter((name) => name !== 'lookup'), ['connect', 'ready', 'data', 'end', 'finish', 'close'])
  },

  async 'it connects at once: who listens later in that turn is too late'({ net, listenOn, connect }) {
    const server = net.createServer()
    const where = await listenOn(server, ignore)
    server.close()
    await once(server, 'close')
    const socket = connect(where)
    const failed = once(socket, 'error') as Promise<[NodeJS.ErrnoException]>
    const later = net.createServer().listen(where)
    const [{ code }] = await failed
    assert.match(String(code), /ECONNREFUSED|ENOENT/)
    later.close()
    await once(later, 'close')
  },

  async 'immediates that an event has left come before what comes of that event'({ listen, connect }) {
    const seen: string[] = []
    const where = await listen((socket) => socket.on('data', () => {
      setImmediate(() => seen.push('immediate'))
      socket.write('answer')
    }))
    const socket = connect(where)
    for (let question = 0; question < 3; question++) {
      socket.write('question')
      await once(socket, 'data')
      seen.push('answer')
    }
    assert.deepEqual(seen, ['immediate', 'answer', 'immediate', 'answer', 'immediate', 'answer'])
  },

  async '`close` says whether there was an error'({ listen, connect }) {
    const where = await listen((socket) => socket.on('error', ignore))
    const socket = connect(where)
    await once(socket, 'connect')
    socket.on('error', ignore)
    socket.destroy(new Error('on purpose'))
    const hadError = await new Promise((resolve) => { socket.once('close', resolve) })
    assert.equal(hadError, true)
    assert.equal(socket.destroyed, true)
  },

  async 'a socket can be destroyed at any time, and nothing is left'({ listen, connect, net }) {
    const accepted: Socket[] = []
    const where = await listen((socket) => {
      accepted.push(socket)
      socket.on('error', ignore).resume()
    })
    const before = readdirSync('/proc/self/fd').length
    const idle = defaultRing().usage
    const chunk = pattern(mib, 5)
    const states: Record<string, (socket: Socket) => Promise<unknown> | undefined> = {
      'while connecting': () => undefined,
      'in the turn after': () => turn(),
      'when connected': (socket) => once(socket, 'connect'),
      'with much to send': async (socket) => {
        await once(socket, 'connect')
        socket.write(chunk)
      },
      'ended': async (socket) => {
        await once(socket, 'connect')
        socket.end(chunk)
      },
      'paused': async (socket) => {
        await once(socket, 'connect')
        socket.pause()
        await turn()
      },
      'corked': async (socket) => {
        await once(socket, 'connect')
        socket.cork()
        socket.write('never')
      },
    }
    for (const [name, reach] of Object.entries(states)) {
      const socket = connect(where)
      socket.on('error', ignore)
      await reach(socket)
      const closed = once(socket, 'close')
      socket.destroy()
      socket.destroy()
      await closed
      assert.equal(socket.destroyed, true, name)
    }
    new net.Socket().destroy()
    await until(() => accepted.every((socket) => socket.destroyed), 'the server to notice')
    await until(() => readdirSync('/proc/self/fd').length === before, 'descriptors to be closed')
    await until(() => defaultRing().usage.operationSlots === idle.operationSlots, 'slots to be free')
  },

  async 'connections that come and go leave no descriptor, slot or buffer'({ listen, connect }) {
    const where = await listen((socket) => socket.pipe(socket))
    const before = readdirSync('/proc/self/fd').length
    for (let round = 0; round < 10; round++) {
      await Promise.all(Array.from({ length: 20 }, async () => {
        const socket = connect(where)
        socket.end('round and round')
        await collect(socket)
        if (!socket.closed) await once(socket, 'close')
      }))
    }
    await until(() => readdirSync('/proc/self/fd').length === before, 'descriptors to be closed')
    await untilIdle(defaultRing(), 1)
  },
}

const socketsAndServers: Record<string, Test> = {
  async 'it can be called without `new`, and inherited from in both ways'({ listen, net }) {
    const where = await listen((socket) => socket.end())
    const called = (net.Socket as unknown as () => Socket)()
    assert.ok(called instanceof net.Socket)
    function Old(this: Socket): void {
      (net.Socket as unknown as (this: Socket) => void).call(this)
    }
    inherits(Old, net.Socket)
    class New extends net.Socket {
      readonly made = 'anew'
    }
    const newest = new New()
    const made: Socket[] = [called, new (Old as unknown as new () => Socket)(), newest]
    for (const socket of made) {
      assert.ok(socket instanceof Duplex)
      socket.connect(where)
      socket.resume()
      await once(socket, 'close')
    }
    assert.equal(newest.made, 'anew')
    assert.ok(!(called instanceof New))
  },

  async 'Node\'s own sockets and servers are instances too'({ net }) {
    assert.ok(new stockNet.Socket() instanceof net.Socket)
    assert.ok(new stockNet.Server() instanceof net.Server)
    assert.ok(!({} instanceof net.Socket))
    return Promise.resolve()
  },

  async 'a socket of Node\'s can be taken over by its handle'({ listen, net }) {
    const where = await listen((socket) => socket.pipe(socket))
    const stock = stockNet.connect(where)
    await once(stock, 'connect')
    const { _handle: handle } = stock as unknown as { _handle: unknown }
    const socket = new net.Socket({ handle } as stockNet.SocketConstructorOpts)
    socket.end('taken over')
    assert.equal((await collect(socket)).toString(), 'taken over')
    stock.on('error', ignore).destroy()
  },

  async 'where a server listened another can at once'({ listenOn, net }) {
    const first = net.createServer()
    const where = await listenOn(first, ignore)
    let last = first
    for (let round = 0; round < 5; round++) {
      const next = net.createServer()
      last.close()
      next.listen(where)
      // An `error` event rejects.
      await once(next, 'listening')
      last = next
    }
    last.close()
  },

  async 'no more than `maxConnections`: the others are dropped'({ listenOn, net, connect }) {
    const server = net.createServer()
    server.maxConnections = 1
    const drops: unknown[] = []
    server.on('drop', (data) => drops.push(data))
    const where = await listenOn(server, ignore)
    const first = connect(where)
    await once(first, 'connect')
    const second = connect(where).resume().on('error', ignore)
    await once(second, 'close')
    assert.equal(drops.length, 1)
    assert.equal(first.destroyed, false)
  },

  async 'the async context of `connect` is that of its events'({ listen, connect }) {
    const where = await listen((socket) => socket.end('x'))
    const storage = new AsyncLocalStorage<string>()
    const seen: unknown[] = []
    const socket = storage.run('connect', () => connect(where))
    for (const name of ['connect', 'data', 'end', 'close']) socket.on(name, () => seen.push(storage.getStore()))
    await once(socket, 'close')
    assert.deepEqual(seen, ['connect', 'connect', 'connect', 'connect'])
  },

  async 'a time-out is told when nothing has happened for a while, and not before'({ listen, connect }) {
    const where = await listen((socket) => socket.resume())
    const socket = connect(where)
    let told = 0
    socket.setTimeout(60, () => told++)
    await once(socket, 'timeout')
    assert.equal(told, 1)
    socket.setTimeout(0)
    assert.throws(() => socket.setTimeout(-1), { code: 'ERR_OUT_OF_RANGE' })
    assert.throws(() => socket.setTimeout('1' as never), { code: 'ERR_INVALID_ARG_TYPE' })
  },

  async 'what happens puts a time-out off, and one that was told comes again'({ listen, connect }) {
    const where = await listen((socket) => socket.pipe(socket))
    const socket = connect(where)
    const timeoutMs = 60
    const idleMs: number[] = []
    let lastMs = performance.now()
    const busyUntilMs = lastMs + 3 * timeoutMs
    socket.setTimeout(timeoutMs)
    socket.on('timeout', () => idleMs.push(performance.now() - lastMs))
    socket.on('data', () => {
      lastMs = performance.now()
      if (lastMs < busyUntilMs) socket.write('x')
    })
    socket.write('x')
    await until(() => lastMs >= busyUntilMs && idleMs.length !== 0, 'the time is up')
    socket.write('x')
    const toldBefore = idleMs.length
    await until(() => idleMs.length > toldBefore, 'the time is up again')
    // One that was not put off would have been told amidst the traffic.
    assert.ok(Math.min(...idleMs) > timeoutMs / 2, String(idleMs))
  },
}

/** What takes ports. */
const overTcp: Record<string, Test> = {
  async 'a listening server of Node\'s can be taken over'({ net, connect }) {
    const stock = stockNet.createServer()
    stock.listen(0, '127.0.0.1')
    await once(stock, 'listening')
    const where = { host: '127.0.0.1', port: (stock.address() as AddressInfo).port }
    const server = net.createServer()
    server.listen(stock)
    await once(server, 'listening')
    server.once('connection', (socket: Socket) => socket.end('by another'))
    assert.equal((await collect(connect(where))).toString(), 'by another')
    server.close()
    stock.close()
  },

  async 'a reset with writes in flight is an error to the peer, and no end'({ listen, connect }) {
    let peer: Socket | undefined
    const client = connect(await listen((socket) => { peer = socket.pause() }))
    await once(client, 'connect')
    await until(() => peer !== undefined, 'the connection')
    const accepted = peer as unknown as Socket
    client.write(pattern(32 * mib, 5))
    await until(() => client.bytesWritten > 0, 'a write')
    client.resetAndDestroy()
    accepted.on('end', () => assert.fail('a part was taken for the whole')).resume()
    await assert.rejects(once(accepted, 'close'), { code: 'ECONNRESET' })
  },

  async 'options that make no sense are refused as Node refuses them'({ net }) {
    const wrong: ((module: typeof stockNet) => unknown)[] = [
      ({ Socket }) => new Socket({ objectMode: true } as never),
      ({ Socket }) => new Socket({ fd: -1 }),
      ({ Server }) => new Server('text' as never),
      ({ connect }) => connect({} as never),
      ({ connect }) => connect({ port: 65536 }),
      ({ connect }) => connect({ port: 1, localAddress: 'nowhere' }),
      ({ connect }) => connect({ port: 1, lookup: 1 as never, host: 'a.invalid' }),
      ({ createServer }) => createServer().listen({ port: -1 }),
      ({ createServer }) => createServer().listen({} as never),
      ({ Socket }) => new Socket().setTimeout(NaN),
    ]
    const outcome = (call: () => unknown): unknown => {
      try {
        call()
      } catch (error) {
        const { code, message, name } = error as NodeJS.ErrnoException
        return { code, message, name }
      }
      return 'accepted'
    }
    for (const call of wrong) {
      assert.deepEqual(outcome(() => call(net)), outcome(() => call(stockNet)), String(call))
    }
    return Promise.resolve()
  },
}

/** What sockets and servers of a stand-in for `node:net` must do, whatever their addresses. */
export function testSockets(name: string, family: SocketFamily, { describe, it }: TestFramework): void {
  const groups = { exchange, ending, 'sockets and servers': socketsAndServers, 'over TCP': overTcp }
  for (const [group, tests] of Object.entries(groups)) {
    if (tests === overTcp && !('port' in family.place())) continue
    describe(`${name}: ${group}`, () => {
      for (const [title, test] of Object.entries(tests)) {
        it(title, async () => {
          const bench = new Bench(family)
          try {
            await test(bench)
          } finally {
            await bench.close()
          }
        })
      }
    })
  }
}
