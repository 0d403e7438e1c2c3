import { setTimeout as delay } from 'node:timers/promises'
import { limits } from '@sheaf/ring'
import { takeSendMemory, until, untilIdle } from '@sheaf/ring/testing'
import { describe, expect, it } from 'vitest'
import { datagram, seqpacket } from '../src/index'
import { testRing } from './support'

let names = 0
const unusedName = (): string => `\0sheaf-datagram-${process.pid}-${++names}`

describe('a send buffer full of what one receiver does not read', () => {
  // The probe that told of room at the other had a send buffer of its own: sending was tried all the time.
  it('holds up what is for another, without trying all the time, and no longer than it is full', async () => {
    const ring = testRing()
    const [slow, other] = [unusedName(), unusedName()]
    const texts: string[] = []
    const reader = await datagram.bind({ ring, path: slow }, { message() { texts.push('slow') } })
    const second = await datagram.bind({ ring, path: other }, { message() { texts.push('other') } })
    const sender = datagram.open({ ring, sendBufferBytes: 4096 }, {})
    reader.pause()
    await until(() => {
      sender.send(Buffer.alloc(2000), { path: slow })
      return sender.messagesQueued > 3
    }, 'the buffer to be full')
    sender.send('x', { path: other })
    await delay(50)
    const { submissions } = ring.metrics
    await delay(100)
    expect(texts).toEqual([])
    // Ten milliseconds apart, each try is a few requests.
    expect(ring.metrics.submissions - submissions).toBeLessThan(200)
    reader.resume()
    await until(() => texts.includes('other') && sender.messagesQueued === 0, 'all to be sent')
    for (const socket of [reader, second, sender]) socket.close()
    await untilIdle(ring)
  })
})

describe.each([['datagram', datagram], ['seqpacket', seqpacket]])('little send memory: %s', (_name, family) => {
  it('who does not read leaves others some of it', async () => {
    const ring = testRing({ sendBlocksMax: 8 })
    takeSendMemory(ring)
    const texts: string[] = []
    const pair = (received: (text: string) => void) =>
      family.socketpair({ ring }, {}, { message: (_socket: unknown, chunk: Buffer) => { received(String(chunk)) } })
    const stalled = pair(() => undefined)
    const [sender] = pair((text) => texts.push(text))
    stalled[1].pause()
    let refused: Error | undefined
    await until(() => {
      stalled[0].send(Buffer.alloc(2000), (error) => { refused ??= error })
      return refused !== undefined
    }, 'all that it may have to be in use')
    expect(refused).toMatchObject({ code: 'ENOBUFS', syscall: 'send' })
    // More than a block, which it has none of.
    const long = 'x'.repeat(20_000)
    for (const text of ['one', long]) {
      const error = await new Promise((resolve) => sender.send(text, resolve))
      expect(error).toBeUndefined()
    }
    await until(() => texts.length === 2, 'both')
    expect(texts).toEqual(['one', long])
  })
})

describe('closing', () => {
  it('two sockets of which each has something left for the other, and does not read, ends', async () => {
    const ring = testRing()
    const closed: string[] = []
    const [one, other] = datagram.socketpair(
      { ring, sendBufferBytes: 4096 },
      { close: () => void closed.push('one') },
      { close: () => void closed.push('other') },
    )
    for (const socket of [one, other]) socket.pause()
    await until(() => {
      for (const socket of [one, other]) socket.send(Buffer.alloc(2000))
      return one.messagesQueued > 20 && other.messagesQueued > 20
    }, 'both to be full')
    for (const socket of [one, other]) socket.close()
    await until(() => closed.length === 2, 'both to close')
    await untilIdle(ring)
  })
})

describe('a handler that takes long for each of many messages', () => {
  const all = Array.from({ length: 8 * limits.messagesPerLook }, (_, index) => `message ${index}`)

  for (const [name, { socketpair }] of Object.entries({ datagram, seqpacket })) {
    it(`has the event loop go on in between, and loses none that its peer sent before it closed: ${name}`, async () => {
      const ring = testRing()
      const texts: string[] = []
      let [most, since] = [0, 0]
      const ends: number[] = []
      const handler = {
        message(_socket: object, chunk: Buffer) {
          if (since === 0) setImmediate(() => { since = 0 })
          texts.push(String(chunk))
          most = Math.max(most, ++since)
          const endMs = performance.now() + limits.messagesTellMs
          while (performance.now() < endMs);
        },
        end: () => void ends.push(texts.length),
      }
      const [sender, receiver] = socketpair({ ring }, {}, handler)
      for (const text of all) sender.send(text)
      sender.close()
      await until(() => texts.length === all.length, 'all of them')
      expect(texts).toEqual(all)
      expect(most).toBeLessThanOrEqual(3 * limits.messagesPerLook)
      if (name === 'seqpacket') await until(() => ends.length === 1, 'the end')
      expect(ends.every((told) => told === all.length)).toBe(true)
      receiver.close()
      await untilIdle(ring)
    })
  }
})
