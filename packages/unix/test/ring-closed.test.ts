/** A ring that is closed in the middle of a turn, or whose sockets' handlers throw, leaves nobody untold. */
import { once } from 'node:events'
import { connect as nodeConnect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { limits } from '@sheaf/ring'
import { openDescriptors, runProgram, until } from '@sheaf/ring/testing'
import { describe, expect, it, vi } from 'vitest'
import { connect, createRing, seqpacket, socketpair } from '../src/index'
import { directory, fullSoon, server, testRing } from './support'

const pairs = { stream: socketpair, seqpacket: seqpacket.socketpair }

describe('a ring that is closed', () => {
  it('by `open` of one connection closes those that were accepted with it, too', async () => {
    const ring = createRing()
    let opened = 0
    const listener = await server(ring, {
      open() {
        opened++
        ring.close()
      },
    })
    const before = openDescriptors()
    const clients = Array.from({ length: 8 }, () => nodeConnect(listener.address.path).on('error', () => undefined))
    await Promise.all(clients.map((client) => once(client, 'close')))
    expect(opened).toBe(1)
    // Of the listener and of what it had accepted there are none any more; nor of the ring.
    expect(openDescriptors()).toBeLessThan(before)
  })

  it('tells all of its sockets, though the handlers of some throw', async () => {
    const lines = await runProgram(`
      import { createRing } from '@sheaf/ring'
      import { datagram, seqpacket, socketpair } from '@sheaf/unix'
      const ring = createRing()
      let closed = 0
      let thrown = 0
      let settled = 0
      process.on('uncaughtException', (error) => { if (error.message === 'thrown') thrown++ })
      const fail = () => { throw new Error('thrown') }
      const handler = { close() { closed++; fail() } }
      for (const pair of [datagram.socketpair, seqpacket.socketpair, socketpair]) {
        const [one, other] = pair({ ring }, handler)
        const write = (each) => { (each.send ?? each.write).call(each, 'text', () => { settled++; fail() }) }
        for (let index = 0; index < 3; index++) write(one), write(other)
      }
      ring.close()
      setTimeout(() => console.log(JSON.stringify({ closed, settled, thrown, members: ring.usage.members })), 50)
    `)
    expect(JSON.parse(lines[0])).toEqual({ closed: 6, settled: 18, thrown: 24, members: 0 })
  })

  it.each(['stream', 'seqpacket'] as const)('by a callback tells nothing after `close`: %s', async (kind) => {
    const ring = createRing()
    const told: string[] = []
    const [one, other] = pairs[kind]({ ring }, {
      drain: () => told.push('drain'),
      close: (connection) => {
        told.push('close')
        if (connection === one) other.flush()
      },
    }) as unknown as [Writer, Writer]
    const write = (text: string | Uint8Array, callback?: () => void): boolean =>
      (one.send ?? one.write)?.call(one, text, callback) ?? false
    write('first', () => { ring.close() })
    while (write(Buffer.alloc(20_000)));
    other.resume()
    await until(() => told.length === 2, 'both to close')
    expect(told).toEqual(['close', 'close'])
  })
})

interface Writer {
  write?(chunk: string | Uint8Array, callback?: () => void): boolean
  send?(chunk: string | Uint8Array, callback?: () => void): boolean
  resume(): void
  flush(): void
}

it.each([
  ['stream', 1, connect],
  ['seqpacket', 5, seqpacket.connect],
] as const)('closed while one waits to be connected, it tries no more: %s', async (_name, type, connecting) => {
  const other = testRing()
  const path = join(directory(), 's')
  const fd = fullSoon(other, path, type)
  const first = await connecting({ path, ring: other }, {})
  const ring = createRing()
  const refused = expect(connecting({ path, ring }, {})).rejects.toMatchObject({ code: 'ERR_SHEAF_RING_CLOSED' })
  ring.close()
  const tries = vi.spyOn(ring.sockets, 'connect')
  await refused
  expect(ring.usage.members).toBe(0)
  await sleep(2 * limits.roomRetryMs)
  expect(tries).not.toHaveBeenCalled()
  tries.mockRestore()
  first.destroy()
  other.sockets.close(fd)
})

describe.each(['stream', 'seqpacket'] as const)('`open` of a pair: %s', (kind) => {
  it('that throws has both destroyed, and what it threw thrown', async () => {
    const ring = testRing()
    let closed = 0
    const handler = {
      open: () => { throw new Error('of the handler') },
      close: () => { closed++ },
    }
    expect(() => pairs[kind]({ ring }, handler)).toThrow('of the handler')
    await until(() => closed === 2, 'both to close')
    expect(ring.usage.members).toBe(0)
  })

  it('that closes the ring has both closed', () => {
    const ring = createRing()
    let closed = 0
    const pair = pairs[kind]({ ring }, {
      open: () => { ring.close() },
      close: () => { closed++ },
    })
    expect(pair.map(({ state }) => state)).toEqual(['closed', 'closed'])
    expect(closed).toBe(2)
  })
})
