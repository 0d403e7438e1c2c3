import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { Worker } from 'node:worker_threads'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { TcpConnection } from '../src/index'
import { loopback, openDescriptors, pattern, Received, server, testRing, until, client, echo } from './support'

/** What every program below begins with: a server in the test, which counts what arrives. */
class Sink {
  bytes = 0
  sockets = 0
  closed = 0
  port = 0

  readonly #open = new Set<Socket>()

  /** Paused sockets don't notice that their peer has gone. */
  async destroyAll(): Promise<void> {
    for (const socket of this.#open) socket.destroy()
    await until(() => this.closed === this.sockets, 'all sockets to close')
  }

  static async open(onConnection: (socket: Socket) => void = () => undefined): Promise<Sink> {
    const sink = new Sink()
    const nodeServer = createServer((socket) => {
      sink.sockets++
      sink.#open.add(socket)
      socket.on('data', (chunk: Buffer) => { sink.bytes += chunk.byteLength })
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sink.closed++
        sink.#open.delete(socket)
      })
      onConnection(socket)
    })
    nodeServer.listen(0, loopback)
    await once(nodeServer, 'listening')
    onTestFinished(() => void nodeServer.close())
    sink.port = (nodeServer.address() as AddressInfo).port
    return sink
  }
}

interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly output: string
  readonly errors: string
}

async function run(program: string, ...args: string[]): Promise<Ended> {
  const source = `import { connect, listen } from '@sheaf/tcp'\nconst port = Number(process.argv[1])\n${program}`
  const child = spawn(process.execPath, ['--input-type=module', '-e', source, ...args], { stdio: 'pipe' })
  let output = ''
  let errors = ''
  child.stdout.on('data', (chunk: Buffer) => { output += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => { errors += chunk.toString() })
  const [code, signal] = await once(child, 'close') as [number | null, string | null]
  return { code, signal, output, errors }
}

describe('a process that ends', () => {
  it('by process.exit right after write loses nothing of it', async () => {
    const sink = await Sink.open()
    const ended = await run(`
      const connection = await connect({ port, host: '127.0.0.1' }, {})
      connection.write('x'.repeat(10_000))
      process.exit(7)
    `, String(sink.port))
    expect(ended).toMatchObject({ code: 7, signal: null, errors: '' })
    await until(() => sink.closed === 1, 'the close')
    expect(sink.bytes).toBe(10_000)
  })

  it('by process.exit loses nothing that a listener of `exit` writes after what is in flight', async () => {
    const sink = await Sink.open()
    const ended = await run(`
      const connection = await connect({ port, host: '127.0.0.1' }, {})
      process.on('exit', () => {
        for (let index = 0; index < 100; index++) connection.write('x'.repeat(1000))
      })
      connection.write('x'.repeat(10_000))
      connection.flush()
      process.exit(7)
    `, String(sink.port))
    expect(ended).toMatchObject({ code: 7, signal: null, errors: '' })
    await until(() => sink.closed === 1, 'the close')
    expect(sink.bytes).toBe(110_000)
  })

  it('by process.exit in the handler of data, with sends in flight to a peer that does not read', async () => {
    const sink = await Sink.open((socket) => {
      socket.pause()
      socket.write('go')
    })
    const ended = await run(`
      for (let i = 0; i < 20; i++) {
        connect({ port, host: '127.0.0.1' }, {
          open(t) { t.write(Buffer.alloc(50_000_000)) },
          data() { setTimeout(() => process.exit(3), 20) },
        })
      }
    `, String(sink.port))
    expect(ended).toMatchObject({ code: 3, signal: null, errors: '' })
    expect(sink.sockets).toBe(20)
  })

  it.each(['open', 'data', 'end', 'drain', 'callback'])('by an uncaught exception in %s', async (moment) => {
    const sink = await Sink.open((socket) => {
      socket.write('x')
      if (moment === 'end') socket.end()
    })
    const ended = await run(`
      const fail = (at) => { if (at === '${moment}') throw new Error('thrown in ' + at) }
      connect({ port, host: '127.0.0.1' }, {
        open(t) { fail('open'); t.write(Buffer.alloc(1_000_000), () => fail('callback')) },
        data: () => fail('data'),
        end: () => fail('end'),
        drain: () => fail('drain'),
      })
    `, String(sink.port))
    expect(ended.code).toBe(1)
    expect(ended.signal).toBeNull()
    expect(ended.errors).toContain(`Error: thrown in ${moment}`)
  })

  it('by itself, when nothing that is ref\'d is open', async () => {
    const sink = await Sink.open()
    const ended = await run(`
      const listener = await listen({ port: 0, host: '127.0.0.1' }, {})
      listener.unref()
      const connection = await connect({ port, host: '127.0.0.1' }, {})
      connection.unref()
      connection.ref()
      setTimeout(() => { connection.unref(); console.log('unref') }, 50)
    `, String(sink.port))
    expect(ended).toMatchObject({ code: 0, output: 'unref\n', errors: '' })
  })

  it('not by itself, while a connection is open', async () => {
    const sink = await Sink.open((socket) => {
      setTimeout(() => socket.end('later'), 100)
    })
    const ended = await run(`
      connect({ port, host: '127.0.0.1' }, { data: (t, chunk) => console.log(String(chunk)) })
    `, String(sink.port))
    expect(ended).toMatchObject({ code: 0, output: 'later\n', errors: '' })
  })
})

describe('a worker', () => {
  const program = `
    const { parentPort, workerData } = require('node:worker_threads')
    const { connect, listen } = require('@sheaf/tcp')
    const large = Buffer.alloc(1_000_000)
    const pump = (t) => { while (t.write(large)); }
    listen({ port: 0, host: '127.0.0.1' }, { data: (t, chunk) => void t.write(chunk) }).then((server) => {
      let open = 0
      for (let i = 0; i < 10; i++) {
        const port = i % 2 === 0 ? server.address.port : workerData
        connect({ port, host: '127.0.0.1' }, {
          open(t) { if (i % 3 === 0) t.pause(); pump(t); if (++open === 10) parentPort.postMessage('busy') },
          drain: pump,
        })
      }
    })
    parentPort.on('message', () => process.exit())
  `

  async function worker(port: number, end: (worker: Worker) => unknown): Promise<void> {
    const thread = new Worker(program, { eval: true, workerData: port, execArgv: [] })
    await once(thread, 'message')
    const exited = once(thread, 'exit')
    await end(thread)
    await exited
  }

  it('terminated with traffic in flight leaves no descriptor, and the process goes on', async () => {
    const sink = await Sink.open((socket) => socket.pause())
    await worker(sink.port, (thread) => thread.terminate())
    await sink.destroyAll()
    const before = openDescriptors()
    for (let round = 0; round < 20; round++) {
      await worker(sink.port, (thread) => round % 2 === 0 ? thread.terminate() : thread.postMessage('exit'))
    }
    await sink.destroyAll()
    expect(openDescriptors()).toBe(before)
    const ring = testRing()
    const listener = await server(ring, echo)
    const received = new Received()
    const connection = await client(ring, listener, received)
    connection.write('alive')
    connection.end()
    await received.closed
    expect(received.text).toBe('alive')
  })

  it('has a ring of its own, beside that of the main thread', async () => {
    const thread = new Worker(`
      const { parentPort } = require('node:worker_threads')
      const { listen } = require('@sheaf/tcp')
      listen({ port: 0, host: '127.0.0.1' }, { data: (t, chunk) => void t.write(chunk) })
        .then((server) => parentPort.postMessage(server.address.port))
    `, { eval: true, execArgv: [] })
    const [port] = await once(thread, 'message') as [number]
    const ring = testRing()
    const sent = pattern(1_000_000, 1)
    const received = new Received()
    const connection = await client(ring, { address: { address: loopback, port } } as never, received)
    connection.write(sent)
    connection.end()
    await received.closed
    expect(Buffer.concat(received.chunks).equals(sent)).toBe(true)
    await thread.terminate()
  })
})

describe('a ring that is closed', () => {
  it('with everything in flight gives back its descriptors', async () => {
    const before = openDescriptors()
    const program = `
      import { createRing } from '@sheaf/tcp'
      import { readdirSync } from 'node:fs'
      const count = () => readdirSync('/proc/self/fd').length
      createRing().close()
      const before = count()
      for (let round = 0; round < 50; round++) {
        const ring = createRing()
        let closes = 0
        const handler = {
          open: (t) => { if (round % 2) t.pause(); t.write(Buffer.alloc(3_000_000)) },
          close: () => closes++,
        }
        const server = await listen({ port: 0, host: '127.0.0.1', ring }, handler)
        const connections = await Promise.all(Array.from({ length: 10 }, () =>
          connect({ port: server.address.port, host: '127.0.0.1', ring }, handler)))
        if (round % 3 === 0) connections[0].destroy()
        if (round % 3 === 1) await new Promise((resolve) => setImmediate(resolve))
        ring.close()
        await server.close()
        if (closes < 10) throw new Error('only ' + closes + ' were told')
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
      console.log(count() - before)
    `
    const ended = await run(program)
    expect(ended).toMatchObject({ code: 0, errors: '', output: '0\n' })
    expect(openDescriptors()).toBe(before)
  })

  // An end would have the peer take a part for the whole.
  it('resets what it has not sent all of, and ends what it has', async () => {
    const origin = await server(testRing(), { open: (connection) => void connection.write(pattern(20_000_000, 2)) })
    const ring = testRing()
    let idle: TcpConnection | undefined
    const begun: Record<string, (connection: TcpConnection) => void> = {
      writes: (connection) => void connection.write(pattern(20_000_000, 1)),
      forwards: (connection) => void client(ring, origin, {}).then((source) => source.forward(connection)),
      idle: (connection) => {
        connection.write('all of it')
        idle = connection
      },
    }
    const names = Object.keys(begun)
    const listener = await server(ring, { data: (connection, chunk) => begun[String(chunk)](connection) })
    const peers = testRing()
    let waiting = 0
    const told = Promise.all(names.map(async (name): Promise<[string, string]> => {
      const received = new Received()
      const peer = await client(peers, listener, received)
      peer.write(name)
      await until(() => received.bytes !== 0, 'the first of it')
      peer.pause()
      if (++waiting === names.length) {
        await until(() => idle?.bytesQueued === 0, 'all of it to be sent')
        ring.close()
      }
      await until(() => ring.closed, 'the ring to close')
      peer.resume()
      await received.closed
      return [name, (received.error as NodeJS.ErrnoException | undefined)?.code ?? 'end']
    }))
    expect(Object.fromEntries(await told)).toEqual({ writes: 'ECONNRESET', forwards: 'ECONNRESET', idle: 'end' })
  })

  it('in the middle of a handler stops at once', async () => {
    const ended = await run(`
      import { createRing } from '@sheaf/tcp'
      const ring = createRing()
      let after = 0
      const server = await listen({ port: 0, host: '127.0.0.1', ring }, {
        data() { if (ring.closed) after++; ring.close() },
      })
      for (let i = 0; i < 20; i++) {
        connect({ port: server.address.port, host: '127.0.0.1', ring }, { open: (t) => t.write('x') }).catch(() => {})
      }
      process.on('exit', () => console.log('after', after))
    `)
    expect(ended).toMatchObject({ code: 0, errors: '', output: 'after 0\n' })
  })
})

describe.each([
  ['process.exit()', 'process.exit()'],
  ['an exception', 'setImmediate(() => { throw new Error(\'thrown\') })'],
])('a process that ends by %s', (_, end) => {
  it('leaves its port at once to who waits for that', async () => {
    const { output } = await run(`
      const listener = await listen({ host: '127.0.0.1', port: 0 }, {})
      const opened = Array.from({ length: 5 }, () => connect({ host: '127.0.0.1', port: listener.address.port }, {}))
      await Promise.all(opened)
      process.stdout.write(String(listener.address.port))
      ${end}
    `)
    const next = createServer().listen(Number(output), loopback)
    await once(next, 'listening')
    next.close()
  })
})
