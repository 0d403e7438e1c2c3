import { join } from 'node:path'
import { until, untilIdle } from '@sheaf/ring/testing'
import { describe, expect, it } from 'vitest'
import { datagram } from '../src/index'
import { directory, testRing } from './support'

describe('a datagram socket whose peer closed and came back', () => {
  it('goes on with what is queued, in order, and without what has failed', async () => {
    const ring = testRing()
    const path = join(directory(), 'peer')
    const texts: string[] = []
    const handler = { message: (_socket: unknown, chunk: Buffer) => void texts.push(String(chunk)) }
    const first = await datagram.bind({ ring, path }, handler)
    const failed: string[] = []
    const sender = await datagram.connect({ ring, path }, {})
    const send = (text: string): void => void sender.send(text, {}, (error) => {
      if (error) failed.push(`${text} ${(error as NodeJS.ErrnoException).code ?? ''}`)
    })
    send('before')
    await until(() => texts.length === 1, 'the first datagram')
    first.close()
    await untilIdle(ring, 1)
    send('meanwhile')
    send('still')
    await until(() => failed.length === 2, 'both to fail')
    expect(failed[0]).toBe('meanwhile ECONNREFUSED')
    expect(failed[1]).toMatch(/^still (ECONNREFUSED|ENOTCONN)$/)
    const second = await datagram.bind({ ring, path }, handler)
    sender.reconnect()
    expect(sender.remoteAddress).toEqual({ path })
    for (let index = 0; index < 20; index++) send(`${index}`)
    await until(() => texts.length === 21, 'the rest')
    expect(texts).toEqual(['before', ...Array.from({ length: 20 }, (_, index) => `${index}`)])
    expect(failed).toHaveLength(2)
    for (const socket of [sender, second]) socket.close()
    await untilIdle(ring)
  })

  it('takes to another peer what waited for room at the one that closed', async () => {
    const ring = testRing()
    const folder = directory()
    const [old, other] = [join(folder, 'old'), join(folder, 'other')]
    const texts: number[] = []
    const full = await datagram.bind({ ring, path: old }, {})
    const target = await datagram.bind({ ring, path: other }, {
      message: (_socket, chunk) => void texts.push(chunk.readUInt32LE()),
    })
    full.pause()
    const failed: number[] = []
    const sender = await datagram.connect({ ring, path: old }, {})
    let count = 0
    const send = (): boolean => {
      const number = count++
      const message = Buffer.alloc(100)
      message.writeUInt32LE(number)
      return sender.send(message, {}, (error) => {
        if (error) failed.push(number)
      })
    }
    await until(() => {
      send()
      return sender.messagesQueued > 50
    }, 'the peer to be full')
    const waiting = sender.messagesQueued
    sender.reconnect(other)
    expect(sender.messagesQueued).toBe(waiting)
    await until(() => sender.messagesQueued === 0, 'all to be sent')
    await until(() => texts.length === waiting - failed.length, 'what waited')
    expect(failed).toEqual([])
    // In order, and each once: the last of those that were queued.
    expect(texts).toEqual(Array.from({ length: waiting }, (_, index) => count - waiting + index))
    for (const socket of [sender, full, target]) socket.close()
    await untilIdle(ring)
  })

  it('stays connected as it was if there is nobody', async () => {
    const ring = testRing()
    const folder = directory()
    const path = join(folder, 'peer')
    const texts: string[] = []
    const peer = await datagram.bind({ ring, path }, { message: (_socket, chunk) => void texts.push(String(chunk)) })
    const sender = await datagram.connect({ ring, path }, {})
    expect(() => { sender.reconnect(join(folder, 'nobody')) }).toThrow(expect.objectContaining({ code: 'ENOENT' }))
    expect(sender.remoteAddress).toEqual({ path })
    sender.send('x')
    await until(() => texts.length === 1, 'the datagram')
    for (const socket of [sender, peer]) socket.close()
    await untilIdle(ring)
  })
})
