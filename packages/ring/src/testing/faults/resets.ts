import assert from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Ring, StreamHandler, Transport } from '@sheaf/ring'
import type { Bench, Test } from './bench'
import { pattern, Received, until, writeGathered } from '../fixtures'
import type { FaultFamily } from './family'

/** The two ends of a connection, and what this end is told. */
interface Pair {
  readonly local: Transport
  readonly remote: Transport
  readonly told: Received
  readonly ring: Ring
  /** Errors, or their absence, that callbacks of `local` were told. */
  readonly outcomes: unknown[]
}

const large = pattern(3_000_000, 1)
/** More than the kernel has room for. */
const huge = Buffer.concat(Array<Buffer>(10).fill(large))

/** States in which a connection may be reset: each brings `local` there. */
const states: Record<string, (pair: Pair) => Promise<void> | void> = {
  'idle': () => undefined,
  'paused, with bytes that the kernel keeps': async ({ local, remote }) => {
    local.pause()
    remote.write(large.subarray(0, 100_000))
    await until(() => remote.bytesWritten > 0, 'bytes to leave')
  },
  'with chunks that it keeps itself': async ({ local, remote, told }) => {
    local.handler = {
      data(connection, chunk) {
        told.data(connection, chunk)
        connection.pause()
      },
      close: (connection, error) => told.close(connection, error),
    }
    remote.write(large)
    await until(() => told.bytes > 0, 'the first chunk')
  },
  'with a bundle in flight': async ({ local, remote, outcomes, ring }) => {
    remote.pause()
    writeGathered(local, large, (error) => outcomes.push(error))
    await until(() => ring.usage.groups > 0, 'a leased group')
  },
  'with a part of a large chunk sent': async ({ local, remote, outcomes, ring }) => {
    remote.pause()
    local.write(huge, (error) => outcomes.push(error))
    await until(() => ring.metrics.sendsInPlace > 0 && ring.usage.sendBlocks > 0, 'a part to wait in the kernel')
  },
  'half-closed, waiting for the peer\'s end': async ({ local }) => {
    await new Promise<unknown>((resolve) => local.end(resolve))
  },
  'after the peer\'s end': async ({ remote, told }) => {
    remote.end()
    await until(() => told.ended, 'the end')
  },
  'ended, with its queue not out': async ({ local, remote, outcomes }) => {
    remote.pause()
    local.write(huge, (error) => outcomes.push(error))
    local.end((error) => outcomes.push(error))
    await nextTurn()
  },
  'both sides sending and neither reading': async ({ local, remote, outcomes, ring }) => {
    for (const side of [local, remote]) {
      side.pause()
      writeGathered(side, large, (error) => side === local && outcomes.push(error))
    }
    await until(() => ring.usage.groups === 2, 'both to have begun')
  },
  'destroyed in the same turn': ({ local }) => local.destroy(),
}

async function pairOf(bench: Bench): Promise<Pair> {
  const ring = bench.ring()
  let remote: Transport | undefined
  const listener = await bench.listen(ring, { open: (connection) => { remote = connection } }, { allowHalfOpen: true })
  const told = new Received()
  const local = await bench.connect(ring, listener, told, { allowHalfOpen: true })
  await until(() => remote !== undefined, 'the other end')
  return { local, remote: remote as unknown as Transport, told, ring, outcomes: [] }
}

function reset(family: FaultFamily, prepare: (pair: Pair) => Promise<void> | void): Test {
  return async (bench) => {
    const pair = await pairOf(bench)
    await prepare(pair)
    const expected = pair.outcomes.length
    const { local, remote, told } = pair
    const destroyed = local.state === 'closing'
    remote.reset()
    // Whoever neither reads nor writes is told when it does.
    await until(() => remote.state === 'closed', 'the reset')
    local.handler = told
    local.resume()
    if (local.state === 'open') local.write('x')
    if (!family.resets) local.end()
    await told.closed
    assert.equal(told.closes, 1)
    const code = (told.error as NodeJS.ErrnoException | undefined)?.code
    if (family.resets && !destroyed) assert.ok(code === 'ECONNRESET' || code === 'EPIPE', `ended with ${String(code)}`)
    assert.ok(pair.outcomes.length >= expected)
    await bench.assertEmpty()
  }
}

const whileConnecting: Test = async (bench) => {
  const ring = bench.ring()
  const listener = await bench.listen(ring, { open: (connection) => connection.reset() })
  const told = Array.from({ length: 50 }, () => new Received())
  // Some are told before they know that they are connected.
  const refused = await Promise.all(told.map((handler) =>
    bench.connect(ring, listener, handler).then(() => false, () => true)))
  await Promise.all(told.map(({ closed }, index) => refused[index] ? Promise.resolve() : closed))
  told.forEach(({ closes }, index) => assert.equal(closes, refused[index] ? 0 : 1))
  await bench.assertEmpty()
}

/** A proxy whose one side is reset: the other must not take what it got for the whole. */
const forwarding = (family: FaultFamily): Test => async (bench) => {
  const ring = bench.ring()
  const sinks: Received[] = []
  const target = await bench.listen(ring, {
    open(connection) {
      const sink = new Received()
      sinks.push(sink)
      connection.handler = sink
      connection.pause()
      setTimeout(() => connection.resume(), 20)
    },
  })
  const proxy = await bench.listen(ring, {
    open(connection) {
      connection.pause()
      void bench.connect(ring, target, {}).then((onward) => {
        connection.forward(onward)
        onward.forward(connection)
        connection.resume()
      })
    },
  })
  const pump: StreamHandler = {
    open: (connection) => { connection.write(large) },
  }
  const source = await bench.connect(ring, proxy, pump)
  await until(() => sinks.length === 1 && source.bytesWritten > 500_000, 'bytes on their way')
  source.reset()
  const [sink] = sinks
  await sink.closed
  assert.equal(sink.closes, 1)
  if (family.resets) assert.equal((sink.error as NodeJS.ErrnoException | undefined)?.code, 'ECONNRESET')
  assert.ok(large.subarray(0, sink.bytes).equals(Buffer.concat(sink.chunks)))
  await bench.assertEmpty()
}

export function resetTests(family: FaultFamily): Record<string, Test> {
  const tests: Record<string, Test> = { 'while connecting': whileConnecting, 'forwarding': forwarding(family) }
  for (const [state, prepare] of Object.entries(states)) tests[state] = reset(family, prepare)
  return tests
}
