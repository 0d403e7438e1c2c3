import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type {
  Address, BackendOptions, MessageBatch, MessageHandler, MessageSocketOptions, MessageTransport, RingOptions,
} from '@sheaf/ring'
import { pattern, until } from './fixtures'
import { fullTier, type Place, placeOn, type Tier } from './place'
import { Random } from './random'
import type { TestFramework } from './streams'

/** A socket of any family: destinations are not the suite's. */
export type AnyMessageTransport = MessageTransport<Address, never>

/** Two sockets, of which one sends to the other. */
export interface MessageExchange<T extends AnyMessageTransport = AnyMessageTransport> {
  /** Needs no destination for what it sends. */
  readonly sender: T
  readonly receiver: T
  /** Sends from the receiver to the sender. */
  answer(chunk: Uint8Array): boolean
  /** Closes what else there is, such as a listener. */
  close?(): Promise<void>
}

/** How an address family's message sockets are made, and what they can. */
export interface MessageFamily<T extends AnyMessageTransport = AnyMessageTransport> {
  /** Makes two sockets. @param where both are. @param options of the sender. */
  open(
    where: BackendOptions,
    handlers: { readonly sender: MessageHandler<T>, readonly receiver: MessageHandler<T> },
    options: MessageSocketOptions,
  ): Promise<MessageExchange<T>>
  /** The largest message that is sent. */
  readonly messageBytesMax: number
  /** A receiver that does not read holds the sender back: nothing is lost. */
  readonly reliable: boolean
}

type Handler = MessageHandler<AnyMessageTransport>

/** What a socket was told. */
class Told implements Handler {
  readonly chunks: Buffer[] = []
  readonly errors: Error[] = []
  drains = 0
  closes = 0
  closeError: Error | undefined

  get texts(): string[] {
    return this.chunks.map(String)
  }

  message(_transport: AnyMessageTransport, chunk: Buffer): void {
    this.chunks.push(chunk)
  }

  drain(): void {
    this.drains++
  }

  error(_transport: AnyMessageTransport, error: Error): void {
    this.errors.push(error)
  }

  close(_transport: AnyMessageTransport, error?: Error): void {
    this.closes++
    this.closeError = error
  }

  async arrived(count: number): Promise<void> {
    await until(() => this.chunks.length >= count, `${count} messages, of which ${this.chunks.length} came`)
  }
}

/** One test's places and sockets, which are closed when it is over. */
class Bench {
  readonly family: MessageFamily
  readonly #tier: Tier
  readonly #places: Place[] = []
  readonly #exchanges: MessageExchange[] = []

  constructor(family: MessageFamily, tier: Tier) {
    this.family = family
    this.#tier = tier
  }

  place(options?: RingOptions): Place {
    const place = placeOn(this.#tier, options)
    this.#places.push(place)
    return place
  }

  async open(
    place: Place,
    sender: Handler,
    receiver: Handler,
    options: MessageSocketOptions = {},
  ): Promise<MessageExchange> {
    const exchange = await this.family.open(place.options, { sender, receiver }, options)
    this.#exchanges.push(exchange)
    return exchange
  }

  /** Closes the sockets; then nothing may be left in the places. */
  async assertEmpty(): Promise<void> {
    await this.#closeSockets()
    for (const place of this.#places) await place.assertIdle()
  }

  async close(): Promise<void> {
    await this.#closeSockets()
    for (const place of this.#places) place.close()
  }

  async #closeSockets(): Promise<void> {
    for (const exchange of this.#exchanges) {
      exchange.sender.destroy()
      exchange.receiver.destroy()
      await exchange.close?.()
    }
  }
}

type Test = (bench: Bench) => Promise<void>

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => (error as NodeJS.ErrnoException).code === code
}

/** Messages, and bytes, that any receiver has room for before it has read one. */
const windowMessages = 8
const windowBytes = 60_000

/** Sends messages of random sizes, no more at once than the receiver has room for, and compares what arrives. */
async function exchanged(bench: Bench, place: Place, count: number, seed: number): Promise<void> {
  const random = new Random(seed)
  const received = new Told()
  const { sender } = await bench.open(place, {}, received)
  const failed: Error[] = []
  let sentCount = 0
  let outstanding: Buffer[] = []
  while (sentCount < count) {
    let bytes = 0
    while (outstanding.length < windowMessages && bytes < windowBytes && sentCount < count) {
      // A size is as likely to come again as to change, and one in eight is empty.
      const last = outstanding.at(-1)?.byteLength
      const size = last !== undefined && random.below(2) === 0 ? last : random.size(bench.family.messageBytesMax) - 1
      const chunk = pattern(random.below(8) === 0 ? 0 : size, sentCount)
      sender.send(chunk, (error) => {
        if (error !== undefined) failed.push(error)
      })
      outstanding.push(chunk)
      bytes += chunk.byteLength
      sentCount++
    }
    await received.arrived(sentCount)
    assert.equal(received.chunks.length, sentCount)
    const arrived = received.chunks.slice(-outstanding.length)
    for (const [index, chunk] of outstanding.entries()) {
      assert.equal(arrived[index].byteLength, chunk.byteLength)
      assert.ok(arrived[index].equals(chunk))
    }
    outstanding = []
  }
  assert.deepEqual(failed, [])
  await bench.assertEmpty()
}

const messageTests: Record<string, Test> = {
  async 'keeps the boundaries and the order of messages of random sizes, empty ones among them'(bench) {
    await exchanged(bench, bench.place(), 2000, 1)
  },

  async 'does so with queues that are always full'(bench) {
    await exchanged(bench, bench.place({ submissionEntries: 4, completionEntries: 8 }), 1000, 2)
  },

  async 'is sent empty messages between others, at the beginning and in the end'(bench) {
    const received = new Told()
    const { sender } = await bench.open(bench.place(), {}, received)
    for (const text of ['', '', 'a', '', 'b', '']) sender.send(text)
    await received.arrived(6)
    assert.deepEqual(received.texts, ['', '', 'a', '', 'b', ''])
  },

  async 'takes a message as large as it may be'(bench) {
    const received = new Told()
    const { sender } = await bench.open(bench.place(), {}, received)
    const sent = pattern(bench.family.messageBytesMax, 3)
    for (let round = 1; round <= 3; round++) {
      sender.send(sent)
      await received.arrived(round)
    }
    for (const chunk of received.chunks) assert.ok(chunk.equals(sent))
  },

  async 'can be answered'(bench) {
    const told = new Told()
    const exchange = await bench.open(bench.place(), told, {
      message: (_transport, chunk) => void exchange.answer(chunk),
    })
    for (let index = 0; index < 100; index++) {
      exchange.sender.send(`message ${index}`)
      await told.arrived(index + 1)
    }
    assert.deepEqual(told.texts, Array.from({ length: 100 }, (_, index) => `message ${index}`))
  },

  async 'goes on with the handler that a message has put in its place, whatever that wants to be told'(bench) {
    const texts: string[] = []
    const alone = (batch: MessageBatch): void => {
      for (let index = 0; index < batch.count; index++) texts.push(batch.chunk(index).toString())
    }
    const { sender } = await bench.open(bench.place(), {}, {
      message(transport, chunk) {
        texts.push(chunk.toString())
        const next: MessageHandler = { messages: (_transport, batch) => { alone(batch) } }
        Object.assign(transport, { handler: next })
      },
    })
    sender.sendMany(['a', 'b', 'c', 'd'])
    await until(() => texts.length === 4, 'four messages')
    assert.deepEqual(texts, ['a', 'b', 'c', 'd'])
  },

  async 'hands over batches, which are valid until the handler returns'(bench) {
    const texts: string[] = []
    let kept: MessageBatch | undefined
    const { sender } = await bench.open(bench.place(), {}, {
      messages(_transport, batch) {
        kept = batch
        for (const none of [batch.count, -1, 0.5, NaN]) assert.throws(() => batch.lengthBytes(none), RangeError)
        for (let index = 0; index < batch.count; index++) {
          const view = batch.view(index)
          const start = batch.offset(index)
          assert.ok(view.equals(batch.memory(index).subarray(start, start + batch.lengthBytes(index))))
          assert.ok(view.equals(batch.chunk(index)))
          assert.ok(typeof batch.from(index) === 'object')
          texts.push(view.toString())
        }
      },
    })
    sender.sendMany(['a', 'bc', '', 'd'])
    await until(() => texts.length === 4, 'four messages')
    assert.deepEqual(texts, ['a', 'bc', '', 'd'])
    assert.equal(kept?.count, 0)
  },

  async 'copies what is sent, whatever kind of bytes it is, and writes strings as UTF-8'(bench) {
    const received = new Told()
    const { sender } = await bench.open(bench.place(), {}, received)
    const chunk = Buffer.from('before')
    sender.send(chunk)
    chunk.fill('x')
    sender.send(new Uint8Array([104, 105]))
    sender.send(new Uint8Array(new ArrayBuffer(8), 2, 3))
    sender.send('h€😀')
    await received.arrived(4)
    assert.deepEqual(received.texts, ['before', 'hi', '\0\0\0', 'h€😀'])
  },

  async 'hands over chunks that are the receiver\'s own'(bench) {
    const received = new Told()
    const { sender } = await bench.open(bench.place(), {}, received)
    sender.sendMany(['first', 'other'])
    await received.arrived(2)
    received.chunks[0].fill('x')
    assert.equal(received.texts[1], 'other')
    sender.sendMany(['third', 'fifth'])
    await received.arrived(4)
    assert.deepEqual(received.texts, ['xxxxx', 'other', 'third', 'fifth'])
  },

  async 'can be handed to another handler'(bench) {
    const [first, second] = [new Told(), new Told()]
    const { sender, receiver } = await bench.open(bench.place(), {}, first)
    sender.send('1')
    await first.arrived(1)
    ;(receiver as unknown as { handler: Handler }).handler = second
    sender.send('2')
    await second.arrived(1)
    assert.deepEqual([first.texts, second.texts], [['1'], ['2']])
  },
}

const queueTests: Record<string, Test> = {
  async 'calls back for each message in order, and counts'(bench) {
    const received = new Told()
    const { sender, receiver } = await bench.open(bench.place(), {}, received)
    const order: string[] = []
    sender.send('a', (error) => order.push(`a ${String(error)}`))
    sender.send('bc', () => order.push('bc'))
    sender.send('', () => order.push(`empty ${sender.messagesQueued}`))
    assert.deepEqual([sender.bytesQueued, sender.messagesQueued], [3, 3])
    await received.arrived(3)
    await until(() => order.length === 3, 'the callbacks')
    assert.deepEqual(order, ['a undefined', 'bc', 'empty 0'])
    assert.deepEqual([sender.bytesWritten, sender.messagesWritten], [3, 3])
    assert.deepEqual([receiver.bytesRead, receiver.messagesRead], [3, 3])
    assert.deepEqual([sender.bytesQueued, sender.messagesQueued], [0, 0])
  },

  async 'calls back once for many, and for none of them'(bench) {
    const received = new Told()
    const { sender } = await bench.open(bench.place(), {}, received)
    const outcomes: unknown[] = []
    sender.sendMany(new Set(['a', 'b', 'c']), undefined, (error) => outcomes.push(error))
    sender.sendMany([], undefined, (error) => outcomes.push(error))
    await until(() => outcomes.length === 2, 'two callbacks')
    await received.arrived(3)
    assert.deepEqual(outcomes, [undefined, undefined])
    assert.deepEqual(received.texts, ['a', 'b', 'c'])
  },

  async 'sends at once what is flushed'(bench) {
    const received = new Told()
    const { sender } = await bench.open(bench.place(), {}, received)
    await sleep(1)
    const before = process.hrtime.bigint()
    sender.send('now')
    sender.flush()
    // The thread stands still: only what is in the kernel already can be there afterwards.
    while (process.hrtime.bigint() - before < 2_000_000n);
    await received.arrived(1)
    assert.equal(sender.messagesQueued, 0)
  },

  async 'says false at the high-water mark, and drain below the low one'(bench) {
    const told = new Told()
    const { sender } = await bench.open(bench.place(), told, {}, { writableHighWaterMark: 1000 })
    assert.equal(sender.writableHighWaterMark, 1000)
    assert.equal(sender.send(Buffer.alloc(999)), true)
    assert.equal(sender.send('x'), false)
    await until(() => told.drains === 1, 'drain')
    assert.equal(sender.bytesQueued, 0)
  },

  async 'a message that is too large fails alone'(bench) {
    const received = new Told()
    const told = new Told()
    const { sender } = await bench.open(bench.place(), told, received)
    const outcomes: unknown[] = []
    const tooLarge = Buffer.alloc(2 ** 21)
    sender.send('before', (error) => outcomes.push(error))
    sender.send(tooLarge, (error) => outcomes.push((error as NodeJS.ErrnoException).code))
    sender.send(tooLarge)
    sender.send('after', (error) => outcomes.push(error))
    await received.arrived(2)
    await until(() => outcomes.length === 3 && told.errors.length === 1, 'all outcomes')
    assert.deepEqual(received.texts, ['before', 'after'])
    assert.equal(outcomes.filter((outcome) => outcome === 'EMSGSIZE').length, 1)
    assert.ok(hasCode('EMSGSIZE')(told.errors[0]))
    assert.equal(sender.state, 'open')
  },

  async 'refuses what is no chunk, no destination and no callback, and sends nothing of it'(bench) {
    const { sender } = await bench.open(bench.place(), {}, {})
    for (const chunk of [undefined, null, 1, {}, [1], new ArrayBuffer(1), new DataView(new ArrayBuffer(1))]) {
      assert.throws(() => sender.send(chunk as never), hasCode('ERR_INVALID_ARG_TYPE'))
      assert.throws(() => sender.sendMany(['x', chunk as never]), hasCode('ERR_INVALID_ARG_TYPE'))
    }
    assert.throws(() => sender.send('x', undefined, 1 as never), hasCode('ERR_INVALID_ARG_TYPE'))
    for (const to of [null, 1, 'somebody', true]) {
      assert.throws(() => sender.send('x', to as never), hasCode('ERR_INVALID_ARG_TYPE'))
      assert.throws(() => sender.sendMany(['x'], to as never), hasCode('ERR_INVALID_ARG_TYPE'))
    }
    for (const chunks of [undefined, null, 1, {}, 'text']) {
      assert.throws(() => sender.sendMany(chunks as never), hasCode('ERR_INVALID_ARG_TYPE'))
    }
    assert.deepEqual([sender.bytesQueued, sender.messagesQueued], [0, 0])
    await bench.assertEmpty()
  },
}

/** Of sockets whose receivers hold the sender back. */
const reliableTests: Record<string, Test> = {
  async 'waits for a receiver that does not read, and loses and swaps nothing'(bench) {
    const count = 10_000
    const told = new Told()
    const wrong: string[] = []
    let expected = 0
    const { sender, receiver } = await bench.open(bench.place(), told, {
      message(transport, chunk) {
        if (chunk.toString() !== `message ${expected++}`) wrong.push(`${chunk.toString()} for ${expected - 1}`)
        // Now and then it does not read for a while.
        if (expected % 1000 !== 0) return
        transport.pause()
        setTimeout(() => transport.resume(), 2)
      },
    }, { writableHighWaterMark: 10_000 })
    receiver.pause()
    let sent = 0
    const send = (): void => {
      while (sent < count && sender.send(`message ${sent++}`));
    }
    send()
    await sleep(20)
    assert.ok(sent < count && sender.messagesQueued > 0)
    assert.equal(told.drains, 0)
    ;(sender as unknown as { handler: Handler }).handler = {
      drain() {
        told.drains++
        send()
      },
    }
    receiver.resume()
    await until(() => expected === count, 'all messages')
    assert.deepEqual(wrong, [])
    assert.notEqual(told.drains, 1)
    await bench.assertEmpty()
  },
}

const endingTests: Record<string, Test> = {
  async 'keeps what arrives while paused'(bench) {
    const received = new Told()
    const { sender, receiver } = await bench.open(bench.place(), {}, received)
    receiver.pause()
    assert.equal(receiver.paused, true)
    for (let index = 0; index < windowMessages; index++) sender.send(String(index))
    await sleep(20)
    assert.deepEqual(received.texts, [])
    receiver.resume()
    await received.arrived(windowMessages)
    assert.deepEqual(received.texts, Array.from({ length: windowMessages }, (_, index) => String(index)))
  },

  async 'pausing within message stops at once, and loses nothing'(bench) {
    const texts: string[] = []
    let wrong = false
    const { sender } = await bench.open(bench.place(), {}, {
      message(transport, chunk) {
        if (transport.paused) wrong = true
        texts.push(chunk.toString())
        transport.pause()
        if (texts.length % 3 === 0) transport.resume()
        else setTimeout(() => transport.resume(), 1)
      },
    })
    for (let round = 0; round < 10; round++) {
      for (let index = 0; index < windowMessages; index++) sender.send(`${round} ${index}`)
      await until(() => texts.length === (round + 1) * windowMessages, 'a round of messages')
    }
    assert.equal(wrong, false)
    assert.equal(new Set(texts).size, 10 * windowMessages)
    assert.deepEqual(texts, [...texts].sort())
    await bench.assertEmpty()
  },

  async 'close sends what is queued; then it is closed, once'(bench) {
    const [told, received] = [new Told(), new Told()]
    const { sender } = await bench.open(bench.place(), told, received)
    const outcomes: unknown[] = []
    for (let index = 0; index < windowMessages; index++) sender.send(String(index), (error) => outcomes.push(error))
    sender.close()
    sender.close()
    assert.equal(sender.state, 'ended')
    await until(() => told.closes === 1, 'close')
    await received.arrived(windowMessages)
    assert.equal(told.closeError, undefined)
    assert.equal(sender.state, 'closed')
    assert.deepEqual(outcomes, new Array(windowMessages).fill(undefined))
    sender.destroy()
    sender.pause()
    sender.resume()
    sender.flush()
    assert.equal(sender.send('late', (error) => outcomes.push((error as NodeJS.ErrnoException).code)), false)
    await until(() => outcomes.length > windowMessages, 'the refusal')
    assert.equal(outcomes.at(-1), 'ERR_SHEAF_CLOSED')
    assert.equal(told.closes, 1)
    await bench.assertEmpty()
  },

  async 'destroy drops what is queued, and says so'(bench) {
    const told = new Told()
    const { sender } = await bench.open(bench.place(), told, {})
    const outcomes: unknown[] = []
    const reason = new Error('a reason')
    for (let index = 0; index < 20; index++) sender.send(String(index), (error) => outcomes.push(error))
    sender.destroy(reason)
    sender.destroy(new Error('another'))
    assert.equal(sender.send('late', (error) => outcomes.push(error)), false)
    await until(() => told.closes === 1, 'close')
    assert.equal(told.closeError, reason)
    await until(() => outcomes.length === 21, 'all callbacks')
    assert.deepEqual(outcomes, new Array(21).fill(reason))
    await bench.assertEmpty()
  },

  async 'sockets closed at every moment leave everything where it was'(bench) {
    const place = bench.place()
    const random = new Random(7)
    const cycle = async (): Promise<void> => {
      const [told, received] = [new Told(), new Told()]
      const exchange = await bench.family.open(place.options, { sender: told, receiver: received }, {})
      const { sender, receiver } = exchange
      const moment = random.below(7)
      if (moment > 0) sender.sendMany(['a', '', 'bb', Buffer.alloc(random.below(bench.family.messageBytesMax))])
      if (moment === 2) sender.flush()
      if (moment === 3) receiver.pause()
      if (moment === 4) await received.arrived(1)
      if (moment === 5) await sleep(0)
      if (moment === 6) sender.close()
      else sender.destroy()
      if (random.below(2) === 0) receiver.destroy()
      else receiver.close()
      await exchange.close?.()
      await until(() => told.closes === 1 && received.closes === 1, 'both to close')
    }
    for (let index = 0; index < 20; index++) await cycle()
    await place.assertIdle()
    const descriptors = readdirSync('/proc/self/fd').length
    await Promise.all(Array.from({ length: 20 }, async () => {
      for (let index = 0; index < 25; index++) await cycle()
    }))
    await place.assertIdle()
    assert.equal(readdirSync('/proc/self/fd').length, descriptors)
  },
}

const ringTests: Record<string, Test> = {
  async 'the ring closes its sockets, in flight or not'(bench) {
    const descriptors = readdirSync('/proc/self/fd').length
    for (let index = 0; index < 10; index++) {
      const place = bench.place()
      const [told, received] = [new Told(), new Told()]
      const exchange = await bench.family.open(place.options, { sender: told, receiver: received }, {})
      const outcomes: unknown[] = []
      for (let size = 0; size < 30; size++) exchange.sender.send(Buffer.alloc(size), (error) => outcomes.push(error))
      if (index % 2 === 0) exchange.sender.flush()
      if (index % 3 === 0) await sleep(0)
      place.close()
      assert.deepEqual([told.closes, received.closes, outcomes.length], [1, 1, 30])
      assert.ok(hasCode('ERR_SHEAF_RING_CLOSED')(told.closeError))
      await exchange.close?.()
    }
    await until(() => readdirSync('/proc/self/fd').length <= descriptors, 'all descriptors to be closed')
  },
}

/** Defines the tests that sockets which keep message boundaries must pass, whatever their family, on one tier. */
export function testMessages<T extends AnyMessageTransport>(
  name: string,
  family: MessageFamily<T>,
  framework: TestFramework,
  tier = fullTier,
): void {
  const groups: Record<string, Record<string, Test>> = {
    'a message': messageTests, 'the queue': queueTests, 'ending': endingTests,
  }
  if (family.reliable) groups.backpressure = reliableTests
  if (tier.ring !== undefined) groups['a ring'] = ringTests
  framework.describe(`${name}, on ${tier.name}`, () => {
    for (const [group, tests] of Object.entries(groups)) {
      framework.describe(group, () => {
        for (const [title, test] of Object.entries(tests)) {
          framework.it(title, async () => {
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
  })
}
