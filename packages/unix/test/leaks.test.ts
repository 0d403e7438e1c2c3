import type { Ring } from '@sheaf/ring'
import { openDescriptors, ownedDescriptors, Random, untilIdle } from '@sheaf/ring/testing'
import { expect, it } from 'vitest'
import { connect, socketpair, type UnixConnection } from '../src/index'
import { heldBytes, server, testRing } from './support'

const cycles = 100_000
/** The heap has its size after that many. */
const warmUpCycles = 10_000
const atOnce = 50
const message = Buffer.from('a message to be echoed')

/** One connection from beginning to end. */
type Cycle = (ring: Ring, path: string, random: Random) => Promise<void>

/** Runs `count` cycles, `atOnce` side by side. */
async function run(count: number, cycle: () => Promise<void>): Promise<void> {
  let left = count
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (left-- > 0) await cycle()
  }))
}

async function leavesNothing(cycle: Cycle): Promise<void> {
  const ring = testRing()
  const listener = await server(ring, { data: (connection, chunk) => void connection.write(chunk) })
  const random = new Random(42)
  const one = (): Promise<void> => cycle(ring, listener.address.path, random)
  await run(warmUpCycles, one)
  await untilIdle(ring, 1)
  const before = {
    descriptors: openDescriptors(),
    owned: ownedDescriptors().length,
    usage: ring.usage,
    held: await heldBytes(),
    resident: process.memoryUsage().rss,
  }
  await run(cycles, one)
  await untilIdle(ring, 1)
  expect(openDescriptors()).toBe(before.descriptors)
  expect(ownedDescriptors()).toHaveLength(before.owned)
  expect(ring.usage).toEqual(before.usage)
  expect(ring.metrics.staleCompletions).toBe(0)
  expect(listener.connections).toBe(0)
  // Flat: 100 bytes a cycle would already be 10 MB.
  expect(await heldBytes() - before.held).toBeLessThan(8 * 1024 * 1024)
  // What is resident depends on when freed memory goes back to the system. A block a cycle would be hundreds of MB.
  expect(process.memoryUsage().rss - before.resident).toBeLessThan(64 * 1024 * 1024)
}

it(`${cycles} times connect, echo and close leave everything where it was`, async () => {
  await leavesNothing((ring, path) => new Promise((resolve, reject) => {
    connect({ path, ring }, {
      open: (connection) => void connection.write(message),
      data: (connection) => connection.end(),
      close: (_connection, error) => error ? reject(error) : resolve(),
    }).catch(reject)
  }))
}, 120_000)

it(`${cycles} times destroy at a random moment leave everything where it was`, async () => {
  const large = Buffer.alloc(300_000)
  await leavesNothing((ring, path, random) => new Promise((resolve) => {
    const moment = random.below(6)
    const signal = moment === 0 ? AbortSignal.timeout(0) : undefined
    connect({ path, ring, ...(signal && { signal }) }, {
      open(connection) {
        if (moment === 1) {
          connection.destroy()
          return
        }
        connection.write(moment === 2 ? large : message)
        if (moment === 2 || moment === 3) setImmediate(() => connection.destroy())
        if (moment === 4) connection.end()
      },
      data: (connection) => connection.destroy(),
      close: () => resolve(),
    }).catch(() => resolve())
  }))
}, 120_000)

it(`${cycles} socket pairs leave everything where it was`, async () => {
  await leavesNothing((ring) => new Promise((resolve) => {
    let open = 2
    const handler = {
      data: (connection: UnixConnection) => connection.end(),
      close: () => {
        if (--open === 0) resolve()
      },
    }
    const [first] = socketpair({ ring }, handler)
    first.write(message)
  }))
}, 120_000)
