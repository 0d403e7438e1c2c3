import { writeSync } from 'node:fs'
import { afterEach, expect, it } from 'vitest'
import { createRing, limits, type Ring, StreamConnection, type StreamHandler } from '@sheaf/ring'
import { until, untilIdle } from '@sheaf/ring/testing'

const unixFamily = 1
const streamType = 1

class PlainConnection extends StreamConnection {
  readonly localAddress = undefined
  readonly remoteAddress = undefined
}

let ring: Ring

afterEach(() => ring.close())

/** A connection that is to lend what it receives, and its peer. */
function pair(handler: StreamHandler): [lender: PlainConnection, peer: PlainConnection] {
  ring = createRing()
  const fds = new Int32Array(2)
  expect(ring.sockets.socketpair(unixFamily, streamType, fds)).toBe(0)
  const lender = new PlainConnection(ring, fds[0], handler)
  const peer = new PlainConnection(ring, fds[1], {})
  lender.lendReceived()
  lender.begin()
  peer.begin()
  return [lender, peer]
}

async function close(...connections: readonly PlainConnection[]): Promise<void> {
  for (const connection of connections) connection.destroy()
  await untilIdle(ring)
}

it('what is lent lies in the receive pool while the handler is told, and is whole', async () => {
  const sent = Buffer.from(Array.from({ length: limits.receiveBufferBytes * 3 }, (_, index) => index % 251))
  const read: Buffer[] = []
  const [lender, peer] = pair({
    data(_connection, chunk) {
      expect(chunk.buffer).toBe(ring.pool.memory.buffer)
      expect(ring.usage.receiveBuffersHeld).toBe(Math.ceil(chunk.byteLength / limits.receiveBufferBytes))
      read.push(Buffer.from(chunk))
    },
  })
  peer.write(sent)
  await until(() => lender.bytesRead === sent.byteLength, 'the bytes')
  expect(Buffer.concat(read).equals(sent)).toBe(true)
  expect(ring.usage.receiveBuffersHeld).toBe(0)
  await close(lender, peer)
})

it('what arrives while it is paused is the receiver\'s own, and comes before what is lent', async () => {
  const read: string[] = []
  const [lender, peer] = pair({
    data(connection, chunk) {
      read.push(chunk.toString())
      if (read.length !== 1) return
      // Its receive is armed still: what the kernel receives now is kept.
      connection.pause()
      writeSync(peer.fd, 'second')
      ring.reap()
    },
  })
  peer.write('first')
  await until(() => lender.bytesRead === 11, 'what arrives while paused')
  expect(ring.usage.receiveBuffersHeld).toBe(0)
  expect(read).toEqual(['first'])
  lender.resume()
  await until(() => read.length === 2, 'what was kept')
  peer.write('third')
  await until(() => read.length === 3, 'what is lent after it')
  expect(read).toEqual(['first', 'second', 'third'])
  await close(lender, peer)
})

it('buffers are given back when the handler throws, or closes the connection', async () => {
  const thrown: unknown[] = []
  const listeners = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException').on('uncaughtException', (error) => void thrown.push(error))
  try {
    const failure = new Error('of the handler')
    const [lender, peer] = pair({
      data(connection, chunk) {
        if (chunk.toString() === 'throw') throw failure
        connection.destroy()
      },
    })
    peer.write('throw')
    await until(() => thrown.length === 1, 'the error')
    expect(thrown).toEqual([failure])
    expect(ring.usage.receiveBuffersHeld).toBe(0)
    peer.write('close')
    await until(() => lender.state === 'closed', 'the end')
    expect(ring.usage.receiveBuffersHeld).toBe(0)
    await close(peer)
  } finally {
    process.removeAllListeners('uncaughtException')
    for (const listener of listeners) process.on('uncaughtException', listener)
  }
})
