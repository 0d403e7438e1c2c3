import { getEventListeners } from 'node:events'
import type { Ring } from '@sheaf/ring'
import { expect, it } from 'vitest'
import { connect, listen, type TcpConnection, type TcpListener } from '../src/index'
import { client, loopback, openDescriptors, ownedDescriptors, Random, server, testRing, untilIdle } from './support'

const cycles = 100_000
/** Enough for V8 to make its heap as large as it will: with Node 24 it grows by 95 MiB. */
const cyclesBefore = 25_000
const atOnce = 50
const mib = 1024 * 1024

/** One connection from beginning to end. */
type Cycle = (ring: Ring, listener: TcpListener, random: Random) => Promise<void>

interface Memory {
  readonly javascriptBytes: number
  /** Resident besides V8's heap, whose size is V8's choice: {@link javascriptBytes} says what is used of it. */
  readonly outsideHeapBytes: number
}

/** What is left after collections; the second takes what finalizers of the first have let go. */
async function collected(): Promise<Memory> {
  for (let round = 0; round < 3; round++) {
    globalThis.gc?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const { heapUsed, heapTotal, arrayBuffers, rss } = process.memoryUsage()
  return { javascriptBytes: heapUsed + arrayBuffers, outsideHeapBytes: rss - heapTotal }
}

/** Runs `count` cycles, `atOnce` side by side. */
async function run(count: number, cycle: () => Promise<void>): Promise<void> {
  let left = count
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (left-- > 0) await cycle()
  }))
}

async function leavesNothing(cycle: Cycle): Promise<void> {
  const ring = testRing()
  const listener = await server(ring, {
    data: (connection, chunk) => void connection.write(chunk),
  })
  const random = new Random(42)
  const one = (): Promise<void> => cycle(ring, listener, random)
  await run(cyclesBefore, one)
  await untilIdle(ring, 1)
  const before = {
    descriptors: openDescriptors(),
    owned: ownedDescriptors().length,
    usage: ring.usage,
    memory: await collected(),
  }
  await run(cycles, one)
  await untilIdle(ring, 1)
  expect(openDescriptors()).toBe(before.descriptors)
  expect(ownedDescriptors()).toHaveLength(before.owned)
  expect(ring.usage).toEqual(before.usage)
  expect(ring.metrics.staleCompletions).toBe(0)
  expect(listener.connections).toBe(0)
  // Flat: 20 bytes a cycle would be too much. What the allocators keep resident varies with the machine's load.
  const after = await collected()
  expect(after.javascriptBytes - before.memory.javascriptBytes).toBeLessThan(2 * mib)
  expect(after.outsideHeapBytes - before.memory.outsideHeapBytes).toBeLessThan(48 * mib)
}

const message = Buffer.from('a message to be echoed')

it('connections that are idle hold no memory for what they may receive', async () => {
  const idle = 500
  const ring = testRing()
  const listener = await server(ring, { data: (connection, chunk) => void connection.write(chunk) })
  const round = async (): Promise<TcpConnection> => {
    let told = (): void => undefined
    const echoed = new Promise<void>((resolve) => { told = resolve })
    const connection = await client(ring, listener, { data: () => told() })
    connection.write(message)
    await echoed
    return connection
  }
  const open = [await round()]
  await collected()
  const before = process.memoryUsage().arrayBuffers
  for (let count = 0; count < idle; count++) open.push(await round())
  await collected()
  // Some connections hold the chunk that they were told of last.
  expect((process.memoryUsage().arrayBuffers - before) / (2 * idle)).toBeLessThan(2 * message.length)
  for (const connection of open) connection.destroy()
})

it(`${cycles} times connect, echo and close leave everything where it was`, async () => {
  await leavesNothing((ring, { address: { port } }) => new Promise((resolve, reject) => {
    connect({ host: loopback, port, ring }, {
      open: (connection) => void connection.write(message),
      data: (connection) => connection.end(),
      close: (_connection, error) => error ? reject(error) : resolve(),
    }).catch(reject)
  }))
}, 240_000)

it(`${cycles} times connect, echo and reset leave everything where it was`, async () => {
  await leavesNothing((ring, { address: { port } }) => new Promise((resolve, reject) => {
    connect({ host: loopback, port, ring }, {
      open: (connection) => void connection.write(message),
      data: (connection) => connection.reset(),
      close: (_connection, error) => error ? reject(error) : resolve(),
    }).catch(reject)
  }))
}, 240_000)

it(`${cycles} times destroy at a random moment leave everything where it was`, async () => {
  const large = Buffer.alloc(300_000)
  await leavesNothing((ring, { address: { port } }, random) => new Promise((resolve) => {
    const moment = random.below(6)
    const signal = moment === 0 ? AbortSignal.timeout(0) : undefined
    const end = (connection: TcpConnection): void => random.below(2) === 0 ? connection.reset() : connection.destroy()
    connect({ host: loopback, port, ring, ...(signal && { signal }) }, {
      open(connection) {
        if (moment === 1) {
          end(connection)
          return
        }
        connection.write(moment === 2 ? large : message)
        if (moment === 2 || moment === 3) setImmediate(end, connection)
        if (moment === 4) connection.end()
      },
      data: (connection) => moment === 0 ? connection.destroy() : end(connection),
      close: () => resolve(),
    }).catch(() => resolve())
  }))
}, 240_000)

it('a listener that is closed is not held by its signal', async () => {
  const { signal } = new AbortController()
  for (const backend of ['ring', 'node'] as const) {
    const listener = await listen({ host: loopback, port: 0, signal, backend }, {})
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    await listener.close()
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  }
})
