/** What comes of what a handler does while its own connection is advanced: nobody else may have to wake it. */
import { once } from 'node:events'
import nodeNet, { type AddressInfo, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { expect, it, onTestFinished } from 'vitest'
import { handOver } from '@sheaf/ring/net'
import type { StreamHandler, TcpConnection } from '../src/index'
import net from '../src/net'
import { client, echo, Received, server, testRing, until } from './support'

it('a connection that is flushed in its `drain` is told of all that it has sent', async () => {
  const ring = testRing()
  const received = new Received()
  const listener = await server(ring, received)
  const chunk = Buffer.alloc(100_000)
  const writes = 50
  let written = 0
  let told = 0
  const pump = (connection: TcpConnection): void => {
    while (written < writes) {
      written++
      if (!connection.write(chunk, () => { told++ })) break
    }
    if (written === writes) connection.end()
    connection.flush()
  }
  await client(ring, listener, { open: pump, drain: pump })
  await received.closed
  expect(received.bytes).toBe(writes * chunk.byteLength)
  await until(() => told === writes, 'the callbacks')
})

it.each(['drain', 'end'] as const)('nothing that is written in `%s` is called back for', async (event) => {
  const ring = testRing()
  const listener = await server(ring, event === 'end' ? { data: (peer) => { peer.end() } } : echo)
  let told = 0
  const handler: StreamHandler<TcpConnection> = {
    [event](connection: TcpConnection) {
      handler[event] = undefined
      connection.write('', () => { told++ })
    },
  }
  const connection = await client(ring, listener, handler, { allowHalfOpen: true })
  while (connection.write(Buffer.alloc(event === 'drain' ? 50_000 : 1)) && event === 'drain');
  await until(() => told === 1, 'the callback')
  connection.destroy()
})

/** A server of `node:net` in a thread of its own, which reads whatever comes. @returns its port. */
async function reader(): Promise<number> {
  const program = `
    const { parentPort } = require('node:worker_threads')
    const server = require('node:net').createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => undefined).resume()
    }).listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))`
  const worker = new Worker(program, { eval: true })
  onTestFinished(() => void worker.terminate())
  return (await once(worker, 'message') as [number])[0]
}

async function connected(port: number): Promise<Socket> {
  const socket = net.connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

function fill(socket: Socket): void {
  const chunk = Buffer.alloc(60_000)
  while (socket.write(chunk));
}

// Somebody else's closing has the kernel say what has been sent, in the middle of the listener.
it('`drain` comes to a socket in whose `drain` another is destroyed', async () => {
  const port = await reader()
  const socket = await connected(port)
  let drains = 0
  socket.on('drain', () => {
    drains++
    if (drains === 5) return
    fill(socket)
    // The peer has read all by then.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
    const other = others.pop()
    other?.write('x')
    other?.destroy()
  })
  const others = await Promise.all(Array.from({ length: 4 }, () => connected(port)))
  fill(socket)
  await until(() => drains === 5, 'five times `drain`')
})

it.each([0, 1, 3])('`finish` comes to one that ends in its `drain`, another closing %i ticks later', async (ticks) => {
  const port = await reader()
  const socket = await connected(port)
  const other = await connected(port)
  const later = (left: number): void => {
    if (left === 0) other.destroy()
    else process.nextTick(later, left - 1)
  }
  socket.once('drain', () => {
    socket.end()
    later(ticks)
  })
  fill(socket)
  await once(socket, 'finish')
})

it('a chunk of more than 2 GB is sent', async () => {
  const sizeBytes = 2 ** 31 + 1
  let bytes = 0
  const peer = nodeNet.createServer((socket) => {
    socket.on('data', ({ byteLength }) => { bytes += byteLength })
  })
  peer.listen(0, '127.0.0.1')
  await once(peer, 'listening')
  const socket = await connected((peer.address() as AddressInfo).port)
  // Of memory that nobody has touched there is none: the kernel reads zeros.
  const error = await new Promise((resolve) => {
    socket.write(Buffer.from(new ArrayBuffer(sizeBytes)), resolve)
  })
  expect(error).toBeFalsy()
  await until(() => bytes === sizeBytes, 'all bytes', 60_000)
  socket.destroy()
  peer.close()
}, 120_000)

it('a write whose memory has been taken away fails', async () => {
  const port = await reader()
  const socket = await connected(port)
  const chunk = new Uint8Array(20_000_000)
  const failed = new Promise((resolve) => { socket.write(chunk, resolve) })
  const error = once(socket, 'error')
  structuredClone(chunk.buffer, { transfer: [chunk.buffer] })
  expect(await failed).toMatchObject({ code: 'ERR_SHEAF_DETACHED' })
  expect(await error).toMatchObject([{ code: 'ERR_SHEAF_DETACHED' }])
  await sleep(1)
})

it('a socket is handed to another process with all that has been received, or closed', async () => {
  const sizeBytes = 300_000
  const handed: unknown[] = []
  const accepting = net.createServer({ pauseOnConnect: true }, (socket) => {
    // More has come with it.
    socket.once('data', () => handed.push(handOver(socket), socket.destroyed))
    setTimeout(() => socket.resume(), 100)
  })
  accepting.listen(0, '127.0.0.1')
  await once(accepting, 'listening')
  const peer = nodeNet.connect((accepting.address() as AddressInfo).port, '127.0.0.1')
  peer.on('error', () => undefined).write(Buffer.alloc(sizeBytes))
  await once(peer, 'close')
  expect(handed).toEqual([undefined, true])
  accepting.close()
})

it('what came before a reset is told before it, though the connection is paused meanwhile', async () => {
  const ring = testRing()
  // More than a chunk, and less than the kernel keeps for one who reads nothing.
  const sizeBytes = 100_000
  let bytes = 0
  const failed = new Promise((resolve) => {
    void server(ring, {
      open(connection) {
        connection.pause()
        setTimeout(() => connection.resume(), 100)
      },
      data(connection, { byteLength }) {
        bytes += byteLength
        connection.pause()
        setTimeout(() => connection.resume(), 5)
      },
      close: (_connection, error) => { resolve(error) },
    }).then((listener) => {
      const peer = nodeNet.connect(listener.address.port, '127.0.0.1')
      peer.write(Buffer.alloc(sizeBytes), () => setTimeout(() => peer.resetAndDestroy(), 20))
    })
  })
  expect(await failed).toMatchObject({ code: 'ECONNRESET' })
  expect(bytes).toBe(sizeBytes)
})
