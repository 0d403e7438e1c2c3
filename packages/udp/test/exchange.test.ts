import { AsyncLocalStorage } from 'node:async_hooks'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import fc from 'fast-check'
import { takeSendMemory } from '@sheaf/ring/testing'
import { describe, expect, expectTypeOf, it } from 'vitest'
import {
  bind, type BorrowedChunk, type InternetAddress, type MessageBatch, type UdpHandler, type UdpSocket,
} from '../src/index'
import { addressOf, bound, connected, loopback, pattern, portOf, Received, testRing, until, untilIdle } from './support'

/** Sizes of datagrams as programs have them, and the odd ones. */
const size = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(0, 1, 32, 100, 1200) },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 2000 }) },
  { weight: 1, arbitrary: fc.constantFrom(9000, 16_383, 16_384, 16_385, 40_000, 65_507) },
)

/** A burst that fits the receive buffers of the sockets, as the kernel counts (a datagram is more than its bytes). */
const burst = fc
  .array(fc.record({ size, to: fc.nat(2), repeat: fc.integer({ min: 1, max: 40 }) }), { minLength: 1, maxLength: 12 })
  .map((runs) => {
    const datagrams: { size: number, to: number }[] = []
    let cost = 0
    for (const { size, to, repeat } of runs) {
      for (let index = 0; index < repeat; index++) {
        cost += size * 2 + 1500
        if (cost > 300_000) return datagrams
        datagrams.push({ size, to })
      }
    }
    return datagrams
  })
  .filter((datagrams) => datagrams.length !== 0)

interface Exchange {
  readonly sender: UdpSocket
  readonly receivers: { socket: UdpSocket, received: Received }[]
}

async function checkBursts(exchange: (burst: { size: number, to: number }[]) => Promise<Exchange>): Promise<void> {
  await fc.assert(fc.asyncProperty(fc.array(burst, { minLength: 1, maxLength: 3 }), async (bursts) => {
    let seed = 0
    const all = await exchange(bursts.flat())
    const expected: Buffer[][] = all.receivers.map(() => [])
    for (const [index, { received }] of all.receivers.entries()) {
      received.chunks.length = 0
      expected[index] = []
    }
    for (const datagrams of bursts) {
      for (const { size, to } of datagrams) {
        const at = to % all.receivers.length
        const chunk = pattern(size, seed++)
        expected[at].push(chunk)
        const sent = Buffer.from(chunk)
        if (all.sender.remoteAddress === undefined) all.sender.send(sent, addressOf(all.receivers[at].socket))
        else all.sender.send(sent)
        // It is the caller's again as soon as `send` has returned.
        sent.fill(0)
      }
      for (const [index, { received }] of all.receivers.entries()) await received.arrived(expected[index].length)
    }
    for (const [index, { received }] of all.receivers.entries()) {
      expect(received.chunks.map((chunk) => chunk.byteLength)).toEqual(expected[index].map((chunk) => chunk.byteLength))
      expect(received.chunks.every((chunk, at) => chunk.equals(expected[index][at]))).toBe(true)
    }
  }), { numRuns: 60 })
}

describe('boundaries are kept, and the order of each destination', () => {
  for (const coalesce of [true, false]) {
    it(`from an unconnected socket to three, ${coalesce ? 'coalesced' : 'one by one'}`, async () => {
      const ring = testRing()
      const sender = await bound(ring)
      const receivers = await Promise.all([0, 1, 2].map(async () => {
        const received = new Received()
        return { received, socket: await bound(ring, received, { coalesce }) }
      }))
      await checkBursts(() => Promise.resolve({ sender, receivers }))
      if (coalesce) expect(ring.metrics.receiveBundles[5]).toBeGreaterThan(0)
      expect(ring.metrics.sendBundles[5]).toBeGreaterThan(0)
      await untilIdle(ring, 4)
    }, 60_000)
  }

  it('from a connected socket', async () => {
    const ring = testRing()
    const received = new Received()
    const socket = await bound(ring, received)
    const sender = await connected(ring, socket)
    await checkBursts(() => Promise.resolve({ sender, receivers: [{ socket, received }] }))
    await untilIdle(ring, 2)
  }, 60_000)

  it('when the submission queue is smaller than a chain', async () => {
    const ring = testRing({ submissionEntries: 4 })
    const received = new Received()
    const socket = await bound(ring, received)
    const sender = await connected(ring, socket)
    await checkBursts(() => Promise.resolve({ sender, receivers: [{ socket, received }] }))
    expect(ring.metrics.submissionQueueFull).toBeGreaterThan(0)
  }, 60_000)

  it('when the send buffer is full most of the time', async () => {
    const ring = testRing()
    const received = new Received()
    const socket = await bound(ring, received)
    const sender = await connected(ring, socket, {}, { sendBufferBytes: 5000 })
    const sizes = Array.from({ length: 60 }, (_, index) => 700 + (index * 37) % 900)
    for (const [seed, sizeBytes] of sizes.entries()) sender.send(pattern(sizeBytes, seed))
    await received.arrived(sizes.length)
    expect(received.chunks.every((chunk, seed) => chunk.equals(pattern(sizes[seed], seed)))).toBe(true)
  })
})

describe('segmentation bundles', () => {
  it('take 64 datagrams of one size, and a shorter last one', async () => {
    const ring = testRing()
    const received = new Received()
    const sender = await connected(ring, await bound(ring, received))
    for (let index = 0; index < 64; index++) sender.send(pattern(32, index))
    for (let index = 64; index < 74; index++) sender.send(pattern(index === 73 ? 31 : 32, index))
    await received.arrived(74)
    expect(ring.metrics.sends).toBe(2)
    expect(ring.metrics.messagesWritten).toBe(74)
    expect(received.chunks.every((chunk, index) => chunk.equals(pattern(index === 73 ? 31 : 32, index)))).toBe(true)
  })

  it('gather what is sent to several destinations in turn', async () => {
    const ring = testRing()
    const received = [new Received(), new Received()]
    const sockets = await Promise.all(received.map((each) => bound(ring, each)))
    const sender = await bound(ring)
    for (let index = 0; index < 20; index++) sender.send(`${index}`.padStart(8), addressOf(sockets[index % 2]))
    await Promise.all(received.map((each) => each.arrived(10)))
    expect(ring.metrics.sends).toBe(2)
    expect(received[1].texts.map(Number)).toEqual([1, 3, 5, 7, 9, 11, 13, 15, 17, 19])
  })

  it('stay below the largest payload of a datagram', async () => {
    const ring = testRing()
    const received = new Received()
    const sender = await connected(ring, await bound(ring, received))
    for (let index = 0; index < 55; index++) sender.send(pattern(1200, index))
    await received.arrived(55)
    expect(ring.metrics.sends).toBe(2)
    expect(received.chunks.every((chunk, index) => chunk.equals(pattern(1200, index)))).toBe(true)
  })

  it('that the kernel refuses are sent one by one from then on, and capabilities say so', async () => {
    const ring = testRing()
    const received = new Received()
    const sender = await connected(ring, await bound(ring, received))
    // SO_NO_CHECK: a socket that sends no checksums can't segment (EINVAL).
    expect(ring.sockets.setsockopt(sender.fd, 1, 11, new Uint8Array(Int32Array.of(1).buffer))).toBe(0)
    const outcomes: unknown[] = []
    for (let index = 0; index < 20; index++) sender.send(pattern(32, index), (error) => outcomes.push(error))
    await received.arrived(20)
    expect(received.chunks.every((chunk, index) => chunk.equals(pattern(32, index)))).toBe(true)
    expect(outcomes).toEqual(Array.from({ length: 20 }, () => undefined))
    expect(ring.metrics.segmentationRefusals).toBe(1)
    expect(ring.capabilities.segmentedSend).toEqual({
      supported: false, enabled: false, reason: 'the kernel refused to segment 32-byte datagrams (EINVAL)',
    })
    for (let index = 20; index < 40; index++) sender.send(pattern(32, index))
    await received.arrived(40)
    expect(ring.metrics.segmentationRefusals).toBe(1)
    expect(received.chunks.every((chunk, index) => chunk.equals(pattern(32, index)))).toBe(true)
    await untilIdle(ring, 2)
  })

  it('refused for their size only concern their destination', async () => {
    const ring = testRing()
    const received = [new Received(), new Received()]
    const sockets = await Promise.all(received.map((each) => bound(ring, each)))
    const sender = await bound(ring)
    ring.sockets.setsockopt(sender.fd, 1, 11, new Uint8Array(Int32Array.of(1).buffer))
    for (let index = 0; index < 10; index++) sender.send(pattern(3000, index), addressOf(sockets[0]))
    await received[0].arrived(10)
    expect(received[0].chunks.every((chunk, index) => chunk.equals(pattern(3000, index)))).toBe(true)
    expect(ring.capabilities.segmentedSend.enabled).toBe(true)
    ring.sockets.setsockopt(sender.fd, 1, 11, new Uint8Array(Int32Array.of(0).buffer))
    const before = ring.metrics.sends
    for (let index = 0; index < 10; index++) sender.send(pattern(3000, index), addressOf(sockets[1]))
    for (let index = 10; index < 15; index++) sender.send(pattern(3000, index), addressOf(sockets[0]))
    await Promise.all([received[0].arrived(15), received[1].arrived(10)])
    expect(ring.metrics.sends - before).toBe(6)
    expect(ring.metrics.segmentationRefusals).toBe(1)
  })
})

describe('with node:dgram', () => {
  for (const [type, host] of [['udp4', loopback], ['udp6', '::1']] as const) {
    it(`${type}, both ways`, async () => {
      const ring = testRing()
      const theirs = createSocket(type)
      theirs.bind(0, host)
      await once(theirs, 'listening')
      const received = new Received()
      const ours = await bound(ring, received, { host })
      const to = { address: host, port: theirs.address().port }
      const arrived: string[] = []
      theirs.on('message', (chunk, from) => {
        arrived.push(String(chunk))
        theirs.send(chunk, from.port, from.address)
      })
      ours.sendMany(['one', 'two', 'six', 'x'], to)
      await received.arrived(4)
      expect(arrived).toEqual(['one', 'two', 'six', 'x'])
      expect(received.texts).toEqual(arrived)
      expect(received.senders[0]).toEqual({ ...to, family: type === 'udp4' ? 'IPv4' : 'IPv6' })
      expect(received.senders[3]).toBe(received.senders[0])
      theirs.close()
    })
  }

  it('a dual-stack socket talks to IPv4 and IPv6', async () => {
    const ring = testRing()
    const received = new Received()
    const dual = await bound(ring, received, { host: '' })
    expect(dual.localAddress).toMatchObject({ address: '::', family: 'IPv6' })
    const [four, six] = [new Received(), new Received()]
    const peer4 = await bound(ring, four)
    const peer6 = await bound(ring, six, { host: '::1' })
    dual.send('to four', addressOf(peer4))
    dual.send('to six', { address: '::1', port: portOf(peer6) })
    await Promise.all([four.arrived(1), six.arrived(1)])
    peer4.send('from four', { address: loopback, port: portOf(dual) })
    await received.arrived(1)
    expect(received.senders[0]).toEqual({ address: '::ffff:127.0.0.1', family: 'IPv6', port: portOf(peer4) })
    dual.send('back', received.senders[0])
    await four.arrived(2)
    expect(four.texts).toEqual(['to four', 'back'])
  })
})

describe('a batch', () => {
  it('has all datagrams of a turn, in place, with their senders', async () => {
    const ring = testRing()
    const texts: string[] = []
    const ports = new Set<number>()
    let kept: MessageBatch | undefined
    const chunks: Buffer[] = []
    const handler: UdpHandler = {
      messages(_socket, batch) {
        kept = batch
        for (let index = 0; index < batch.count; index++) {
          const start = batch.offset(index)
          texts.push(batch.memory(index).toString('latin1', start, start + batch.lengthBytes(index)))
          expect(String(batch.view(index))).toBe(texts.at(-1))
          chunks.push(batch.chunk(index))
          ports.add(batch.from(index).port)
          expect(batch.details(index)).toBeUndefined()
        }
        expect(() => batch.view(batch.count)).toThrow(RangeError)
      },
    }
    const socket = await bound(ring, handler)
    const [one, two] = [await bound(ring), await connected(ring, socket)]
    for (let index = 0; index < 50; index++) one.send(`a${index}`, addressOf(socket))
    two.sendMany(['b1', 'b2', 'b3'])
    await until(() => texts.length === 53, 'all')
    expect(texts.filter((text) => text.startsWith('a'))).toEqual(Array.from({ length: 50 }, (_, index) => `a${index}`))
    expect(chunks.map(String)).toEqual(texts)
    expect(ports).toEqual(new Set([portOf(one), portOf(two)]))
    expect(() => kept?.chunk(0)).toThrow(RangeError)
    type Returned<M extends 'memory' | 'view' | 'chunk'> = ReturnType<MessageBatch[M]>
    expectTypeOf<Returned<'memory'>>().toEqualTypeOf<BorrowedChunk>()
    expectTypeOf<Returned<'view'>>().toEqualTypeOf<BorrowedChunk>()
    expectTypeOf<Returned<'chunk'>>().not.toExtend<BorrowedChunk>()
    expectTypeOf<BorrowedChunk>().toExtend<Buffer>()
    // A string is an iterable of strings.
    type Chunks = Parameters<UdpSocket['sendMany']>[0]
    expectTypeOf<string>().not.toExtend<Chunks>()
    expectTypeOf<[string, Buffer]>().toExtend<Chunks>()
    await untilIdle(ring, 3)
  })

  it('stays as it is until its handler returns, though the socket closes', async () => {
    const ring = testRing()
    const seen: string[] = []
    const socket = await bound(ring, {
      messages(self, batch) {
        const { count } = batch
        self.close()
        self.flush()
        for (let index = 0; index < count; index++) seen.push(String(batch.view(index)))
      },
    })
    const sender = await connected(ring, socket)
    sender.sendMany(['one', 'two'])
    await until(() => socket.state === 'closed', 'closing')
    expect(seen).toEqual(['one', 'two'])
    await untilIdle(ring, 1)
  })

  it('is told what is received while another is told, once', async () => {
    const ring = testRing()
    const texts: string[] = []
    const told: number[] = []
    const sender = await bound(ring)
    const socket = await bound(ring, {
      messages(_self, batch) {
        const before = batch.count
        told.push(before)
        if (told.length === 1) {
          sender.sendMany(['three', 'four'], addressOf(socket))
          // Its completions are taken note of here.
          sender.flushAndReap()
          sender.flushAndReap()
        }
        expect(batch.count).toBe(before)
        for (let index = 0; index < before; index++) texts.push(String(batch.view(index)))
      },
    })
    sender.sendMany(['one', 'two'], addressOf(socket))
    await until(() => texts.length === 4, 'all')
    expect(texts).toEqual(['one', 'two', 'three', 'four'])
    await untilIdle(ring, 2)
  })

  it('echoed from where it lies comes back whole', async () => {
    const ring = testRing()
    const echo = await bound(ring, {
      messages(socket, batch) {
        for (let index = 0; index < batch.count; index++) socket.send(batch.view(index), batch.from(index))
      },
    })
    const received = new Received()
    const client = await connected(ring, echo, received, { receiveBufferBytes: 212_992 })
    for (let index = 0; index < 60; index++) client.send(pattern(100 + index % 3, index))
    await received.arrived(60)
    expect(received.chunks.every((chunk, index) => chunk.equals(pattern(100 + index % 3, index)))).toBe(true)
  })
})

describe('pausing', () => {
  it.each(['message', 'messages'] as const)('keeps what has arrived for %s', async (kind) => {
    const ring = testRing()
    const texts: string[] = []
    const take = (socket: UdpSocket, text: string): void => {
      texts.push(text)
      if (texts.length === 5) socket.pause()
    }
    const handler: UdpHandler = kind === 'message'
      ? { message: (socket, chunk: Buffer, _from: InternetAddress) => take(socket, String(chunk)) }
      : {
          messages(socket, batch) {
            for (let index = 0; index < batch.count; index++) take(socket, String(batch.view(index)))
          },
        }
    const socket = await bound(ring, handler)
    const sender = await connected(ring, socket)
    for (let index = 0; index < 20; index++) sender.send(`${index}`)
    await until(() => socket.paused, 'the pause')
    await untilIdle(ring, 2)
    for (let index = 20; index < 40; index++) sender.send(`${index}`)
    await until(() => sender.messagesQueued === 0, 'sending')
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(texts.length).toBe(kind === 'message' ? 5 : texts.length)
    expect(texts.length).toBeLessThan(40)
    socket.resume()
    await until(() => texts.length === 40, 'the rest')
    expect(texts).toEqual(Array.from({ length: 40 }, (_, index) => `${index}`))
  })
})

it('more datagrams than there are buffers arrive all the same, and the pool grows', async () => {
  const ring = testRing()
  const received = Array.from({ length: 10 }, () => new Received())
  const sockets = await Promise.all(received.map((each) => bound(ring, each, { coalesce: false })))
  const sender = await bound(ring)
  for (let round = 1; round <= 4; round++) {
    for (const [at, socket] of sockets.entries()) {
      for (let index = 0; index < 40; index++) sender.send(pattern(10, round * 40 + index + at), addressOf(socket))
    }
    await Promise.all(received.map((each) => each.arrived(round * 40)))
  }
  for (const [at, { chunks }] of received.entries()) {
    expect(chunks.every((chunk, index) => chunk.equals(pattern(10, 40 + index + at)))).toBe(true)
  }
  expect(ring.metrics.poolExhausted).toBeGreaterThan(0)
  expect(ring.internetMessages.pool.buffers).toBeGreaterThan(64)
  await untilIdle(ring, 11)
})

it('thousands of sockets that get more than there are buffers try again no more than can have one', async () => {
  const ring = testRing()
  const senders = testRing()
  const received = Array.from({ length: 2000 }, () => new Received())
  const sockets = await Promise.all(received.map((each) => bound(ring, each, { coalesce: false })))
  const sender = await bound(senders)
  for (let round = 1; round <= 4; round++) {
    for (const socket of sockets) sender.send(`${round}`, addressOf(socket))
    // All of them lie in the kernel before the receivers' turn comes.
    sender.flushAndReap()
  }
  await Promise.all(received.map((each) => each.arrived(4)))
  for (const { texts } of received) expect(texts).toEqual(['1', '2', '3', '4'])
  // Once to begin with, once for each datagram, as often where the time to tell one was over, and a little.
  expect(ring.metrics.receivesArmed).toBeLessThan(10 * sockets.length)
  await untilIdle(ring, sockets.length)
}, 30_000)

it.each(['ring', 'node'] as const)('handlers and callbacks have nobody\'s async context: %s', async (backend) => {
  const storage = new AsyncLocalStorage<string>()
  const seen: unknown[] = []
  const see = (): void => void seen.push(storage.getStore())
  const socket = await storage.run('bind', () => bind({ host: loopback, backend }, { message: see, close: see }))
  storage.run('send', () => socket.send('x', addressOf(socket), see))
  await until(() => seen.length === 2, 'the datagram and the callback')
  storage.run('close', () => { socket.close() })
  await until(() => seen.length === 3, 'the close')
  expect(seen).toEqual([undefined, undefined, undefined])
})

it('peers of streams that do not read, and have all send memory, keep no datagram from being sent', async () => {
  const ring = testRing({ sendBlocksMax: 4 })
  takeSendMemory(ring)
  const received = new Received()
  const receiver = await bound(ring, received)
  const sender = await connected(ring, receiver)
  const told: (Error | undefined)[] = []
  for (const size of [1, 20_000, 100]) sender.send(Buffer.alloc(size), (error) => told.push(error))
  await received.arrived(3)
  await until(() => told.length === 3, 'the callbacks')
  expect([told, received.chunks.map(({ byteLength }) => byteLength)]).toEqual([
    [undefined, undefined, undefined], [1, 20_000, 100],
  ])
})
