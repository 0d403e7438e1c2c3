import { createSocket as createNodeSocket } from 'node:dgram'
import { once } from 'node:events'
import { limits } from '@sheaf/ring'
import { describe, expect, it } from 'vitest'
import { createSocket } from '../src/dgram/index'
import type { UdpSocket } from '../src/index'
import { addressOf, bound, loopback, testRing, until, untilIdle } from './support'

const datagrams = 256
const all = Array.from({ length: datagrams }, (_, index) => `datagram ${index}`)

/** Takes longer for one datagram than a socket is told of many. */
function takeLong(): void {
  const endMs = performance.now() + limits.messagesTellMs
  while (performance.now() < endMs);
}

/** What a slow listener is told, by the iteration of the event loop in which it was. */
class SlowListener {
  readonly texts: string[] = []
  /** The most that it was told before others had their turn. */
  most = 0
  #since = 0

  take(chunk: Buffer): void {
    if (this.#since === 0) setImmediate(() => { this.#since = 0 })
    this.texts.push(String(chunk))
    this.most = Math.max(this.most, ++this.#since)
    takeLong()
  }
}

describe('a listener that takes long for each of many datagrams', () => {
  // What is told when libuv polls, and before, may be in one iteration.
  const mostInAnIteration = 4 * limits.messagesPerLook

  it('has the event loop go on in between', async () => {
    const ring = testRing()
    const listener = new SlowListener()
    const receiver = await bound(ring, { message: (_socket, chunk) => listener.take(chunk) })
    const sender = await bound(ring)
    for (const text of all) sender.send(text, addressOf(receiver))
    await until(() => listener.texts.length === datagrams, 'all of them')
    expect(listener.texts).toEqual(all)
    expect(listener.most).toBeLessThanOrEqual(mostInAnIteration)
    await untilIdle(ring, 2)
  })

  it.each([true, false])('has it go on as a listener of dgram, several at once %s', async (coalesced) => {
    const listener = new SlowListener()
    const receiver = createSocket('udp4', (chunk) => { listener.take(chunk) }).bind(0, loopback)
    await once(receiver, 'listening')
    const sender = coalesced ? createSocket('udp4') : createNodeSocket('udp4')
    for (const text of all) sender.send(text, receiver.address().port, loopback)
    await until(() => listener.texts.length === datagrams, 'all of them')
    expect(listener.texts).toEqual(all)
    expect(listener.most).toBeLessThanOrEqual(mostInAnIteration)
    for (const socket of [receiver, sender]) await once(socket.close(), 'close')
  })

  describe('before the next iteration', () => {
    /** Has `act` called when a part of what was sent has been told. @returns what has been. */
    async function interrupted(act: (socket: UdpSocket) => void) {
      const ring = testRing()
      const texts: string[] = []
      const receiver = await bound(ring, {
        message(socket, chunk) {
          if (texts.length === 0) setImmediate(act, socket)
          texts.push(String(chunk))
          takeLong()
        },
      })
      const sender = await bound(ring)
      for (const text of all) sender.send(text, addressOf(receiver))
      return { ring, receiver, sender, texts }
    }

    it('may pause: it is told the rest when it resumes, and then what came later', async () => {
      const { ring, receiver, sender, texts } = await interrupted((socket) => { socket.pause() })
      await until(() => receiver.paused, 'the pause')
      const told = texts.length
      expect(told).toBeLessThan(datagrams)
      sender.send('later', addressOf(receiver))
      await untilIdle(ring, 2)
      expect(texts).toHaveLength(told)
      receiver.resume()
      await until(() => texts.length === datagrams + 1, 'the rest')
      expect(texts).toEqual([...all, 'later'])
    })

    it('may pause and resume', async () => {
      const { texts } = await interrupted((socket) => {
        socket.pause()
        socket.resume()
      })
      await until(() => texts.length === datagrams, 'the rest')
      expect(texts).toEqual(all)
    })

    it.each(['close', 'destroy'] as const)('may %s: it is told no more', async (call) => {
      const { ring, receiver, texts } = await interrupted((socket) => { socket[call]() })
      await until(() => receiver.state === 'closed', 'the end')
      expect(texts.length).toBeLessThan(datagrams)
      expect(texts).toEqual(all.slice(0, texts.length))
      await untilIdle(ring, 1)
    })

    it('may close the ring', async () => {
      const { ring, receiver, texts } = await interrupted(() => ring.close())
      await until(() => receiver.state === 'closed', 'the end')
      expect(texts.length).toBeLessThan(datagrams)
    })
  })
})
