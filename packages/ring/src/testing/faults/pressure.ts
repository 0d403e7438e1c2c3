import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { binding as loaded, type Binding } from '@sheaf/native'
import { limits, type Listener, type Ring, type Transport } from '@sheaf/ring'
import { type Bench, type Test } from './bench'
import { echo, pattern, Received, sha, uncaughtDuring, until, writeGathered } from '../fixtures'
import { createRingOn } from '../ring-on'

/** How long a receiver reads nothing: a minute says no more than this, but takes longer. */
const stalledMs = Number(process.env.SHEAF_FAULT_SECONDS ?? 3) * 1000
const others = 1000
const wavesMin = 20

/** A connection that sends one byte and waits for its echo, at each call. */
class Pinger {
  echoes = 0
  #connection: Transport | undefined
  #echoed: () => void = () => undefined

  async open(connect: (handler: object) => Promise<Transport>): Promise<void> {
    this.#connection = await connect({
      data: () => {
        this.echoes++
        this.#echoed()
      },
    })
  }

  ping(): Promise<void> {
    this.#connection?.write('x')
    return new Promise((resolve) => { this.#echoed = resolve })
  }

  close(): void {
    this.#connection?.destroy()
  }
}

async function openPingers(bench: Bench, ring: Ring, listener: Listener): Promise<Pinger[]> {
  const pingers = Array.from({ length: others }, () => new Pinger())
  for (const pinger of pingers) await pinger.open((handler) => bench.connect(ring, listener, handler))
  return pingers
}

/** A binding that has no memory of one size after so many times. */
function bindingWithout(sizeBytes: number, times: number): Binding {
  if (loaded === undefined) throw new Error('these tests need io_uring')
  const binding = loaded
  let left = times
  return {
    probe: () => binding.probe(),
    createRing(options) {
      const native = binding.createRing(options)
      if (typeof native === 'number') return native
      const createRegion = native.createRegion.bind(native)
      native.createRegion = (wanted) => wanted === sizeBytes && left-- <= 0 ? -12 : createRegion(wanted)
      return native
    },
    sockets: binding.sockets,
  }
}

/** What `value` is when it has not changed for a while: a receiver's kernel may take more than it took at first. */
async function atRest(value: () => number): Promise<number> {
  let before: number
  do {
    before = value()
    await sleep(300)
  } while (value() !== before)
  return before
}

/** Writes more than the kernel keeps, in chunks that are copied, gathered or kept, and has them echoed. */
async function sendEverySize(bench: Bench, ring: Ring, echoing: Listener): Promise<void> {
  const expected = pattern(6_000_000, 99)
  const received = new Received()
  const connection = await bench.connect(ring, echoing, received)
  const outcomes: (Error | undefined)[] = []
  const sizes = [1, 30_000, 100, 70_000, 5000, 16_384]
  let writes = 0
  for (let at = 0; at < expected.byteLength; writes++) {
    const end = at + sizes[writes % sizes.length]
    connection.write(expected.subarray(at, end), (error) => outcomes.push(error))
    at = end
  }
  connection.write('text', 'latin1')
  connection.end()
  await received.closed
  assert.equal(received.error, undefined)
  assert.ok(Buffer.concat(received.chunks).equals(Buffer.concat([expected, Buffer.from('text')])))
  assert.equal(outcomes.filter((error) => error === undefined).length, writes)
}

const sendRegionBytes = limits.sendBlockBytes * limits.sendBlocksPerRegion

export const pressureTests: Record<string, Test> = {
  async [`a receiver that reads nothing, behind a proxy, does not slow ${others} other connections`](bench) {
    const ring = bench.ring()
    const sink = new Received()
    let stalled: Transport | undefined
    const target = await bench.listen(ring, {
      open(connection) {
        connection.handler = sink
        connection.pause()
        stalled = connection
      },
    })
    const proxy = await bench.listen(ring, {
      open(connection) {
        connection.pause()
        void bench.connect(ring, target, {}, { allowHalfOpen: true }).then((onward) => {
          connection.forward(onward)
          connection.resume()
        })
      },
    }, { allowHalfOpen: true })
    const chunk = pattern(100_000, 3)
    const sent = sha()
    let ended = false
    const pump = (connection: Transport): void => {
      while (!ended) {
        sent.update(chunk)
        if (!connection.write(chunk)) return
      }
    }
    const source = await bench.connect(ring, proxy, { open: pump, drain: pump }, { allowHalfOpen: true })
    const listener = await bench.listen(ring, echo)
    const pingers = await openPingers(bench, ring, listener)
    await until(() => ring.metrics.forwardPauses > 0, 'the proxy to hold its source back')
    const before = await atRest(() => source.bytesWritten)
    const started = Date.now()
    let waves = 0
    while (waves < wavesMin || Date.now() - started < stalledMs) {
      await Promise.all(pingers.map((pinger) => pinger.ping()))
      waves++
      const { pool, usage } = ring
      assert.ok(usage.receiveBuffersHeld <= pool.buffers - pool.reserve, 'the stalled flow keeps to its quota')
    }
    assert.ok(pingers.every(({ echoes }) => echoes === waves))
    assert.equal(sink.bytes, 0)
    assert.equal(source.bytesWritten, before)
    ended = true
    source.end()
    ;(stalled as unknown as Transport).resume()
    await sink.closed
    assert.equal(sha().update(Buffer.concat(sink.chunks)).digest('hex'), sent.digest('hex'))
    for (const pinger of pingers) pinger.close()
    source.destroy()
    await bench.assertEmpty()
  },

  async 'a peer that floods a paused connection makes it keep no more than two pools'(bench) {
    const ring = bench.ring()
    const chunk = pattern(100_000, 3)
    const pump = (connection: Transport): void => { while (connection.write(chunk)); }
    const listener = await bench.listen(bench.ring(), { open: pump, drain: pump })
    let bytes = 0
    const connection = await bench.connect(ring, listener, {
      data(each, received) {
        bytes += received.byteLength
        each.pause()
      },
    })
    for (let round = 0; round < 20; round++) {
      const before = bytes
      connection.resume()
      await until(() => bytes > before, 'data')
      const kept = connection.bytesRead - bytes
      assert.ok(kept <= 2 * ring.pool.buffers * ring.pool.bufferBytes, `${kept} bytes are kept`)
    }
    connection.destroy()
    await bench.assertEmpty()
  },

  async 'what the pool has no buffers for is received without, whole and in order, whatever its receivers do'(bench) {
    const sizeBytes = 4_000_000
    const listener = await bench.listen(bench.ring(), {
      open(connection) {
        writeGathered(connection, pattern(sizeBytes, 1))
        connection.end()
      },
    })
    const ring = bench.ring({ receiveBufferBytes: 512, receiveBuffers: 2, receiveBuffersMax: 2 })
    let told = 0
    const habits: ((connection: Transport) => void)[] = [
      () => undefined,
      (connection) => {
        connection.pause()
        setImmediate(() => connection.resume())
      },
      (connection) => {
        connection.pause()
        connection.resume()
        connection.flush()
      },
      () => {
        if (told++ % 10 === 0) throw new Error('mine')
      },
    ]
    const received = habits.map(() => new Received())
    const thrown = await uncaughtDuring(async () => {
      for (const [index, habit] of habits.entries()) {
        const sink = received[index]
        await bench.connect(ring, listener, {
          data(connection, chunk) {
            assert.ok(chunk.byteLength <= limits.chunkBytesMax)
            sink.data(connection, chunk)
            habit(connection)
          },
          close: (connection, error) => sink.close(connection, error),
        })
      }
      await Promise.all(received.map(({ closed }) => closed))
    })
    for (const { chunks, error } of received) {
      assert.equal(error, undefined)
      assert.ok(Buffer.concat(chunks).equals(pattern(sizeBytes, 1)))
    }
    assert.equal(thrown.length, Math.ceil(told / 10))
    assert.ok(thrown.every((error) => (error as Error).message === 'mine'))
    assert.ok(ring.metrics.directReceives > 0)
    await bench.assertEmpty()
  },

  async 'who is destroyed by what it is received without buffers is told no more of it'(bench) {
    const gone: (Error | undefined)[] = []
    const listener = await bench.listen(bench.ring(), {
      open: (connection) => { writeGathered(connection, pattern(4_000_000, 1)) },
      close: (_connection, error) => { gone.push(error) },
    })
    const ring = bench.ring({ receiveBufferBytes: 512, receiveBuffers: 2, receiveBuffersMax: 2 })
    const destroyed: Transport[] = []
    for (let count = 1; count <= 20; count++) {
      const { directReceives } = ring.metrics
      await bench.connect(ring, listener, {
        data(connection) {
          assert.equal(connection.state, 'open')
          if (ring.metrics.directReceives === directReceives) return
          connection.destroy()
          destroyed.push(connection)
        },
      })
      await until(() => gone.length === count, 'the peer to be told')
    }
    assert.equal(destroyed.length, 20)
    assert.ok(ring.metrics.directReceives >= 20)
    await bench.assertEmpty()
  },

  async 'completions that overflow their queue again and again lose no byte'(bench) {
    const ring = bench.ring({ submissionEntries: 8, completionEntries: 16 })
    const listener = await bench.listen(ring, echo)
    const received = Array.from({ length: 200 }, () => new Received())
    const sent = received.map((_, index) => pattern(30_000, index + 1))
    const connections = []
    for (const handler of received) connections.push(await bench.connect(ring, listener, handler))
    for (const [index, connection] of connections.entries()) {
      for (let at = 0; at < 30_000; at += 1000) connection.write(sent[index].subarray(at, at + 1000))
      connection.end()
    }
    await Promise.all(received.map(({ closed }) => closed))
    for (const [index, { chunks, error }] of received.entries()) {
      assert.equal(error, undefined)
      assert.ok(Buffer.concat(chunks).equals(sent[index]))
    }
    assert.ok(ring.metrics.completionOverflows > 10, `${ring.metrics.completionOverflows} overflows`)
    await bench.assertEmpty()
  },

  async 'peers that do not read, and have all send memory, keep nobody from connecting and sending'(bench) {
    const receiving = bench.ring()
    const paused: Transport[] = []
    const sinks: Received[] = []
    const stalling = await bench.listen(receiving, {
      open(connection) {
        const sink = new Received()
        sinks.push(sink)
        paused.push(connection)
        connection.handler = sink
        connection.pause()
      },
    })
    const echoing = await bench.listen(receiving, echo)
    const ring = bench.ring({ sendBlocksMax: 4 })
    const count = 8
    const sizeBytes = 8_000_000
    const told = Array.from({ length: count }, () => new Received())
    for (const [index, handler] of told.entries()) {
      const connection = await bench.connect(ring, stalling, handler)
      writeGathered(connection, pattern(sizeBytes, index + 1))
      connection.end()
    }
    await until(() => paused.length === count && ring.usage.sendBlocks === 4, 'all send memory to be in use')
    await sendEverySize(bench, ring, echoing)
    for (const connection of paused) connection.resume()
    await Promise.all(told.map(({ closed }) => closed))
    const sums = sinks.map(({ chunks }) => sha().update(Buffer.concat(chunks)).digest('hex')).sort()
    assert.deepEqual(sums, told.map((_, index) => sha().update(pattern(sizeBytes, index + 1)).digest('hex')).sort())
    await bench.assertEmpty()
  },

  async 'without any send memory everything is sent by system calls'(bench) {
    const ring = createRingOn(bindingWithout(sendRegionBytes, 0))
    bench.onClose(() => ring.close())
    await sendEverySize(bench, ring, await bench.listen(ring, echo))
    assert.equal(ring.usage.sendBlocks, 0)
    assert.ok(ring.metrics.sendsInPlace > 10)
    assert.equal(ring.metrics.sends, 0)
  },
}
