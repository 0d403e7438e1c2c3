import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type {
  ConnectionOptions, Listener, ListenerHandler, RingOptions, StreamHandler, StreamOptions, Transport,
} from '@sheaf/ring'
import { echo, pattern, Received, sha, uncaughtDuring, until, Writer } from './fixtures'
import { fullTier, nodeTier, type Place, placeOn, type Tier, tiers } from './place'
import { Random } from './random'

/** How an address family's streams are made. `options` say where: on which ring, or on Node's sockets. */
export interface StreamFamily<T extends Transport = Transport> {
  /** Listens at an address that nobody uses. */
  listen(handler: ListenerHandler<T>, options: StreamOptions): Promise<Listener>
  /** Connects to what {@link listen} answered. */
  connect(listener: Listener, handler: StreamHandler<T>, options: StreamOptions): Promise<T>
}

/** What the suite needs of a test framework; those of vitest, mocha and `node:test` fit. */
export interface TestFramework {
  readonly describe: (name: string, define: () => void) => unknown
  readonly it: (name: string, test: (...context: TestContext[]) => Promise<void>, timeoutMs?: number) => unknown
}

/** What a framework gives a test, by which that says why it can't be run here. */
export interface TestContext {
  skip(reason: string): unknown
}

/** One test's places and listeners, which are closed when it is over. */
class Bench {
  readonly #family: StreamFamily
  readonly #tier: Tier
  readonly #places: Place[] = []
  readonly #listeners: Listener[] = []

  constructor(family: StreamFamily, tier: Tier) {
    this.#family = family
    this.#tier = tier
  }

  /** @param options of the ring, if it is one. */
  place(options?: RingOptions, tier = this.#tier): Place {
    const place = placeOn(tier, options)
    this.#places.push(place)
    return place
  }

  async listen(place: Place, handler: ListenerHandler, options: ConnectionOptions = {}): Promise<Listener> {
    const listener = await this.#family.listen(handler, { ...place.options, ...options })
    this.#listeners.push(listener)
    return listener
  }

  connect(
    place: Place,
    listener: Listener,
    handler: StreamHandler,
    options: ConnectionOptions = {},
  ): Promise<Transport> {
    return this.#family.connect(listener, handler, { ...place.options, ...options })
  }

  /** Closes the listeners; then nothing may be left in the places. */
  async assertEmpty(): Promise<void> {
    for (const listener of this.#listeners) await listener.close()
    for (const place of this.#places) await place.assertIdle()
  }

  async close(): Promise<void> {
    for (const listener of this.#listeners) await listener.close()
    for (const place of this.#places) place.close()
  }
}

type Test = (bench: Bench) => Promise<void>

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => (error as NodeJS.ErrnoException).code === code
}

/** Ring options under which the same bytes must arrive. */
const configurations: Record<string, RingOptions> = {
  'bundles': {},
  'vectored sends': { sendMethod: 'sendmsg' },
  'one buffer a request': { sendMethod: 'single', groupEntries: 16 },
  'one buffer a receive': { receiveMethod: 'single' },
  'multishot recvmsg': { receiveMethod: 'recvmsg', receiveBufferBytes: 512, receiveBuffers: 64 },
  'tiny buffers': { receiveBufferBytes: 16, receiveBuffers: 512, receiveBuffersMax: 512 },
  'buffers of which no number makes 64 KB': { receiveBufferBytes: 1000 },
  'buffers of more than 64 KB': { receiveBufferBytes: 100_000 },
  'messages of which no number makes 64 KB': { receiveMethod: 'recvmsg', receiveBufferBytes: 40_000 },
  'two receive buffers': { receiveBufferBytes: 64, receiveBuffers: 2, receiveBuffersMax: 2 },
  'a group of two entries': { groupEntries: 2 },
  'short queues': { submissionEntries: 4, completionEntries: 8 },
}

/** Sends `sizeBytes` to an echo server in random chunks and compares what comes back. */
async function echoed(
  bench: Bench,
  place: Place,
  listener: Listener,
  sizeBytes: number,
  seed: number,
  chunkBytesMax: number,
): Promise<void> {
  const sent = pattern(sizeBytes, seed)
  const writer = new Writer(sent, new Random(seed), chunkBytesMax)
  const back = sha()
  let bytes = 0
  await new Promise<void>((resolve, reject) => {
    bench.connect(place, listener, {
      open: (connection) => writer.write(connection),
      drain: (connection) => writer.write(connection),
      data(_connection, chunk) {
        bytes += chunk.byteLength
        back.update(chunk)
      },
      close: (_connection, error) => error === undefined ? resolve() : reject(error),
    }).catch(reject)
  })
  assert.equal(bytes, sizeBytes)
  assert.equal(back.digest('hex'), sha().update(sent).digest('hex'))
}

const connectionTests: Record<string, Test> = {
  async 'is told open, data, end and close, in this order and once each'(bench) {
    const place = bench.place()
    const told: string[] = []
    const listener = await bench.listen(place, {
      open: () => told.push('open'),
      data: (_connection, chunk) => told.push(`data ${chunk.toString()}`),
      end: () => told.push('end'),
      close: (_connection, error) => told.push(`close ${String(error)}`),
    })
    const received = new Received()
    const connection = await bench.connect(place, listener, received)
    connection.write('hello')
    connection.end()
    await received.closed
    await until(() => told.length === 4, 'the server side to close')
    assert.deepEqual(told, ['open', 'data hello', 'end', 'close undefined'])
    assert.equal(received.ended, true)
    assert.equal(received.closes, 1)
    assert.equal(received.error, undefined)
    assert.equal(connection.state, 'closed')
    await bench.assertEmpty()
  },

  async 'writes strings in every encoding that Node has, short and long'(bench) {
    const place = bench.place()
    const listener = await bench.listen(place, echo)
    const texts: [string, BufferEncoding][] = [
      ['häß…€😀', 'utf8'], ['häß', 'latin1'], ['h€😀', 'utf16le'], ['abc', 'ascii'], ['c0ffee', 'hex'],
      ['c2hlYWY=', 'base64'], ['c2hlYWY', 'base64url'], ['€'.repeat(30_000), 'utf8'],
    ]
    const received = new Received()
    const connection = await bench.connect(place, listener, received)
    for (const [text, encoding] of texts) connection.write(text, encoding)
    connection.end()
    await received.closed
    const expected = Buffer.concat(texts.map(([text, encoding]) => Buffer.from(text, encoding)))
    assert.ok(Buffer.concat(received.chunks).equals(expected))
  },

  async 'refuses what is no chunk, encoding or callback, and sends nothing of it'(bench) {
    const place = bench.place()
    const listener = await bench.listen(place, echo)
    const connection = await bench.connect(place, listener, {})
    for (const chunk of [undefined, null, 1, {}, [1], new ArrayBuffer(1), new DataView(new ArrayBuffer(1))]) {
      assert.throws(() => connection.write(chunk as never), hasCode('ERR_INVALID_ARG_TYPE'))
    }
    assert.throws(() => connection.write('x', 'utf7' as never), hasCode('ERR_UNKNOWN_ENCODING'))
    assert.throws(() => connection.write('x', 'utf8', 1 as never), hasCode('ERR_INVALID_ARG_TYPE'))
    assert.throws(() => connection.end('x' as never), hasCode('ERR_INVALID_ARG_TYPE'))
    assert.equal(connection.bytesQueued, 0)
    connection.destroy()
    await bench.assertEmpty()
  },

  async 'calls back for each write in order, and counts bytes'(bench) {
    const place = bench.place()
    const listener = await bench.listen(place, echo)
    const received = new Received()
    const connection = await bench.connect(place, listener, received)
    const order: string[] = []
    connection.write('a', () => order.push('a'))
    connection.write('bc', 'latin1', () => order.push('bc'))
    connection.write(pattern(3_000_000, 1), (error) => order.push(`large ${String(error)} ${connection.bytesQueued}`))
    connection.write(new Uint8Array(0), () => order.push('empty'))
    connection.end(() => order.push('end'))
    assert.equal(connection.bytesQueued, 3_000_003)
    await received.closed
    assert.deepEqual(order, ['a', 'bc', 'large undefined 0', 'empty', 'end'])
    assert.equal(received.bytes, 3_000_003)
    assert.equal(connection.bytesRead, 3_000_003)
    assert.equal(connection.bytesWritten, 3_000_003)
  },

  async 'says false at the high-water mark, and drain below the low one'(bench) {
    const place = bench.place()
    const listener = await bench.listen(place, {})
    let drains = 0
    const connection = await bench.connect(place, listener, { drain: () => drains++ }, { writableHighWaterMark: 1000 })
    assert.equal(connection.writableHighWaterMark, 1000)
    assert.equal(connection.write(Buffer.alloc(999)), true)
    assert.equal(connection.write('x'), false)
    await until(() => drains === 1, 'drain')
    assert.equal(connection.bytesQueued, 0)
    connection.destroy()
  },

  async 'keeps what arrives while paused, and the end too'(bench) {
    const place = bench.place()
    const listener = await bench.listen(place, {
      open(connection) {
        connection.write('one')
        connection.end()
      },
    })
    const received = new Received()
    const connection = await bench.connect(place, listener, received)
    connection.pause()
    assert.equal(connection.paused, true)
    await sleep(50)
    assert.equal(received.bytes, 0)
    assert.equal(received.ended, false)
    connection.resume()
    await received.closed
    assert.equal(received.text, 'one')
    assert.equal(received.ended, true)
  },

  async 'pausing within data stops the events at once and loses nothing'(bench) {
    const place = bench.place({ receiveBufferBytes: 64, receiveBuffers: 32 })
    const listener = await bench.listen(place, echo)
    const sent = pattern(200_000, 9)
    const chunks: Buffer[] = []
    let told = 0
    await new Promise<void>((resolve, reject) => {
      bench.connect(place, listener, {
        open(connection) {
          connection.write(sent)
          connection.end()
        },
        data(connection, chunk) {
          if (connection.paused) reject(new Error('data while paused'))
          chunks.push(chunk)
          connection.pause()
          if (told++ % 7 === 0) connection.resume()
          else setTimeout(() => connection.resume(), told % 3)
        },
        close: (_connection, error) => error ? reject(error) : resolve(),
      }).catch(reject)
    })
    assert.ok(Buffer.concat(chunks).equals(sent))
    await bench.assertEmpty()
  },

  async 'can be handed to another handler'(bench) {
    const place = bench.place()
    const listener = await bench.listen(place, echo)
    const first = new Received()
    const second = new Received()
    const connection = await bench.connect(place, listener, first)
    connection.write('1')
    await until(() => first.bytes === 1, 'the first echo')
    connection.handler = second
    connection.write('2')
    connection.end()
    await second.closed
    assert.equal(first.text, '1')
    assert.equal(second.text, '2')
    assert.equal(first.closes, 0)
  },
}

const endingTests: Record<string, Test> = {
  async 'half-open: a side that has ended still receives'(bench) {
    const place = bench.place()
    const listener = await bench.listen(place, {
      end(connection) {
        connection.write('after your end')
        connection.end()
      },
    }, { allowHalfOpen: true })
    const received = new Received()
    const connection = await bench.connect(place, listener, received, { allowHalfOpen: true })
    connection.end()
    connection.end()
    assert.equal(connection.state, 'ended')
    await received.closed
    assert.equal(received.text, 'after your end')
    assert.equal(received.error, undefined)
  },

  async 'without allowHalfOpen a side ends by itself after the peer has, once its queue is out'(bench) {
    const place = bench.place()
    const large = pattern(3_000_000, 2)
    const listener = await bench.listen(place, { open: (connection) => { connection.write(large) } })
    const received = new Received()
    const connection = await bench.connect(place, listener, received, { allowHalfOpen: true })
    connection.end()
    await received.closed
    assert.equal(received.ended, true)
    assert.ok(Buffer.concat(received.chunks).equals(large))
  },

  async 'write does not throw where the connection has ended by itself, but says so to its callback'(bench) {
    const place = bench.place()
    const large = pattern(16_000_000, 2)
    const told: unknown[] = []
    const listener = await bench.listen(place, {
      open: (connection) => { connection.write(large) },
      end: (connection) => setImmediate(() => {
        assert.equal(connection.state, 'ended')
        assert.equal(connection.write('x', (error) => told.push(error)), false)
        connection.end()
        assert.throws(() => connection.write('x'), hasCode('ERR_SHEAF_WRITE_AFTER_END'))
      }),
    })
    const received = new Received()
    const connection = await bench.connect(place, listener, received, { allowHalfOpen: true })
    connection.pause()
    connection.end()
    await until(() => told.length === 1, 'the callback')
    assert.ok(hasCode('ERR_SHEAF_CLOSED')(told[0]))
    connection.resume()
    await received.closed
    assert.ok(Buffer.concat(received.chunks).equals(large))
  },

  async 'write after end throws, and write after close says so to its callback'(bench) {
    const place = bench.place()
    const listener = await bench.listen(place, echo)
    const received = new Received()
    const connection = await bench.connect(place, listener, received)
    connection.write('sent')
    connection.end()
    assert.throws(() => connection.write('x'), hasCode('ERR_SHEAF_WRITE_AFTER_END'))
    await received.closed
    assert.equal(received.text, 'sent')
    const told: unknown[] = []
    assert.equal(connection.write('x', (error) => told.push(error)), false)
    await until(() => told.length === 1, 'the callback')
    assert.ok(hasCode('ERR_SHEAF_CLOSED')(told[0]))
  },

  async 'everything may be called on a closed connection, and nothing happens twice'(bench) {
    const place = bench.place()
    const listener = await bench.listen(place, echo)
    const received = new Received()
    const connection = await bench.connect(place, listener, received)
    const reason = new Error('mine')
    connection.destroy(reason)
    connection.destroy(new Error('late'))
    connection.end()
    connection.reset()
    await received.closed
    for (const method of ['destroy', 'end', 'reset', 'pause', 'resume', 'ref', 'unref', 'flush'] as const) {
      connection[method]()
    }
    await sleep(10)
    assert.equal(received.closes, 1)
    assert.equal(received.error, reason)
    await bench.assertEmpty()
  },

  async 'destroying with everything in flight leaves nothing behind, and the peer is told'(bench) {
    const place = bench.place()
    const peers: Received[] = []
    const paused: Transport[] = []
    const listener = await bench.listen(place, {
      open(connection) {
        const peer = new Received()
        peers.push(peer)
        paused.push(connection)
        connection.handler = peer
        connection.pause()
      },
    })
    const received = Array.from({ length: 20 }, () => new Received())
    const connections = await Promise.all(received.map((handler) => bench.connect(place, listener, handler)))
    await until(() => peers.length === 20, 'the peers')
    const errors: unknown[] = []
    // More than the kernel keeps for one that does not read.
    const large = pattern(20_000_000, 1)
    for (const connection of connections) connection.write(large, (error) => errors.push(error))
    await sleep(5)
    for (const connection of connections) connection.destroy()
    await Promise.all(received.map(({ closed }) => closed))
    assert.equal(errors.length, 20)
    assert.ok(errors.every(hasCode('ERR_SHEAF_CLOSED')))
    for (const connection of paused) connection.resume()
    await Promise.all(peers.map(({ closed }) => closed))
    await bench.assertEmpty()
  },

  // A cancelled send that has sent a part says so, and does not fail. The rest was sent anew by a connection that was
  // closing, and that send was never cancelled: it, and the descriptor, stayed for as long as the peer did not read.
  async 'destroyed with half a block sent to a peer that does not read, it closes'(bench) {
    const place = bench.place()
    const peers: Transport[] = []
    const listener = await bench.listen(place, {
      open(connection) {
        connection.pause()
        peers.push(connection)
      },
    })
    const received = Array.from({ length: 8 }, () => new Received())
    const connections = await Promise.all(received.map((handler) => bench.connect(place, listener, handler)))
    await Promise.all(connections.map(async (connection, index) => {
      // One span at a time, until the kernel takes no more.
      for (let waited = 0; waited < 20; waited++) {
        if (connection.bytesQueued === 0) {
          connection.write(pattern(15_000 + index * 131, 1))
          waited = 0
        }
        await sleep(1)
      }
    }))
    for (const connection of connections) connection.destroy()
    await Promise.all(received.map(({ closed }) => closed))
    for (const peer of peers) peer.destroy()
    await bench.assertEmpty()
  },

  async 'a closed listener keeps its connections, and closes once'(bench) {
    const place = bench.place()
    const listener = await bench.listen(place, echo)
    const received = new Received()
    const connection = await bench.connect(place, listener, received)
    await until(() => listener.connections === 1, 'the connection')
    await Promise.all([listener.close(), listener.close()])
    assert.equal(listener.listening, false)
    await assert.rejects(bench.connect(place, listener, {}))
    connection.write('still here')
    await until(() => received.bytes === 10, 'the echo')
    connection.end()
    await received.closed
    await until(() => listener.connections === 0, 'the count')
    await bench.assertEmpty()
  },
}

const ringTests: Record<string, Test> = {
  async 'a ring that is closed tells its connections, and refuses newcomers'(bench) {
    const place = bench.place()
    const received = new Received()
    const listener = await bench.listen(place, echo)
    const connection = await bench.connect(place, listener, received)
    connection.write(pattern(20_000_000, 1))
    place.close()
    place.close()
    assert.equal(received.closes, 1)
    assert.ok(hasCode('ERR_SHEAF_RING_CLOSED')(received.error))
    assert.equal(connection.state, 'closed')
    await assert.rejects(bench.connect(place, listener, {}), hasCode('ERR_SHEAF_RING_CLOSED'))
    await assert.rejects(bench.listen(place, {}), hasCode('ERR_SHEAF_RING_CLOSED'))
  },
}

/** A proxy to `target` at `place`, whose connections go on from `onwardPlace`. */
function proxyTo(bench: Bench, target: Listener, place: Place, onwardPlace: Place): Promise<Listener> {
  return bench.listen(place, {
    open(connection) {
      connection.pause()
      void bench.connect(onwardPlace, target, {}, { allowHalfOpen: true }).then((onward) => {
        connection.forward(onward)
        onward.forward(connection)
        connection.resume()
      })
    },
  }, { allowHalfOpen: true })
}

async function throughProxy(bench: Bench, place: Place, proxy: Listener, sizeBytes: number): Promise<void> {
  const sent = pattern(sizeBytes, 6)
  const received = new Received()
  const connection = await bench.connect(place, proxy, received, { allowHalfOpen: true })
  connection.write(sent)
  connection.end()
  await received.closed
  assert.equal(received.error, undefined)
  assert.ok(Buffer.concat(received.chunks).equals(sent))
}

const forwardingTests: Record<string, Test> = {
  async 'carries bytes both ways without copying, half-close and back-pressure included'(bench) {
    const place = bench.place()
    const target = await bench.listen(
      place,
      { ...echo, end: (connection) => connection.end() },
      { allowHalfOpen: true },
    )
    await throughProxy(bench, place, await proxyTo(bench, target, place, place), 20_000_000)
    await bench.assertEmpty()
    assert.ok(place.metrics.forwardPauses > 0)
  },

  async 'goes between two places as well'(bench) {
    const one = bench.place()
    const other = bench.place()
    const target = await bench.listen(other, { ...echo, end: (connection) => connection.end() })
    await throughProxy(bench, one, await proxyTo(bench, target, one, other), 5_000_000)
    await bench.assertEmpty()
  },

  async 'goes between io_uring and Node\'s sockets, either way'(bench) {
    const one = bench.place({}, fullTier)
    const other = bench.place({}, nodeTier)
    for (const [here, there] of [[one, other], [other, one]] as const) {
      const target = await bench.listen(there, { ...echo, end: (connection) => connection.end() })
      await throughProxy(bench, here, await proxyTo(bench, target, here, there), 5_000_000)
    }
    await bench.assertEmpty()
  },

  // It was only passed on when it came after `forward`: the receiver was reset in the end.
  async 'passes on an end that was told before'(bench) {
    const place = bench.place()
    const target = new Received()
    const listener = await bench.listen(place, { open: (connection) => { connection.handler = target } })
    const ended = await new Promise<Transport>((resolve, reject) => {
      const accepted = bench.listen(place, { end: resolve }, { allowHalfOpen: true })
      accepted.then((entry) => bench.connect(place, entry, { open: (client) => client.end() })).catch(reject)
    })
    ended.forward(await bench.connect(place, listener, {}))
    await target.closed
    assert.equal(target.error, undefined)
    assert.equal(target.ended, true)
    ended.end()
    await bench.assertEmpty()
  },

  async 'to a transport of the application\'s, which throws, resets the one that forwards and nobody else'(bench) {
    const place = bench.place()
    const fail = (message: string) => (): never => {
      throw new Error(message)
    }
    const failing = { state: 'open', write: fail('write'), reset: fail('reset') }
    const told = new Received()
    const listener = await bench.listen(place, echo)
    const forwarding = await bench.listen(place, {
      open: (connection) => { connection.forward(failing as unknown as Transport) },
      close: (connection, error) => { told.close(connection, error) },
    })
    const other = new Received()
    const errors = await uncaughtDuring(async () => {
      const connection = await bench.connect(place, listener, other)
      const source = new Received()
      const first = await bench.connect(place, forwarding, source)
      // Of several receives, of which the first throws.
      first.write(pattern(300_000, 1))
      connection.write(pattern(100_000, 2))
      await Promise.all([told.closed, source.closed, until(() => other.bytes === 100_000, 'the echo')])
      connection.write('more')
      await until(() => other.bytes === 100_004, 'the next echo')
      connection.end()
      await other.closed
    })
    assert.deepEqual(errors.map((error) => (error as Error).message), ['write', 'reset'])
    assert.equal(told.error?.message, 'write')
    assert.equal(told.closes, 1)
    assert.ok(Buffer.concat(other.chunks).subarray(0, 100_000).equals(pattern(100_000, 2)))
    await until(() => forwarding.connections === 0, 'the count')
    await bench.assertEmpty()
  },

  async 'from a connection that is closed already resets the receiver'(bench) {
    const place = bench.place()
    const told = new Received()
    const listener = await bench.listen(place, told)
    const closed = new Received()
    const one = await bench.connect(place, listener, closed)
    const receiver = new Received()
    const other = await bench.connect(place, listener, receiver)
    one.destroy()
    await closed.closed
    one.forward(other)
    await receiver.closed
    assert.equal(receiver.closes, 1)
    await until(() => listener.connections === 0, 'the count')
    await bench.assertEmpty()
  },

  async 'goes on to a transport of the application\'s that is full, and calls back before it says so'(bench) {
    const place = bench.place()
    const chunks: Uint8Array[] = []
    let ended = false
    const target = {
      state: 'open',
      write(chunk: Uint8Array, written: () => void) {
        chunks.push(Uint8Array.from(chunk))
        written()
        return false
      },
      end: () => { ended = true },
      reset: () => undefined,
    }
    const forwarding: Transport[] = []
    const listener = await bench.listen(place, {
      open: (connection) => {
        forwarding.push(connection)
        connection.forward(target as unknown as Transport)
      },
    })
    const source = await bench.connect(place, listener, {})
    for (const text of ['one', 'two', 'three']) {
      const before = chunks.length
      source.write(text)
      await until(() => chunks.length > before, text)
    }
    source.end()
    await until(() => ended, 'the end')
    assert.equal(Buffer.concat(chunks).toString(), 'onetwothree')
    for (const connection of forwarding) connection.end()
    await bench.assertEmpty()
  },

  async 'refuses a second receiver and itself'(bench) {
    const place = bench.place()
    const listener = await bench.listen(place, echo)
    const one = await bench.connect(place, listener, {})
    const other = await bench.connect(place, listener, {})
    assert.throws(() => one.forward(one), hasCode('ERR_SHEAF_FORWARDING'))
    one.forward(other)
    assert.throws(() => one.forward(other), hasCode('ERR_SHEAF_FORWARDING'))
    one.destroy()
    other.destroy()
    await bench.assertEmpty()
  },
}

function integrityTests(options: RingOptions): Record<string, Test> {
  return {
    async 'an echo of random chunks from 1 byte to 8 MB comes back whole and in order'(bench) {
      const place = bench.place(options)
      const listener = await bench.listen(place, echo)
      const tiny = (options.receiveBufferBytes ?? 4096) < 512
      const sizes = tiny ? [1, 100, 200 * 1024] : [1, 100 * 1024, 8 * 2 ** 20]
      let seed = 1
      for (const size of sizes) {
        for (const chunkBytesMax of [1024, 8 * 2 ** 20]) {
          await echoed(bench, place, listener, size, seed++, chunkBytesMax)
        }
      }
      await echoed(bench, place, listener, 5000, seed, 1)
      await bench.assertEmpty()
    },

    async 'a hundred connections at once keep their bytes apart'(bench) {
      const place = bench.place(options)
      const listener = await bench.listen(place, echo)
      const sizeBytes = options.receiveBuffers === 2 ? 2048 : 20 * 1024
      await Promise.all(
        Array.from({ length: 100 }, (_, index) => echoed(bench, place, listener, sizeBytes, index + 1, 3072)),
      )
      await bench.assertEmpty()
    },
  }
}

/**
 * Defines the tests that the streams of every address family must pass: the contract in `transport.ts` on every tier,
 * integrity of bytes with small pools too, forwarding, and that nothing is left behind.
 */
export function testStreams<T extends Transport>(
  name: string,
  family: StreamFamily<T>,
  { describe, it }: TestFramework,
): void {
  const define = (group: string, tier: Tier, tests: Record<string, Test>): void => {
    describe(group, () => {
      for (const [title, test] of Object.entries(tests)) {
        it(title, async () => {
          const bench = new Bench(family, tier)
          try {
            await test(bench)
          } finally {
            await bench.close()
          }
        })
      }
    })
  }
  describe(name, () => {
    for (const tier of tiers) {
      describe(`on ${tier.name}`, () => {
        define('a connection', tier, connectionTests)
        define('ending', tier, endingTests)
        define('forwarding', tier, forwardingTests)
        if (tier.ring !== undefined) define('a ring', tier, ringTests)
      })
    }
    for (const [title, options] of Object.entries(configurations)) {
      define(`with ${title}`, fullTier, integrityTests(options))
    }
    define(`on ${nodeTier.name}`, nodeTier, integrityTests({}))
  })
}
