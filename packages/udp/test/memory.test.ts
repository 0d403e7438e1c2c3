import { MessageChannel } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { addressOf, bound, pattern, Received, testRing, until } from './support'

describe('memory that is taken away', () => {
  const ways = ['structuredClone', 'postMessage', 'resize', 'ArrayBuffer.prototype.transfer']
  it.for(ways)('by %s after send changes nothing', async (how, context) => {
    const { transfer } = ArrayBuffer.prototype as { transfer?: (this: ArrayBuffer) => ArrayBuffer }
    if (how === 'ArrayBuffer.prototype.transfer' && transfer === undefined) {
      context.skip('needs ArrayBuffer.prototype.transfer (Node.js 21)')
    }
    const ring = testRing()
    const received = new Received()
    const target = await bound(ring, received)
    const socket = await bound(ring)
    for (const [index, size] of [1, 500, 20_000, 60_000].entries()) {
      const memory = new (ArrayBuffer as new (size: number, options: object) => ArrayBuffer)(
        size,
        { maxByteLength: size },
      )
      new Uint8Array(memory).set(pattern(size, index))
      socket.send(new Uint8Array(memory), addressOf(target))
      if (how === 'structuredClone') structuredClone(memory, { transfer: [memory] })
      else if (how === 'ArrayBuffer.prototype.transfer') transfer?.call(memory)
      else if (how === 'resize') (memory as ArrayBuffer & { resize(sizeBytes: number): void }).resize(0)
      else new MessageChannel().port1.postMessage(memory, [memory])
    }
    await received.arrived(4)
    for (const [index, size] of [1, 500, 20_000, 60_000].entries()) {
      expect(received.chunks[index].equals(pattern(size, index))).toBe(true)
    }
  })

  it('a received chunk that is transferred leaves those that follow whole', async () => {
    const ring = testRing()
    const whole: string[] = []
    const target = await bound(ring, {
      message(_socket, chunk) {
        whole.push(String(chunk))
        try {
          structuredClone(chunk.buffer, { transfer: [chunk.buffer as ArrayBuffer] })
        } catch {
          // Refused from Node.js 21 on; before that it is copied.
        }
      },
    })
    const socket = await bound(ring)
    for (let index = 0; index < 50; index++) {
      socket.send(`datagram ${index}`, addressOf(target))
      await until(() => whole.length === index + 1, 'the datagram')
    }
    expect(whole).toEqual(Array.from({ length: 50 }, (_, index) => `datagram ${index}`))
  })
})
