import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { parseProxyOptions } from '../src/proxy/options'
import { Proxy } from '../src/proxy/proxy'
import { connectTo, peerGone, randomSize, receiveAll, seededRandom, sendRandomly, Target } from './traffic'

const errors: Error[] = []

afterEach(() => {
  errors.length = 0
})

async function openPair(...flags: string[]): Promise<{ target: Target, proxy: Proxy }> {
  const target = await Target.open()
  const options = parseProxyOptions(['--listen', '127.0.0.1:0', '--to', `127.0.0.1:${target.port}`, ...flags])
  const proxy = await Proxy.open(options, (error) => errors.push(error))
  onTestFinished(async () => {
    target.close()
    await proxy.close()
  })
  return { target, proxy }
}

/** Both sides send at once, in pieces from a byte to `chunkBytesMax`; both must get what the other sent. */
async function exchange(client: Socket, server: Socket, seed: number, bytesMax: number, chunkBytesMax: number) {
  const random = seededRandom(seed)
  const [up, down, atServer, atClient] = await Promise.all([
    sendRandomly(client, random, randomSize(random, bytesMax), chunkBytesMax),
    sendRandomly(server, random, randomSize(random, bytesMax), chunkBytesMax),
    receiveAll(server),
    receiveAll(client),
  ])
  expect(atServer.hash, `up, seed ${seed}`).toBe(up)
  expect(atClient.hash, `down, seed ${seed}`).toBe(down)
}

const methods: Readonly<Record<string, readonly string[]>> = {
  'bundles': ['--bundle', 'both'],
  'bundled receive': ['--bundle', 'recv'],
  'bundled send': ['--bundle', 'send'],
  'no bundles': ['--bundle', 'off'],
  'bundled receive, sendmsg': ['--bundle', 'recv', '--send', 'sendmsg'],
  'recvmsg, bundled send': ['--bundle', 'send', '--recv', 'recvmsg'],
}

describe.each(Object.entries(methods))('with %s', (_name, flags) => {
  it('both directions keep every byte in order, in any pieces', async () => {
    const { target, proxy } = await openPair('--bidirectional', '--buffer', '1000', '--buffers', '64', ...flags)
    for (let index = 0; index < 12; index++) {
      const client = await connectTo(proxy.port)
      await exchange(client, await target.accepted(index), 100 + index, 2 ** 20, 2 ** 18)
    }
    expect(errors).toEqual([])
  })

  it('a hundred connections at once share a pool of 32 small buffers', async () => {
    const { target, proxy } = await openPair('--bidirectional', '--buffer', '200', '--buffers', '32', ...flags)
    await Promise.all(Array.from({ length: 100 }, async (_value, index) => {
      const client = await connectTo(proxy.port)
      // The order of acceptance is the target's own: the first bytes say who it is.
      client.write(Buffer.of(index))
      return client
    }).map(async (connecting, index) => {
      const client = await connecting
      const server = await identified(target, index)
      await exchange(client, server, 1000 + index, 2 ** 16, 2 ** 14)
    }))
    expect(proxy.ring.metrics.poolExhausted).toBeGreaterThan(0)
    expect(proxy.ring.usage.receiveBuffersHeld).toBe(0)
    expect(errors).toEqual([])
  })

  it('what is half closed on one side is half closed on the other, and still carries the answer', async () => {
    const { target, proxy } = await openPair('--bidirectional', ...flags)
    const client = await connectTo(proxy.port)
    const server = await target.accepted(0)
    client.end('question')
    const question = await receiveAll(server)
    expect(question.bytes).toBe('question'.length)
    expect(client.readableEnded).toBe(false)
    const [sent, answer] = await Promise.all([sendRandomly(server, seededRandom(1), 300_000, 5000), receiveAll(client)])
    expect(answer.hash).toBe(sent)
  })

  it('the target may end first', async () => {
    const { target, proxy } = await openPair('--bidirectional', ...flags)
    const client = await connectTo(proxy.port)
    const server = await target.accepted(0)
    server.end('welcome')
    expect((await receiveAll(client)).bytes).toBe('welcome'.length)
    const sending = sendRandomly(client, seededRandom(2), 300_000, 5000)
    const [sent, arrived] = await Promise.all([sending, receiveAll(server)])
    expect(arrived.hash).toBe(sent)
  })
})

/** The target's socket whose first byte is `name`; the byte is taken away. */
async function identified(target: Target, name: number): Promise<Socket> {
  for (let index = 0; ; index++) {
    const socket = await target.accepted(index)
    names.set(socket, names.get(socket) ?? firstByte(socket))
    if (await names.get(socket) === name) return socket
  }
}

const names = new WeakMap<Socket, Promise<number>>()

async function firstByte(socket: Socket): Promise<number> {
  await once(socket, 'readable')
  return (socket.read(1) as Buffer)[0]
}

/** Waits until the proxy takes no more. */
async function stalled(proxy: Proxy): Promise<void> {
  for (let before = -1; before !== proxy.ring.metrics.bytesRead;) {
    before = proxy.ring.metrics.bytesRead
    await sleep(100)
  }
}

describe('the metrics show what small pools and large streams do', () => {
  it('8 MB in 32-byte buffers: bundles over 256 buffers, wraps of the ring, parked receives', async () => {
    const { target, proxy } = await openPair('--buffer', '32', '--buffers', '4096')
    const client = await connectTo(proxy.port)
    const server = await target.accepted(0)
    const [sent, arrived] = await Promise.all([
      sendRandomly(client, seededRandom(3), 8 * 2 ** 20, 8 * 2 ** 20),
      receiveAll(server).finally(() => server.end()),
    ])
    expect(arrived.hash).toBe(sent)
    const { metrics } = proxy.ring
    expect(metrics.bytesRead).toBe(8 * 2 ** 20)
    expect(metrics.receiveBundles.slice(8).reduce((sum, count) => sum + count)).toBeGreaterThan(0)
    expect(metrics.poolPositions).toBeGreaterThan(4096 * 8)
    expect(metrics.poolExhausted).toBeGreaterThan(0)
  })

  it('a target that reads slowly holds the client back, and gets everything', async () => {
    const { target, proxy } = await openPair('--buffers', '16')
    const client = await connectTo(proxy.port)
    const server = await target.accepted(0)
    const sending = sendRandomly(client, seededRandom(4), 32 * 2 ** 20, 2 ** 20)
    await stalled(proxy)
    expect(proxy.ring.metrics.bytesRead).toBeLessThan(32 * 2 ** 20)
    const [sent, arrived] = await Promise.all([sending, receiveAll(server).finally(() => server.end())])
    expect(arrived.hash).toBe(sent)
  })
})

describe('connections do not disturb one another', () => {
  it('targets that never read leave buffers to the others', async () => {
    const { target, proxy } = await openPair('--bidirectional', '--buffer', '1024', '--buffers', '64')
    const clients: Socket[] = []
    for (let index = 0; index < 4; index++) {
      const client = await connectTo(proxy.port)
      clients.push(client)
      ;(await target.accepted(index)).pause()
      void sendRandomly(client, seededRandom(index), 64 * 2 ** 20, 2 ** 20).catch(() => undefined)
    }
    await stalled(proxy)
    const client = await connectTo(proxy.port)
    await exchange(client, await target.accepted(4), 5, 2 ** 20, 2 ** 16)
    for (const socket of clients) socket.destroy()
  })

  it('a client that resets takes its own target connection with it, and no other', async () => {
    const { target, proxy } = await openPair('--bidirectional')
    const client = await connectTo(proxy.port)
    const other = await connectTo(proxy.port)
    const [server, otherServer] = [await target.accepted(0), await target.accepted(1)]
    server.resume()
    client.write('so far')
    await once(server, 'data')
    client.resetAndDestroy()
    await peerGone(server)
    await exchange(other, otherServer, 6, 2 ** 16, 2 ** 12)
    expect(errors.map(({ message }) => message)).toEqual(['read ECONNRESET'])
  })

  it('a target that resets takes the client with it', async () => {
    const { target, proxy } = await openPair('--bidirectional')
    const client = await connectTo(proxy.port)
    client.resume()
    ;(await target.accepted(0)).resetAndDestroy()
    await peerGone(client)
    client.end()
    await expect.poll(() => proxy.connections).toBe(0)
  })

  it('a target that is not there costs the client its connection, and the proxy a word', async () => {
    const { target, proxy } = await openPair()
    target.close()
    const client = connect({ host: '127.0.0.1', port: proxy.port })
    client.on('error', () => undefined)
    await peerGone(client)
    expect(errors.map((error) => (error as NodeJS.ErrnoException).code)).toEqual(['ECONNREFUSED'])
    await expect.poll(() => proxy.connections).toBe(0)
  })
})

describe('one way', () => {
  it('what the target says is dropped, and its end does not end the stream', async () => {
    const { target, proxy } = await openPair()
    const client = await connectTo(proxy.port)
    const server = await target.accepted(0)
    server.end(Buffer.alloc(1_000_000))
    const backwards = receiveAll(client)
    const sending = sendRandomly(client, seededRandom(7), 500_000, 5000)
    const [sent, arrived] = await Promise.all([sending, receiveAll(server)])
    expect(arrived.hash).toBe(sent)
    expect((await backwards).bytes).toBe(0)
  })
})

describe('closing', () => {
  it('drops connections, frees the port, and leaves nothing in the ring', async () => {
    const { target, proxy } = await openPair('--bidirectional')
    const clients = await Promise.all(Array.from({ length: 8 }, () => connectTo(proxy.port)))
    await target.accepted(7)
    const { port } = proxy
    for (const client of clients) client.resume()
    const dropped = Promise.all(clients.map((client) => peerGone(client)))
    await proxy.close()
    await dropped
    expect(proxy.ring.usage).toMatchObject({ operationSlots: 0, receiveBuffersHeld: 0, members: 0, groups: 0 })
    const late = connect({ host: '127.0.0.1', port })
    const [error] = await once(late, 'error') as [NodeJS.ErrnoException]
    expect(error.code).toBe('ECONNREFUSED')
  })
})
