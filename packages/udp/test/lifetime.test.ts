import { once } from 'node:events'
import { createSocket } from 'node:dgram'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { openDescriptors, ownedDescriptors } from '@sheaf/ring/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createRing, type UdpSocket } from '../src/index'
import { addressOf, bound, connected, loopback, Received, testRing, until, untilIdle } from './support'
import { run } from './program'

/** A socket of `node:dgram` that counts what arrives. */
async function sink(): Promise<{ port: number, texts: string[] }> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 212_992 }).bind(0, loopback)
  await once(socket, 'listening')
  const texts: string[] = []
  socket.on('message', (chunk) => texts.push(String(chunk)))
  onTestFinished(() => void socket.close())
  return { port: socket.address().port, texts }
}

/** Ends a socket at one moment or another; what it does goes through all of them by number. */
const moments: [string, (socket: UdpSocket, peer: UdpSocket) => unknown][] = [
  ['at once', (socket) => socket.close()],
  ['with datagrams queued', (socket, peer) => {
    socket.sendMany(['a', 'bb', 'ccc'], addressOf(peer))
    socket.destroy()
  }],
  ['with datagrams submitted', (socket, peer) => {
    socket.sendMany(['a', 'bb', 'ccc', Buffer.alloc(60_000)], addressOf(peer))
    socket.flush()
    socket.destroy()
  }],
  ['paused', (socket, peer) => {
    socket.pause()
    peer.sendMany(['a', 'b'], addressOf(socket))
    setImmediate(() => socket.close())
  }],
  ['while datagrams arrive', (socket, peer) => {
    socket.handler = { message: (each) => each.destroy() }
    for (let index = 0; index < 100; index++) peer.send(Buffer.alloc(index * 10), addressOf(socket))
    setTimeout(() => socket.destroy(), 2)
  }],
  ['in a batch', (socket, peer) => {
    socket.handler = { messages: (each) => each.close() }
    peer.sendMany(['a', 'b'], addressOf(socket))
    setTimeout(() => socket.close(), 2)
  }],
  ['in a callback', (socket, peer) => {
    for (let index = 0; index < 10; index++) socket.send('x', addressOf(peer), () => socket.destroy())
  }],
]

/** What JavaScript holds. The resident set says less: it depends on when garbage was collected. */
async function memoryBytes(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    globalThis.gc?.()
    await sleep(10)
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

it(`${moments.length * 3000} sockets closed at every moment leave everything where it was`, async () => {
  const ring = testRing()
  const peer = await bound(ring)
  const one = async (index: number): Promise<void> => {
    await new Promise<void>((resolve, reject) => {
      bound(ring).then((socket) => {
        moments[index % moments.length][1](socket, peer)
        const { onClosed } = socket
        socket.onClosed = () => {
          onClosed?.()
          resolve()
        }
      }, reject)
    })
  }
  const round = async (count: number): Promise<void> => {
    let left = count
    await Promise.all(Array.from({ length: 20 }, async () => {
      while (left-- > 0) await one(left)
    }))
    await untilIdle(ring, 1)
  }
  await round(moments.length * 2000)
  const before = {
    descriptors: openDescriptors(),
    owned: ownedDescriptors().length,
    usage: ring.usage,
    memoryBytes: await memoryBytes(),
  }
  await round(moments.length * 3000)
  expect(openDescriptors()).toBe(before.descriptors)
  expect(ownedDescriptors()).toHaveLength(before.owned)
  expect(ring.usage).toEqual(before.usage)
  expect(ring.metrics.staleCompletions).toBe(0)
  // Under 200 bytes a socket would already be 4 MB.
  expect(await memoryBytes() - before.memoryBytes).toBeLessThan(4 * 1024 * 1024)
}, 120_000)

describe('closing', () => {
  it('sends what is queued, calls back, and tells the handler once', async () => {
    const ring = testRing()
    const received = new Received()
    const target = await bound(ring, received)
    const ended = new Received()
    const socket = await bound(ring, ended)
    const outcomes: unknown[] = []
    for (const text of ['a', 'bb', 'c']) socket.send(text, addressOf(target), (error) => outcomes.push(error))
    socket.close()
    socket.close()
    expect(socket.send('late', addressOf(target), (error) => outcomes.push(error))).toBe(false)
    await received.arrived(3)
    await until(() => ended.closes === 1, 'the close')
    expect(received.texts).toEqual(['a', 'bb', 'c'])
    expect(outcomes.filter((error) => error === undefined)).toHaveLength(3)
    expect(outcomes.filter((error) => error !== undefined)).toEqual([expect.objectContaining({
      code: 'ERR_SHEAF_CLOSED',
    })])
    expect(socket.state).toBe('closed')
    socket.destroy()
    expect(ended.closes).toBe(1)
    expect(() => socket.setTimeToLive(3)).toThrow(expect.objectContaining({ code: 'ERR_SHEAF_CLOSED' }))
    await untilIdle(ring, 1)
  })

  it('destroy drops what is queued, and every callback is told why', async () => {
    const ring = testRing()
    const target = await bound(ring)
    const ended = new Received()
    const socket = await bound(ring, ended)
    const outcomes: unknown[] = []
    for (let index = 0; index < 5; index++) {
      socket.send(Buffer.alloc(10 + index), addressOf(target), (error) => outcomes.push(error))
    }
    const reason = new Error('enough')
    socket.destroy(reason)
    await until(() => ended.closes === 1, 'the close')
    expect(outcomes).toEqual(Array.from({ length: 5 }, () => reason))
    expect(ended.closeError).toBe(reason)
    await untilIdle(ring, 1)
  })

  it('the ring closes its sockets, in flight or not', async () => {
    const before = openDescriptors()
    for (let index = 0; index < 20; index++) {
      const ring = createRing()
      const [first, second] = [new Received(), new Received()]
      const target = await bound(ring, first)
      const socket = await connected(ring, target, second)
      const outcomes: unknown[] = []
      for (let size = 0; size < 30; size++) socket.send(Buffer.alloc(size), (error) => outcomes.push(error))
      if (index % 2 === 0) socket.flush()
      if (index % 3 === 0) await sleep(0)
      ring.close()
      expect([first.closes, second.closes, outcomes.length]).toEqual([1, 1, 30])
      expect((second.closeError as NodeJS.ErrnoException).code).toBe('ERR_SHEAF_RING_CLOSED')
    }
    await until(() => openDescriptors() === before, 'all descriptors to be closed')
  })
})

describe('a process that ends', () => {
  it('by process.exit right after send loses nothing', async () => {
    const { port, texts } = await sink()
    const ended = await run(`
      const socket = await connect({ host: '127.0.0.1', port }, {})
      for (let index = 0; index < 20; index++) socket.send('datagram ' + index)
      process.exit(7)
    `, port)
    expect(ended).toMatchObject({ code: 7, signal: null, errors: '' })
    await until(() => texts.length === 20, 'all datagrams')
  })

  it('by process.exit loses nothing that a listener of `exit` sends after what is queued', async () => {
    const { port, texts } = await sink()
    const ended = await run(`
      const socket = await connect({ host: '127.0.0.1', port }, {})
      const send = (count) => { for (let index = 0; index < count; index++) socket.send('datagram') }
      process.on('exit', () => send(10))
      send(200)
      process.exit(7)
    `, port)
    expect(ended).toMatchObject({ code: 7, signal: null, errors: '' })
    await until(() => texts.length === 210, 'all datagrams')
  })

  it('by an uncaught exception in message', async () => {
    const ended = await run(`
      const socket = await bind({ host: '127.0.0.1' }, { message() { throw new Error('thrown in message') } })
      socket.sendMany(['a', 'b'], socket.localAddress)
    `)
    expect(ended.code).toBe(1)
    expect(ended.errors).toContain('Error: thrown in message')
  })

  it('by itself when its sockets are closed or unref\'d, and not before', async () => {
    const ended = await run(`
      const first = await bind({ host: '127.0.0.1' }, {})
      first.unref()
      const second = await bind({ host: '127.0.0.1' }, { close() { console.log('closed') } })
      setTimeout(() => second.close(), 50).unref()
    `)
    expect(ended).toMatchObject({ code: 0, output: 'closed\n', errors: '' })
  })
})

it('a worker terminated with traffic in flight leaves no descriptor', async () => {
  const program = `
    const { parentPort } = require('node:worker_threads')
    const { bind } = require('@sheaf/udp')
    bind({ host: '127.0.0.1' }, { messages(t, batch) {
      for (let index = 0; index < batch.count; index++) t.send(batch.view(index), batch.from(index))
    } }).then(async (echo) => {
      const client = await bind({ host: '127.0.0.1' }, { message(t, chunk, from) { t.send(chunk, from) } })
      for (let index = 0; index < 30; index++) client.send(Buffer.alloc(index * 50), echo.localAddress)
      parentPort.postMessage('busy')
    })
  `
  const one = async (): Promise<void> => {
    const thread = new Worker(program, { eval: true, execArgv: [] })
    await once(thread, 'message')
    const exited = once(thread, 'exit')
    await thread.terminate()
    await exited
  }
  await one()
  const before = openDescriptors()
  for (let round = 0; round < 10; round++) await one()
  expect(openDescriptors()).toBe(before)
})
