import { connect as nodeConnect, createServer as createNodeServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import type { Ring, RingOptions } from '@sheaf/ring'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connect, type TcpConnection } from '../src/index'
import { createServer as createNetServer, Socket } from '../src/net'
import { client, echo, loopback, pattern, Random, server, sha, testRing, until, untilIdle, Writer } from './support'

const kib = 1024
const mib = 1024 * kib

/** Sends `sizeBytes` to an echo server in random chunks and compares what comes back. */
async function echoed(ring: Ring, port: number, sizeBytes: number, seed: number, chunkMax: number): Promise<void> {
  const sent = pattern(sizeBytes, seed)
  const writer = new Writer(sent, new Random(seed), chunkMax)
  const back = sha()
  let bytes = 0
  await new Promise<void>((resolve, reject) => {
    connect({ host: loopback, port, ring }, {
      open: (connection) => writer.write(connection),
      drain: (connection) => writer.write(connection),
      data(_connection, chunk) {
        bytes += chunk.byteLength
        back.update(chunk)
      },
      close: (_connection, error) => error === undefined ? resolve() : reject(error),
    }).catch(reject)
  })
  expect(bytes).toBe(sizeBytes)
  expect(back.digest('hex')).toBe(sha().update(sent).digest('hex'))
}

const configurations: Record<string, RingOptions> = {
  'bundles': {},
  'vectored sends': { sendMethod: 'sendmsg' },
  'one buffer a request': { sendMethod: 'single', groupEntries: 16 },
  'one buffer a receive': { receiveMethod: 'single' },
  'multishot recvmsg': { receiveMethod: 'recvmsg', receiveBufferBytes: 512, receiveBuffers: 64 },
  'tiny buffers': { receiveBufferBytes: 16, receiveBuffers: 512, receiveBuffersMax: 512 },
  'two receive buffers': { receiveBufferBytes: 64, receiveBuffers: 2, receiveBuffersMax: 2 },
  'a group of two entries': { groupEntries: 2 },
  'short queues': { submissionEntries: 4, completionEntries: 8 },
}

describe.each(Object.entries(configurations))('with %s', (_name, options) => {
  it('an echo of random chunks from 1 byte to 8 MB comes back whole and in order', async () => {
    const ring = testRing(options)
    const listener = await server(ring, echo)
    const { port } = listener.address
    const tiny = (options.receiveBufferBytes ?? 4096) < 512
    const sizes = tiny ? [1, 100, 200 * kib] : [1, 100 * kib, 8 * mib]
    const chunks = [1 * kib, 8 * mib]
    let seed = 1
    for (const size of sizes) {
      for (const chunkMax of chunks) await echoed(ring, port, size, seed++, chunkMax)
    }
    await echoed(ring, port, 5000, seed, 1)
    await listener.close()
    await untilIdle(ring)
    expect(ring.metrics.staleCompletions).toBe(0)
  })

  it('a hundred connections at once keep their bytes apart', async () => {
    const ring = testRing(options)
    const listener = await server(ring, echo)
    const size = (options.receiveBuffers ?? 128) === 2 ? 2 * kib : 20 * kib
    await Promise.all(
      Array.from({ length: 100 }, (_, index) => echoed(ring, listener.address.port, size, index + 1, 3 * kib)),
    )
    await listener.close()
    await untilIdle(ring)
    expect(ring.metrics.staleCompletions).toBe(0)
  })
})

describe('what rarely happens does happen here', () => {
  it('three hundred connections share a pool that runs dry and wraps', async () => {
    const ring = testRing({ receiveBufferBytes: 256, receiveBuffers: 16, receiveBuffersMax: 16 })
    const listener = await server(ring, echo)
    await Promise.all(
      Array.from({ length: 300 }, (_, index) => echoed(ring, listener.address.port, 20_000, index + 1, 30_000)),
    )
    const { metrics } = ring
    expect(metrics.poolExhausted).toBeGreaterThan(0)
    expect(metrics.directReceives).toBeGreaterThan(0)
    const { bytesRead, receiveBuffers } = metrics
    for (let seed = 1; seed <= 400; seed++) await echoed(ring, listener.address.port, 1000, seed, 1000)
    await listener.close()
    await untilIdle(ring)
    expect(metrics.poolPositions).toBeGreaterThan(16 * 100)
    // Short reads: buffers that were not full.
    expect((metrics.receiveBuffers - receiveBuffers) * 256).toBeGreaterThan((metrics.bytesRead - bytesRead) * 1.01)
    expect(metrics.receivesArmed).toBeGreaterThan(600)
    expect(metrics.staleCompletions).toBe(0)
  })

  it('who asks for little does not wait for all who send much, though the pool had nothing for it', async () => {
    const ring = testRing({ receiveBufferBytes: kib, receiveBuffers: 16, receiveBuffersMax: 16 })
    const { metrics } = ring
    const connections: TcpConnection[] = []
    let toldIn = 0
    let receivedBefore = 0
    const listener = await server(ring, {
      open(connection) {
        connection.pause()
        connections.push(connection)
      },
      data(_connection, chunk) {
        if (chunk[0] === 0) return
        toldIn = metrics.turns
        receivedBefore = metrics.bytesRead
      },
    })
    for (let index = 0; index <= 50; index++) {
      const peer = nodeConnect(listener.address.port, loopback).on('error', () => undefined)
      onTestFinished(() => { peer.destroy() })
      await once(peer, 'connect')
      await until(() => connections.length === index + 1, 'the connection')
      peer.write(index === 50 ? 'x' : Buffer.alloc(8 * mib))
    }
    const resumedIn = metrics.turns
    for (const connection of connections) connection.resume()
    await until(() => toldIn !== 0, 'the one byte')
    expect(metrics.directReceives).toBeGreaterThan(50)
    expect(toldIn - resumedIn).toBeLessThan(10)
    expect(receivedBefore).toBeLessThan(4 * mib)
    for (const connection of connections) connection.destroy()
    await listener.close()
  })

  it('a receive without bundles is counted as one buffer, though many are told together', async () => {
    const options = { receiveBufferBytes: 64, receiveBuffers: 2048, receiveBuffersMax: 2048 }
    const ring = testRing({ ...options, receiveMethod: 'single' })
    const chunks: number[] = []
    const listener = await server(ring, { data: (_connection, chunk) => { chunks.push(chunk.byteLength) } })
    const connection = await client(ring, listener, {})
    connection.write(Buffer.alloc(32 * kib))
    await until(() => ring.metrics.bytesRead === 32 * kib, 'all bytes')
    const { receiveBuffers, receiveBundles, receives } = ring.metrics
    expect(chunks.length).toBeLessThan(receives / 10)
    expect([receives, receiveBundles[0]]).toEqual([receiveBuffers, receiveBuffers])
    connection.destroy()
    await listener.close()
  })

  it('whoever takes all of the pool does not keep it from those who found it empty', async () => {
    const flood = Buffer.alloc(64 * kib)
    const sender = createNodeServer((socket) => {
      const write = (): void => { while (socket.write(flood)); }
      socket.on('drain', write).on('error', () => undefined)
      write()
    })
    sender.listen(0, loopback)
    await once(sender, 'listening')
    onTestFinished(() => void sender.close())
    const { port } = sender.address() as AddressInfo
    const ring = testRing({ receiveBuffers: 4, receiveBuffersMax: 4 })
    const bytes = [0, 0, 0, 0]
    const connections = await Promise.all(bytes.map((_, index) => connect({ host: loopback, port, ring }, {
      data: (_connection, chunk) => { bytes[index] += chunk.byteLength },
    })))
    // At first whoever began first has more, as with `node:net`: the others' windows are still small.
    await until(() => Math.min(...bytes) > 16 * mib, 'bytes to flow to all')
    expect(ring.metrics.poolExhausted).toBeGreaterThan(0)
    for (const connection of connections) connection.destroy()
    await untilIdle(ring)
  })

  it('a bundle over 256 buffers is sent in a chain of completions, and the peer\'s back-pressure holds', async () => {
    const ring = testRing({
      receiveBufferBytes: 32,
      receiveBuffers: 4096,
      receiveBuffersMax: 4096,
      receiveReserveFraction: 0,
      mergeAdjacent: false,
      groupEntries: 4096,
    })
    const sent = pattern(24 * mib, 7)
    const target = createNodeServer({ pauseOnConnect: true })
    target.listen(0, loopback)
    await once(target, 'listening')
    onTestFinished(() => void target.close())
    const arrived = sha()
    const done = new Promise<void>((resolve) => {
      target.on('connection', (socket) => {
        socket.on('data', (chunk: Buffer) => arrived.update(chunk))
        socket.on('end', resolve)
        // The proxy must fill up first.
        setTimeout(() => socket.resume(), 300)
      })
    })
    const listener = await server(ring, {
      open(connection) {
        connection.pause()
        const { port } = target.address() as AddressInfo
        void connect({ host: loopback, port, ring, writableHighWaterMark: mib }, {})
          .then((to) => {
            connection.forward(to)
            connection.resume()
          })
      },
    })
    const source = nodeConnect(listener.address.port, loopback)
    source.end(sent)
    await done
    expect(arrived.digest('hex')).toBe(sha().update(sent).digest('hex'))
    await listener.close()
    await untilIdle(ring)
    expect(ring.metrics.chainedBundles).toBeGreaterThan(0)
    expect(ring.metrics.sendBundles[8]).toBeGreaterThan(0)
    expect(ring.metrics.poolExhausted).toBeGreaterThan(0)
    expect(ring.metrics.parks).toBeGreaterThan(0)
  })

  it('forwardings that stand still and may hold all buffers leave the others one, who wait for no turn', async () => {
    const ring = testRing({ receiveBuffers: 4, receiveBuffersMax: 4, receiveReserveFraction: 0 })
    const stalled: TcpConnection[] = []
    const target = createNodeServer({ pauseOnConnect: true }, (socket) => onTestFinished(() => void socket.destroy()))
    target.listen(0, loopback)
    await once(target, 'listening')
    onTestFinished(() => void target.close())
    const { port } = target.address() as AddressInfo
    const proxy = await server(ring, {
      open: (from) => void connect({ host: loopback, port, ring }, {}).then((to) => {
        to.setSendBufferBytes(4096)
        from.forward(to)
        stalled.push(from, to)
      }),
    })
    for (let source = 0; source < 4; source++) {
      const socket = nodeConnect(proxy.address.port, loopback)
      socket.on('error', () => undefined).write(Buffer.alloc(16 * mib))
      onTestFinished(() => void socket.destroy())
    }
    await until(() => ring.metrics.poolExhausted > 0 && stalled.length === 8, 'forwardings that hold the buffers')
    const listener = await server(ring, { data: (connection, chunk) => void connection.write(chunk) })
    let answers = 0
    const asker = nodeConnect(listener.address.port, loopback).on('data', () => { answers++ })
    onTestFinished(() => void asker.destroy())
    for (let question = 1; question <= 3; question++) {
      asker.write('question')
      await until(() => answers === question, 'an answer')
      const { turns } = ring.metrics
      await new Promise((resolve) => { setTimeout(resolve, 100) })
      expect(ring.metrics.turns - turns).toBeLessThan(1000)
    }
    for (const connection of stalled) connection.destroy()
    await Promise.all([listener.close(), proxy.close()])
  })

  it('chunks sent in place keep their order among those that are copied, and are the writer\'s again', async () => {
    const ring = testRing()
    const arrived = sha()
    const sent = sha()
    const listener = await server(ring, { data: (_connection, chunk) => void arrived.update(chunk) })
    const connection = await client(ring, listener, {})
    const random = new Random(11)
    const sizes = [1, 100, 20 * kib, 64 * kib, 300 * kib, mib]
    for (let round = 0; round < 300; round++) {
      const chunk = pattern(sizes[random.below(sizes.length)], round)
      sent.update(chunk)
      connection.write(chunk, () => chunk.fill(0))
      if (random.below(2) === 0) await until(() => connection.bytesQueued < 4 * mib, 'room')
    }
    await new Promise<unknown>((resolve) => connection.end(resolve))
    await listener.close()
    await untilIdle(ring)
    expect(arrived.digest('hex')).toBe(sent.digest('hex'))
    expect(ring.metrics.sendsInPlace).toBeGreaterThan(100)
    expect(ring.metrics.bytesWritten).toBe(connection.bytesWritten)
  })

  it('a net.Socket of any high-water mark calls back when a chunk sent in place may be changed', async () => {
    const arrived = sha()
    const sent = sha()
    const listener = createNetServer((socket) => socket.on('data', (chunk: Buffer) => void arrived.update(chunk)))
    listener.listen(0, loopback)
    await once(listener, 'listening')
    const { port } = listener.address() as AddressInfo
    const socket = new Socket({ writableHighWaterMark: 64 * mib } as object).connect(port, loopback)
    await once(socket, 'connect')
    for (let round = 0; round < 200; round++) {
      const chunk = pattern([64 * kib, 300 * kib, mib][round % 3], round)
      sent.update(chunk)
      socket.write(chunk, () => chunk.fill(0))
    }
    socket.end()
    await once(socket, 'close')
    listener.close()
    expect(arrived.digest('hex')).toBe(sent.digest('hex'))
  })

  it('completions that overflow the completion queue are not lost', async () => {
    const ring = testRing({ submissionEntries: 2, completionEntries: 4, roundsPerTurn: 1 })
    const listener = await server(ring, echo)
    await Promise.all(
      Array.from({ length: 200 }, (_, index) => echoed(ring, listener.address.port, 3000, index + 1, 1000)),
    )
    await listener.close()
    await untilIdle(ring)
    expect(ring.metrics.completionOverflows).toBeGreaterThan(0)
    expect(ring.metrics.submissionQueueFull).toBeGreaterThan(0)
  })

  it('a writer that ignores back-pressure loses nothing', async () => {
    const ring = testRing()
    const sent = pattern(24 * mib, 3)
    const arrived = sha()
    let bytes = 0
    const listener = await server(ring, {
      data(_connection, chunk) {
        bytes += chunk.byteLength
        arrived.update(chunk)
      },
    })
    const random = new Random(5)
    const closed = new Promise<void>((resolve) => {
      void client(ring, listener, {
        open(connection) {
          for (let offset = 0; offset < sent.byteLength;) {
            const end = Math.min(sent.byteLength, offset + random.size(2 * mib))
            connection.write(sent.subarray(offset, end))
            offset = end
          }
          expect(connection.bytesQueued).toBe(sent.byteLength)
          connection.end()
        },
        close: () => resolve(),
      })
    })
    await closed
    expect(bytes).toBe(sent.byteLength)
    expect(arrived.digest('hex')).toBe(sha().update(sent).digest('hex'))
    expect(ring.metrics.backPressure).toBe(1)
    expect(ring.usage.groups).toBe(0)
  })

  it('more connections with a queue than there is send memory for still send everything', async () => {
    const ring = testRing()
    const reading: TcpConnection[] = []
    const hashes: string[] = []
    const listener = await server(ring, {
      open(connection) {
        connection.pause()
        reading.push(connection)
      },
      data(connection, chunk) {
        (connection as TcpConnection & { hash?: ReturnType<typeof sha> }).hash ??= sha()
        ;(connection as TcpConnection & { hash?: ReturnType<typeof sha> }).hash?.update(chunk)
      },
      end(connection) {
        hashes.push((connection as TcpConnection & { hash?: ReturnType<typeof sha> }).hash?.digest('hex') ?? '')
      },
    })
    const sent = pattern(6 * mib, 11)
    const clients = await Promise.all(Array.from({ length: 40 }, () => client(ring, listener, {})))
    for (const connection of clients) {
      connection.write(sent)
      connection.end()
    }
    await until(() => reading.length === 40, 'all who have connected')
    for (const connection of reading) connection.resume()
    const expected = sha().update(sent).digest('hex')
    while (hashes.length < 40) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(new Set(hashes)).toEqual(new Set([expected]))
    await listener.close()
    await untilIdle(ring)
  })
})
