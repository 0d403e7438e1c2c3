/** What a peer has sent before it closed is told before it is told that it has closed. */
import { closeSync, writeSync } from 'node:fs'
import type { Ring } from '@sheaf/ring'
import { until, untilIdle } from '@sheaf/ring/testing'
import { expect, it, onTestFinished } from 'vitest'
import { adopt, seqpacket } from '../src/index'
import { testRing } from './support'

function watcher(told: string[]) {
  const code = (error: NodeJS.ErrnoException | undefined): string => error?.code ?? 'in order'
  return {
    data: (_transport: unknown, chunk: Buffer) => void told.push(chunk.toString()),
    message: (_transport: unknown, chunk: Buffer) => void told.push(chunk.toString()),
    end: () => void told.push('end'),
    close: (_transport: unknown, error?: Error) => void told.push(`close ${code(error)}`),
  }
}

it('seqpacket messages of a peer that has left something of ours unread', async () => {
  const ring = testRing()
  const told: string[] = []
  const [peer, own] = seqpacket.socketpair({ ring }, {}, watcher(told))
  peer.pause()
  own.pause()
  own.send('unread')
  for (const text of ['one', 'two', 'three']) peer.send(text)
  await until(() => peer.messagesQueued + own.messagesQueued === 0, 'the messages')
  peer.destroy()
  await untilIdle(ring, 1)
  own.resume()
  await untilIdle(ring)
  expect(told).toEqual(['one', 'two', 'three', 'close ECONNRESET'])
})

const families = {
  stream: (ring: Ring, fd: number, told: string[]) => {
    const connection = adopt({ ring, fd }, watcher(told))
    return () => connection.write('more')
  },
  seqpacket: (ring: Ring, fd: number, told: string[]) => {
    const connection = seqpacket.adopt({ ring, fd }, watcher(told))
    return () => connection.send('more')
  },
}

const names = Object.keys(families) as (keyof typeof families)[]

it.each(names)('of a %s, what had come when it is gone and is sent something', async (family) => {
  const ring = testRing()
  const pair = new Int32Array(2)
  ring.sockets.socketpair(1, family === 'stream' ? 1 : 5, pair)
  const told: string[] = []
  const send = families[family](ring, pair[0], told)
  await until(() => ring.metrics.receivesArmed === 1, 'the receive')
  writeSync(pair[1], 'the answer')
  closeSync(pair[1])
  send()
  send()
  await untilIdle(ring)
  expect([told[0], told.at(-1)]).toEqual(['the answer', 'close EPIPE'])
})

it('seqpacket messages of a peer that has left something unread, when the send is told of that', async () => {
  const ring = testRing()
  const pair = new Int32Array(2)
  ring.sockets.socketpair(1, 5, pair)
  const told: string[] = []
  const own = seqpacket.adopt({ ring, fd: pair[0] }, watcher(told))
  own.send('unread')
  own.flush()
  await until(() => ring.metrics.receivesArmed === 1 && own.messagesQueued === 0, 'the receive')
  for (const text of ['one', 'two']) writeSync(pair[1], text)
  closeSync(pair[1])
  own.send('more')
  own.flush()
  await untilIdle(ring)
  expect(told).toEqual(['one', 'two', expect.stringMatching(/^close (ECONNRESET|EPIPE)$/)])
})

it.each([1, 60])('seqpacket messages that are taken one at a time, in %s ms each, and answered', async (workMs) => {
  const ring = testRing()
  const told: string[] = []
  const { close } = watcher(told)
  const [peer] = seqpacket.socketpair({ ring }, {}, {
    close,
    message(own, chunk) {
      told.push(chunk.toString())
      own.pause()
      setTimeout(() => {
        if (own.state === 'open') own.send('answer')
        own.resume()
      }, workMs)
    },
  })
  const all = ['one', 'two', 'three', 'four', 'five']
  for (const text of all) peer.send(text)
  peer.close()
  await untilIdle(ring)
  expect(told).toEqual([...all, expect.stringMatching(/^close (ECONNRESET|EPIPE)$/)])
})

it('a seqpacket connection ends whose peer reads no more, and stays', async () => {
  const ring = testRing()
  const told: string[] = []
  const pair = new Int32Array(2)
  ring.sockets.socketpair(1, 5, pair)
  onTestFinished(() => { ring.sockets.close(pair[1]) })
  const own = seqpacket.adopt({ ring, fd: pair[0] }, watcher(told))
  ring.sockets.shutdown(pair[1], 0)
  writeSync(pair[1], 'one')
  own.send('more')
  await untilIdle(ring)
  expect(told).toEqual(['one', 'close EPIPE'])
})
