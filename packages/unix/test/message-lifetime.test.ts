import { once } from 'node:events'
import { closeSync, fstatSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { Ring } from '@sheaf/ring'
import { openDescriptors, ownedDescriptors, Random, until, untilIdle } from '@sheaf/ring/testing'
import { describe, expect, it } from 'vitest'
import { datagram, seqpacket } from '../src/index'
import { directory, heldBytes, testRing } from './support'

const families = { datagram, seqpacket }
type Family = keyof typeof families

interface Handler {
  message?: (socket: Socket, chunk: Buffer) => void
  close?: (socket: Socket, error?: Error) => void
}

/** What both kinds of socket have. */
interface Socket {
  handler: Handler
  send(chunk: Uint8Array | string, callback?: (error?: Error) => void): boolean
  flush(): void
  pause(): void
  close(): void
  destroy(error?: Error): void
}

function pair(family: Family, ring: Ring, handler: Handler): [Socket, Socket] {
  return families[family].socketpair({ ring }, handler as never) as unknown as [Socket, Socket]
}

/** Ends one of two sockets at one moment or another; the other ends for it, or is ended. */
const moments: ((one: Socket, other: Socket) => void)[] = [
  (one) => one.close(),
  (one) => {
    one.send('queued')
    one.destroy()
  },
  (one) => {
    for (const size of [1, 500, 20_000, 0]) one.send(Buffer.alloc(size))
    one.flush()
    one.destroy()
  },
  (one, other) => {
    other.pause()
    // More than its queue takes: some wait for room.
    for (let index = 0; index < 40; index++) one.send('x')
    setImmediate(() => one.destroy())
  },
  (one, other) => {
    other.pause()
    for (let index = 0; index < 40; index++) one.send('x')
    setImmediate(() => other.destroy())
  },
  (one, other) => {
    other.handler = { ...other.handler, message: (socket) => socket.destroy() }
    for (let index = 0; index < 20; index++) one.send(Buffer.alloc(index * 10))
  },
  (one) => {
    for (let index = 0; index < 5; index++) one.send('x', () => one.destroy())
  },
]

const warmUpPairs = 10_000
const pairs = 20_000
const atOnce = 20

describe.each(['datagram', 'seqpacket'] as const)('%s sockets', (family) => {
  it(`${pairs} pairs of them closed at every moment leave everything where it was`, async () => {
    const ring = testRing()
    const random = new Random(7)
    const one = (): Promise<void> => new Promise((resolve) => {
      let open = 2
      const [first, second] = pair(family, ring, {
        close: () => {
          if (--open === 0) resolve()
          else for (const socket of [first, second]) socket.destroy()
        },
      })
      moments[random.below(moments.length)](first, second)
    })
    const run = async (count: number): Promise<void> => {
      let left = count
      await Promise.all(Array.from({ length: atOnce }, async () => {
        while (left-- > 0) await one()
      }))
      await untilIdle(ring)
    }
    await run(warmUpPairs)
    const before = {
      descriptors: openDescriptors(),
      owned: ownedDescriptors().length,
      usage: ring.usage,
      heldBytes: await heldBytes(),
    }
    await run(pairs)
    expect(openDescriptors()).toBe(before.descriptors)
    expect(ownedDescriptors()).toHaveLength(before.owned)
    expect(ring.usage).toEqual(before.usage)
    expect(ring.metrics.staleCompletions).toBe(0)
    // Flat: 100 bytes a pair would already be 2 MB.
    expect(await heldBytes() - before.heldBytes).toBeLessThan(2 * 1024 * 1024)
  }, 120_000)

  it('adopted by their descriptors are what they were', async () => {
    const ring = testRing()
    const { adopt } = families[family]
    const type = family === 'datagram' ? 2 : 5
    const descriptors = new Int32Array(2)
    expect(ring.sockets.socketpair(1, type, descriptors)).toBe(0)
    const texts: string[] = []
    let closes = 0
    const handler = {
      message: (_socket: unknown, chunk: Buffer) => void texts.push(String(chunk)),
      close: () => { closes++ },
    }
    const [first, second] = [...descriptors].map((fd) => adopt({ fd, ring }, handler) as unknown as Socket)
    first.send('there')
    second.send('back')
    second.send('')
    await until(() => texts.length === 3, 'the messages')
    expect(texts.sort()).toEqual(['', 'back', 'there'])
    first.close()
    second.close()
    await until(() => closes === 2, 'the closing')
    await untilIdle(ring)
  })

  it('are not made of descriptors that are none, which stay open', () => {
    const ring = testRing()
    const { adopt } = families[family]
    const { sockets } = ring
    const stream = new Int32Array(2)
    sockets.socketpair(1, 1, stream)
    const wrong = [...stream, sockets.socket(1, family === 'datagram' ? 5 : 2, 0), sockets.socket(2, 2, 17)]
    const file = openSync('/dev/null', 'r')
    for (const fd of [file, ...wrong]) {
      expect(() => adopt({ fd, ring }, {})).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }))
    }
    expect(() => adopt({ fd: 19_999, ring }, {})).toThrow(expect.objectContaining({ code: 'EBADF' }))
    closeSync(file)
    for (const fd of wrong) expect(sockets.close(fd)).toBe(0)
  })

  it('of a worker that is terminated with traffic in flight leave no descriptor', async () => {
    const program = `
      const { parentPort } = require('node:worker_threads')
      const { ${family} } = require('@sheaf/unix')
      let messages = 0
      const handler = { message(socket, chunk) {
        socket.send(chunk)
        if (++messages === 100) parentPort.postMessage('busy')
      } }
      for (let index = 0; index < 10; index++) {
        const [first, second] = ${family}.socketpair({}, handler)
        if (index % 3 === 0) second.pause()
        for (let size = 0; size < 30; size++) first.send(Buffer.alloc(size * 50))
      }
    `
    await leavesNoDescriptor(program)
  }, 60_000)

  it('of a worker that is terminated in a handler leave none of the descriptors that came', async () => {
    const program = `
      const { parentPort, workerData } = require('node:worker_threads')
      const { ${family} } = require('@sheaf/unix')
      const { openSync } = require('node:fs')
      const [first, second] = ${family}.socketpair({ receiveDescriptors: true }, {
        message() {
          parentPort.postMessage('received')
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
        },
      })
      second.pause()
      const fd = openSync('/dev/null', 'r')
      for (let index = 0; index < 5; index++) {
        first.send('x', { fds: [fd, fd, fd] }, index === 4 ? () => second.resume() : undefined)
      }
    `
    await leavesNoDescriptor(program)
  }, 60_000)
})

it.each(['seqpacket.', ''])('%ssocketpair: descriptors in unread completions are closed', async (name) => {
  await leavesNoDescriptor(`
    const { parentPort } = require('node:worker_threads')
    const { createRing, seqpacket, socketpair } = require('@sheaf/unix')
    const ring = createRing()
    const [first] = ${name}socketpair({ ring, receiveDescriptors: true }, {})
    setTimeout(() => {
      for (let index = 0; index < 5; index++) first.${name === '' ? 'write' : 'send'}('x', { fds: [0, 0, 0] })
      first.flush()
      // Whose completions call the application, as those of connections do, are left in the queue.
      for (let round = 0; round < 20; round++) ring.reap()
      parentPort.postMessage(ring.metrics.completions)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    }, 20)
  `)
})

it('of workers terminated at any moment descriptors on their way are closed', async () => {
  const program = (sockets: string): string => `
    const { parentPort } = require('node:worker_threads')
    const { datagram, seqpacket } = require('@sheaf/unix')
    let messages = 0
    const handler = { message(socket) {
      if (++messages === 100) parentPort.postMessage('busy')
      socket.send('x', { fds: [0, 0, 0] })
    } }
    for (let index = 0; index < 5; index++) {
      const [first] = ${sockets}.socketpair({ receiveDescriptors: true }, handler)
      for (let count = 0; count < 4; count++) first.send('x', { fds: [0, 0, 0] })
    }
  `
  await leavesNoDescriptor(program('datagram'))
  await leavesNoDescriptor(program('seqpacket'))
}, 60_000)

it('a result that was read before its turn is not taken for a descriptor when its worker is terminated', async () => {
  const file = openSync('/dev/null', 'r')
  const worker = new Worker(`
    const { parentPort, workerData } = require('node:worker_threads')
    const { datagram } = require('@sheaf/unix')
    const [first] = datagram.socketpair({}, {})
    setTimeout(() => {
      // The result of sending is a number of bytes, which is that of the main thread's descriptor.
      first.send(Buffer.alloc(workerData))
      first.flushAndReap()
      parentPort.postMessage(first.messagesQueued)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    }, 20)
  `, { eval: true, execArgv: [], workerData: file })
  const [queued] = await once(worker, 'message') as [number]
  expect(queued).toBe(0)
  await worker.terminate()
  expect(fstatSync(file).isCharacterDevice()).toBe(true)
  closeSync(file)
})

async function leavesNoDescriptor(program: string): Promise<void> {
  const cycle = async (): Promise<void> => {
    const worker = new Worker(program, { eval: true, execArgv: [] })
    await once(worker, 'message')
    const exited = once(worker, 'exit')
    await worker.terminate()
    await exited
  }
  await cycle()
  const before = openDescriptors()
  for (let round = 0; round < 10; round++) await cycle()
  await until(() => openDescriptors() <= before, 'the descriptors to be closed')
  expect(openDescriptors()).toBe(before)
}

it('a socket that is closing, for which a peer that has ended has no room, does nothing meanwhile', async () => {
  const ring = testRing()
  let received = 0
  const [one, other] = seqpacket.socketpair({ ring }, { message: () => { received++ } })
  other.pause()
  const messages = 1000
  for (let message = 0; message < messages; message++) one.send(Buffer.alloc(2000))
  one.close()
  other.end()
  await expectRest(ring, one)
  other.resume()
  await untilIdle(ring)
  expect(received).toBe(messages)
})

it('an adopted datagram socket has its name, and sends anywhere', async () => {
  const ring = testRing()
  const path = join(directory(), 's')
  const texts: string[] = []
  const target = await datagram.bind({ path, ring }, { message: (_socket, chunk) => void texts.push(String(chunk)) })
  const fd = ring.sockets.socket(1, 2, 0)
  const socket = datagram.adopt({ fd, ring }, {})
  expect(socket.localAddress).toEqual({ path: '' })
  expect(() => socket.send('nowhere')).toThrow(expect.objectContaining({ code: 'ERR_SOCKET_DGRAM_NOT_CONNECTED' }))
  socket.send('somewhere', { path })
  await until(() => texts.length === 1, 'the datagram')
  expect(texts).toEqual(['somewhere'])
  socket.close()
  target.close()
  await untilIdle(ring)
})

/** A socket has something to send, and the loop does not turn for it. */
async function expectRest(ring: Ring, socket: { readonly messagesQueued: number }): Promise<void> {
  await sleep(50)
  expect(socket.messagesQueued).toBeGreaterThan(0)
  const { turns } = ring.metrics
  await sleep(200)
  expect(ring.metrics.turns - turns).toBeLessThan(20)
}

// io_uring takes that the peer has ended for an answer to every poll.
it('a socket whose peer has ended and reads nothing waits for room, and does nothing meanwhile', async () => {
  const ring = testRing()
  let ended = false
  let received = 0
  const handler = {
    end: () => { ended = true },
    message: () => { received++ },
  }
  const [one, other] = seqpacket.socketpair({ ring, allowHalfOpen: true }, handler)
  other.pause()
  other.end()
  await until(() => ended, 'the end')
  const chunk = Buffer.alloc(2000)
  const messages = 1000
  for (let message = 0; message < messages; message++) one.send(chunk)
  await expectRest(ring, one)
  other.resume()
  await until(() => received === messages, 'all messages')
  one.end()
  await untilIdle(ring)
})
