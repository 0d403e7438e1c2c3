import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { UdpSocket } from '../src/index'
import {
  bound, connected, loopback, pattern, portOf, Received, testRing, until, untilIdle,
} from './support'

/** Any size that IPv4 takes, those of whole packets and blocks of send memory more often. */
const size = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(0, 1, 32, 1200, 1472, 1473, 16_384, 65_506, 65_507) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 65_507 }) },
)

/** Bytes of datagrams that are surely kept by a receiver that reads nothing, as the kernel counts them. */
const burstCostMax = 250_000

/** Runs of datagrams of one size, to one of the host's addresses each. */
const runs = fc.array(
  fc.record({ size, host: fc.integer({ min: 1, max: 3 }), repeat: fc.integer({ min: 1, max: 20 }) }),
  { minLength: 1, maxLength: 8 },
)

interface Sent {
  readonly chunk: Buffer
  readonly address: string
}

/** The datagrams of `runs` that find room, each with bytes of its own. */
function datagramsOf(given: readonly { size: number, host: number, repeat: number }[]): Sent[] {
  const datagrams: Sent[] = []
  let cost = 0
  for (const { size, host, repeat } of given) {
    for (let index = 0; index < repeat; index++) {
      cost += size * 2 + 1500
      if (cost > burstCostMax) return datagrams
      datagrams.push({ chunk: pattern(size, datagrams.length), address: `127.0.0.${host}` })
    }
  }
  return datagrams
}

async function settled(socket: UdpSocket): Promise<void> {
  await until(() => socket.messagesQueued === 0, 'sending')
}

describe('what is told of each datagram', () => {
  for (const coalesce of [true, false]) {
    it(`is its own: where it was sent to, when it came, ${coalesce ? 'coalesced' : 'one by one'}`, async () => {
      const ring = testRing()
      const received = new Received()
      const socket = await bound(ring, received, {
        host: '0.0.0.0', packetInfo: true, timestamps: true, dropCounter: true, receiveTypeOfService: true, coalesce,
      })
      const port = portOf(socket)
      const sender = await bound(ring, {}, { typeOfService: 0x28 })
      await fc.assert(fc.asyncProperty(runs, async (given) => {
        const sent = datagramsOf(given)
        received.chunks.length = received.details.length = 0
        const before = Date.now()
        for (const { chunk, address } of sent) sender.send(chunk, { address, port })
        await received.arrived(sent.length)
        const after = Date.now()
        for (const address of new Set(sent.map((each) => each.address))) {
          // Those to one destination keep their order; the others may overtake them.
          const expected = sent.filter((each) => each.address === address)
          const came = [...received.chunks.keys()]
            .filter((index) => received.details[index]?.localAddress === address)
          expect(came.map((index) => received.chunks[index].byteLength))
            .toEqual(expected.map(({ chunk }) => chunk.byteLength))
          expect(came.every((index, at) => received.chunks[index].equals(expected[at].chunk))).toBe(true)
        }
        for (const details of received.details) {
          expect(details).toMatchObject({ interfaceIndex: 1, typeOfService: 0x28 })
          expect(details?.dropped ?? 0).toBe(0)
          const milliseconds = (details?.timestampUs ?? 0) / 1000
          expect(milliseconds).toBeGreaterThan(before - 50)
          expect(milliseconds).toBeLessThan(after + 50)
        }
      }), { numRuns: 40 })
      await untilIdle(ring, 2)
    }, 60_000)
  }
})

it('what found no room is counted, to the datagram', async () => {
  const ring = testRing()
  await fc.assert(fc.asyncProperty(
    fc.array(fc.integer({ min: 1, max: 1400 }), { minLength: 30, maxLength: 120 }),
    async (sizes) => {
      const received = new Received()
      const socket = await bound(ring, received, { dropCounter: true, receiveBufferBytes: 5000, coalesce: false })
      socket.pause()
      await untilIdle(ring, 1)
      const sender = await connected(ring, socket)
      for (const [index, sizeBytes] of sizes.entries()) sender.send(pattern(sizeBytes, index))
      await settled(sender)
      socket.resume()
      await received.arrived(1)
      // Until one comes that says how many did not, none of those that did is missing.
      await until(() => {
        sender.send('after')
        return received.texts.at(-1) === 'after'
      }, 'a datagram after them')
      const kept = received.chunks.findIndex((chunk) => String(chunk) === 'after')
      const dropped = received.details.at(-1)?.dropped ?? 0
      expect(kept + dropped).toBe(sizes.length)
      sender.close()
      socket.close()
      await untilIdle(ring)
    },
  ), { numRuns: 20 })
}, 60_000)

describe('errors', () => {
  it('of datagrams are their own, whatever is sent beside them', async () => {
    const ring = testRing()
    const received = new Received()
    const socket = await bound(ring, received)
    const sender = await bound(ring)
    const to = { address: loopback, port: portOf(socket) }
    // Without leave to broadcast the first is refused; no datagram of IPv4 is as large as the second.
    const kinds = {
      forbidden: { chunk: Buffer.from('x'), to: { ...to, address: '127.255.255.255' }, code: 'EACCES' },
      large: { chunk: Buffer.alloc(65_508), to, code: 'EMSGSIZE' },
      good: undefined,
    }
    const kind = fc.constantFrom('forbidden', 'large', 'good', 'good', 'good')
    const datagram = fc.record({ kind, size: fc.integer({ min: 0, max: 3000 }) })
    await fc.assert(fc.asyncProperty(fc.array(datagram, { minLength: 1, maxLength: 40 }), async (datagrams) => {
      received.chunks.length = 0
      const outcomes: (string | undefined)[] = []
      for (const [index, { kind, size }] of datagrams.entries()) {
        const bad = kinds[kind]
        sender.send(bad?.chunk ?? pattern(size, index), bad?.to ?? to, (error) => {
          outcomes[index] = (error as NodeJS.ErrnoException | undefined)?.code ?? 'sent'
        })
      }
      await until(() => Object.keys(outcomes).length === datagrams.length, 'every callback')
      expect(outcomes).toEqual(datagrams.map(({ kind }) => kinds[kind]?.code ?? 'sent'))
      const good = [...datagrams.entries()].filter(([, { kind }]) => kind === 'good')
      await received.arrived(good.length)
      expect(received.chunks.map((chunk) => chunk.byteLength)).toEqual(good.map(([, { size }]) => size))
      expect(received.chunks.every((chunk, at) => chunk.equals(pattern(good[at][1].size, good[at][0])))).toBe(true)
    }), { numRuns: 60 })
    await untilIdle(ring, 2)
  }, 60_000)

  it('of fragments that are forbidden are those of the datagrams that would need them', async () => {
    const ring = testRing()
    const received = new Received()
    const socket = await bound(ring, received, { host: '::1' })
    const port = portOf(socket)
    const sender = await connected(ring, socket, {}, { host: '::1', pathMtuDiscovery: 'do' })
    const headerBytes = 48
    const largest = sender.pathMtuBytes - headerBytes
    const size = fc.oneof(fc.integer({ min: 0, max: 2000 }), fc.constantFrom(largest, largest + 1))
    await fc.assert(fc.asyncProperty(fc.array(size, { minLength: 1, maxLength: 8 }), async (sizes) => {
      received.chunks.length = 0
      const outcomes: (string | undefined)[] = []
      for (const [index, sizeBytes] of sizes.entries()) {
        sender.send(pattern(sizeBytes, index), (error) => {
          outcomes[index] = (error as NodeJS.ErrnoException | undefined)?.code ?? 'sent'
        })
        await until(() => outcomes.length > index, 'the callback')
      }
      expect(outcomes).toEqual(sizes.map((sizeBytes) => sizeBytes > largest ? 'EMSGSIZE' : 'sent'))
      const good = sizes.filter((sizeBytes) => sizeBytes <= largest)
      await received.arrived(good.length)
      expect(received.chunks.map((chunk) => chunk.byteLength)).toEqual(good)
    }), { numRuns: 20 })
    expect(sender.remoteAddress?.port).toBe(port)
  }, 60_000)

  it('of a peer that refuses are met by one datagram each, and what comes after it is there arrives', async () => {
    const ring = testRing()
    const gone = await bound(ring)
    const port = portOf(gone)
    const sender = await connected(ring, gone)
    gone.close()
    await untilIdle(ring, 1)
    const refusals: string[] = []
    sender.handler = { error: (_socket, error) => void refusals.push((error as NodeJS.ErrnoException).code ?? '') }
    const outcomes: (string | undefined)[] = []
    for (let index = 0; index < 20; index++) {
      sender.send(pattern(10, index), (error) => {
        outcomes[index] = (error as NodeJS.ErrnoException | undefined)?.code ?? 'sent'
      })
      await until(() => outcomes.length > index, 'the callback')
    }
    expect(new Set([...outcomes, ...refusals])).toEqual(new Set(['sent', 'ECONNREFUSED']))
    expect(outcomes.length).toBe(20)
    const received = new Received()
    await bound(ring, received, { port })
    await until(() => {
      sender.send('there')
      return received.texts.includes('there')
    }, 'a datagram')
    expect(sender.state).toBe('open')
  })
})

describe('a socket that is connected to one after the other', () => {
  it('with a send buffer that is full loses and misleads nothing', async () => {
    const ring = testRing()
    const received = [new Received(), new Received()]
    const targets = await Promise.all(received.map((each) => bound(ring, each)))
    const socket = await bound(ring, {}, { sendBufferBytes: 5000 })
    for (let round = 0; round < 20; round++) {
      await socket.connect({ address: loopback, port: portOf(targets[round % 2]) })
      for (let index = 0; index < 5; index++) socket.send(pattern(700 + index * 100, round))
    }
    await Promise.all(received.map((each) => each.arrived(50)))
    for (const [parity, { chunks }] of received.entries()) {
      for (const [at, chunk] of chunks.entries()) {
        expect(chunk.equals(pattern(700 + (at % 5) * 100, Math.floor(at / 5) * 2 + parity))).toBe(true)
      }
    }
  })
})
