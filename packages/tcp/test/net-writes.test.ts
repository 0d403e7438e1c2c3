import { once } from 'node:events'
import nodeNet, { type AddressInfo, type Socket } from 'node:net'
import { Worker } from 'node:worker_threads'
import { defaultRing, limits } from '@sheaf/ring'
import { pattern, takeSendMemory, until } from '@sheaf/ring/testing'
import { expect, it, onTestFinished } from 'vitest'
import net from '../src/net'

const questions = 20
const answer = 'answer'

/** Sends that answering `questions` takes, one at a time, after the first few. */
async function sends(answerTo: (socket: Socket) => void, answerBytes: number): Promise<number> {
  const server = net.createServer((socket) => socket.on('data', () => answerTo(socket)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // Of Node's: it is no peer on the ring.
  const client = nodeNet.connect((server.address() as AddressInfo).port, '127.0.0.1')
  onTestFinished(async () => {
    client.destroy()
    server.close()
    await once(server, 'close')
  })
  await once(client, 'connect')
  const ask = async (): Promise<void> => {
    client.write('question')
    for (let bytes = 0; bytes < answerBytes;) bytes += (await once(client, 'data') as [Buffer])[0].byteLength
  }
  for (let count = 0; count < 3; count++) await ask()
  const { metrics } = defaultRing()
  const before = metrics.sends
  for (let count = 0; count < questions; count++) await ask()
  return metrics.sends - before
}

it('what a listener answers leaves at once', async () => {
  expect(await sends((socket) => socket.write(answer), answer.length)).toBe(questions)
})

it('what the ticks after a listener write leaves along with what it has written', async () => {
  expect(await sends((socket) => {
    socket.write(answer)
    process.nextTick(() => {
      socket.write(answer)
      process.nextTick(() => socket.write(answer))
    })
  }, 3 * answer.length)).toBe(questions)
})

it('what is written along with a large chunk leaves in one system call with it', async () => {
  const { metrics } = defaultRing()
  const before = metrics.sendsInPlace
  const large = Buffer.alloc(100_000, 'large')
  expect(await sends((socket) => {
    socket.cork()
    socket.write('before')
    socket.write(large)
    socket.write('behind')
    socket.uncork()
  }, large.length + 12)).toBe(0)
  expect(metrics.sendsInPlace - before).toBe(questions + 3)
})

it('of what is written at once, nothing is said to be sent when the peer goes meanwhile', async () => {
  const told: (string | undefined)[] = []
  const writes = 100
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', () => {
      // The peer resets before this goes on.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
      socket.cork()
      for (let count = 0; count < writes; count++) {
        socket.write(Buffer.alloc(10_000), (error) => told.push((error as NodeJS.ErrnoException | null)?.code))
      }
      socket.uncork()
    })
    socket.on('close', () => server.close())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const peer = new Worker(`
    const socket = require('node:net').connect(require('node:worker_threads').workerData, '127.0.0.1')
    socket.write('question', () => setTimeout(() => socket.resetAndDestroy(), 50))
  `, { eval: true, workerData: (server.address() as AddressInfo).port, execArgv: [] })
  await Promise.all([once(peer, 'exit'), once(server, 'close')])
  expect(told).toHaveLength(writes)
  expect(told).not.toContain(undefined)
})

it('what is written while others have all send memory arrives, and is told as ever', async () => {
  onTestFinished(takeSendMemory(defaultRing()))
  const chunks = Array.from({ length: 2000 }, (_, index) => pattern([100, 9000, 20_000, 1][index % 4], index))
  const told: unknown[] = []
  let drains = 0
  const server = net.createServer((socket) => {
    const go = (): void => {
      while (next < chunks.length) {
        if (!socket.write(chunks[next++], (error) => told.push(error))) {
          socket.once('drain', go)
          return
        }
      }
      socket.end()
    }
    let next = 0
    socket.on('drain', () => { drains++ })
    go()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = net.connect(port, '127.0.0.1')
  await once(client, 'connect')
  const received: Buffer[] = []
  for await (const chunk of client) received.push(chunk as Buffer)
  expect(Buffer.concat(received).equals(Buffer.concat(chunks))).toBe(true)
  expect(drains).toBeGreaterThan(0)
  expect(told.length).toBe(chunks.length)
  expect(told.filter((error) => error instanceof Error)).toEqual([])
  server.close()
})

it('what a class of sockets makes of a chunk before there is a connection is made of it once', async () => {
  const turned = (chunk: Buffer): Buffer => Buffer.from(chunk).reverse()
  class Turning extends net.Socket {
    override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
      super._write(turned(chunk), 'binary', done)
    }
  }
  const server = net.createServer((socket) => socket.end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = new Turning().connect((server.address() as AddressInfo).port, '127.0.0.1')
  client.write('secret')
  const [socket] = await once(server, 'connection') as [Socket]
  const [received] = await once(socket, 'data') as [Buffer]
  expect(String(received)).toBe('terces')
  client.destroy()
  server.close()
})

it('what is written before a socket is destroyed has left, however much others have sent in that turn', async () => {
  const sockets = 160
  const sizeBytes = 256 * 1024
  expect(sockets * sizeBytes).toBeGreaterThan(4 * limits.sendBytesPerTurn)
  const accepted: Socket[] = []
  const server = net.createServer((socket) => accepted.push(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const received = await Promise.all(Array.from({ length: sockets }, async () => {
    const client = nodeNet.connect(port, '127.0.0.1')
    await once(client, 'connect')
    let bytes = 0
    client.on('data', (chunk: Buffer) => { bytes += chunk.byteLength })
    return { client, bytes: () => bytes }
  }))
  await until(() => accepted.length === sockets, 'sockets to be accepted')
  for (const socket of accepted) {
    socket.write(Buffer.alloc(sizeBytes))
    socket.write('bye')
    socket.destroy()
  }
  server.close()
  await Promise.all(received.map(({ client }) => once(client, 'close')))
  expect(received.map(({ bytes }) => bytes())).toEqual(received.map(() => sizeBytes + 'bye'.length))
})
