import { createHook } from 'node:async_hooks'
import nodeDatagram, { type Socket } from 'node:dgram'
import { once } from 'node:events'
import { defaultRing, encodeSocketAddress } from '@sheaf/ring'
import { isBlocking, nonBlocking, openDescriptors } from '@sheaf/ring/testing'
import { describe, expect, it } from 'vitest'
import { createSocket } from '../../src/dgram/index'
import { loopback, until, untilIdle } from '../support'

async function bound(options: Partial<nodeDatagram.SocketOptions> = {}, port = 0): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', ...options })
  socket.bind(port, loopback)
  await once(socket, 'listening')
  return socket
}

function closed(socket: Socket): Promise<void> {
  return new Promise((told) => {
    socket.close(told)
  })
}

describe('sockets of @sheaf/udp/dgram', () => {
  it('send and receive through the ring, several at once', async () => {
    const { metrics } = defaultRing()
    const { messagesWritten, messagesRead, sends } = metrics
    const receiver = await bound()
    let received = 0
    receiver.on('message', (message) => { received += message.length })
    const sender = await bound()
    for (let index = 0; index < 64; index++) sender.send('a message', receiver.address().port, loopback)
    await until(() => received === 64 * 9, '64 messages')
    expect(metrics.messagesWritten - messagesWritten).toBe(64)
    expect(metrics.messagesRead - messagesRead).toBe(64)
    expect(metrics.sends - sends).toBe(1)
    await Promise.all([closed(sender), closed(receiver)])
  })

  it('tell of memory that can\'t be had as of any other failure to bind', async () => {
    const ring = defaultRing()
    const noMemory = Object.assign(new Error('no memory'), { errno: -12 })
    Object.defineProperty(ring, 'internetMessages', { configurable: true, get: () => { throw noMemory } })
    const before = openDescriptors()
    try {
      for (const sends of [false, true]) {
        const socket = createSocket('udp4')
        const failed = once(socket, 'error')
        if (sends) socket.send('x', 1, loopback)
        else socket.bind(0)
        expect(await failed).toMatchObject([{ code: 'ENOMEM', syscall: 'bind' }])
        await closed(socket)
      }
    } finally {
      Reflect.deleteProperty(ring, 'internetMessages')
    }
    expect(openDescriptors()).toBe(before)
  })

  it('receive datagrams one by one as soon as somebody else may have the descriptor', async () => {
    const receiver = await bound()
    const { sockets } = defaultRing()
    const { _handle: { fd } } = receiver as unknown as { _handle: { fd: number } }
    const coalesces = new Int32Array([5])
    expect(sockets.getsockopt(fd, 17, 104, new Uint8Array(coalesces.buffer))).toBe(4)
    expect(coalesces[0]).toBe(0)
    await closed(receiver)
  })

  it('tell each of what has come together before somebody else may have the descriptor', async () => {
    const { sockets } = defaultRing()
    const receiver = await bound()
    const received: string[] = []
    receiver.on('message', (message) => received.push(message.toString()))
    const sender = sockets.socket(2, 2, 0)
    const segmentBytes = new Uint8Array(Int32Array.of(100).buffer)
    expect(sockets.setsockopt(sender, 17, 103, segmentBytes)).toBe(0)
    expect(sockets.connect(sender, encodeSocketAddress(loopback, receiver.address().port, () => 0))).toBe(0)
    const none = new Uint8Array()
    const sent = Array.from({ length: 60 }, (_, index) => String(index).padStart(100, '.'))
    // A system call each, and nothing has been received when the descriptor is asked for.
    for (const at of [0, 30]) {
      const together = Buffer.from(sent.slice(at, at + 30).join(''))
      expect(sockets.send(sender, together, none, none, 0)).toBe(3000)
    }
    expect((receiver as unknown as { _handle: { fd: number } })._handle.fd).toBeGreaterThan(0)
    await until(() => received.length >= 60, 'each of them')
    expect(received).toEqual(sent)
    sockets.close(sender)
    await closed(receiver)
  })

  it('leave a descriptor of others non-blocking, and receive and send by it', async () => {
    const { sockets } = defaultRing()
    const fd = sockets.socket(2, 2 | nonBlocking, 0)
    expect(sockets.bind(fd, new Uint8Array([2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]))).toBe(0)
    const others = sockets.dup(fd)
    const [socket, peer] = [createSocket('udp4'), await bound()]
    await new Promise<void>((listening) => { socket.bind({ fd }, listening) })
    let echoed = 0
    socket.on('message', (message, { port }) => socket.send(message, port, loopback))
    peer.on('message', () => { echoed++ })
    for (let round = 0; round < 3; round++) {
      for (let count = 0; count < 20; count++) peer.send(Buffer.alloc(5000), socket.address().port, loopback)
      await until(() => echoed === (round + 1) * 20, 'all answers')
    }
    expect(isBlocking(others)).toBe(false)
    sockets.close(others)
    await Promise.all([closed(socket), closed(peer)])
  })

  it('tell `async_hooks` of the end of whatever began, at once', async () => {
    const begun = new Map<number, string>()
    const hook = createHook({
      init: (id, type) => { if (type.startsWith('UDP')) begun.set(id, type) },
      destroy: (id) => { begun.delete(id) },
    }).enable()
    const [receiver, sender] = [await bound(), await bound()]
    await new Promise((sent) => sender.send('x', receiver.address().port, loopback, sent))
    expect([...begun.values()].sort()).toEqual(['UDPSENDWRAP', 'UDPWRAP', 'UDPWRAP'])
    await Promise.all([closed(receiver), closed(sender)])
    await until(() => begun.size === 0, 'the end of all')
    hook.disable()
  })

  it('tell who awaits one message after another of each', async () => {
    const receiver = await bound()
    const sender = await bound()
    for (let index = 0; index < 64; index++) sender.send(String(index), receiver.address().port, loopback)
    for (let index = 0; index < 64; index++) {
      const [message] = await once(receiver, 'message') as [Buffer]
      expect(message.toString()).toBe(String(index))
    }
    await Promise.all([closed(sender), closed(receiver)])
  })

  it.each([
    ['can\'t be sent', 1, 70_000, 'EMSGSIZE'],
    ['fill the queue', 5, 60_000, undefined],
  ] as const)('call back for datagrams of a listener of `message` that %s', async (_, count, sizeBytes, code) => {
    const receiver = await bound()
    const sink = await bound()
    const told: (string | undefined)[] = []
    receiver.once('message', () => {
      for (let index = 0; index < count; index++) {
        receiver.send(Buffer.alloc(sizeBytes), sink.address().port, loopback, (error) => {
          told.push((error as NodeJS.ErrnoException | undefined)?.code)
        })
      }
    })
    const sender = nodeDatagram.createSocket('udp4')
    sender.send('send', receiver.address().port, loopback)
    await until(() => told.length === count, 'the callbacks')
    expect(new Set(told)).toEqual(new Set([code]))
    sender.close()
    await Promise.all([closed(receiver), closed(sink)])
  })

  it('tell a zone that is no interface to the callback of `send`', async () => {
    const socket = createSocket('udp6')
    const send = (): Promise<unknown> => new Promise((told) => { socket.send('x', 9, 'fe80::1%none', told) })
    // Unbound, and bound by then.
    for (let time = 0; time < 2; time++) expect(await send()).toMatchObject({ code: 'ENETUNREACH' })
    socket.send('x', 9, 'fe80::1%none')
    await closed(socket)
  })

  it('take any number of datagrams in one turn, in order', async () => {
    const receiver = await bound()
    const peer = nodeDatagram.createSocket('udp4')
    peer.bind(0, loopback)
    await once(peer, 'listening')
    const sender = await bound()
    const { port } = peer.address()
    // More than all queues may hold, were they not emptied meanwhile. The receiver can't keep it all.
    const count = 70_000
    const chunk = Buffer.alloc(1000)
    let told = 0
    let failed = 0
    let highest = 0
    for (let index = 0; index < count; index++) {
      chunk.writeUInt32LE(index)
      sender.send(chunk, port, loopback, (error) => {
        told++
        if (error !== null) failed++
      })
      highest = Math.max(highest, sender.getSendQueueSize())
    }
    expect(highest).toBeLessThan(1024 * 1024)
    let last = -1
    peer.on('message', (message) => {
      const index = message.readUInt32LE()
      expect(index).toBeGreaterThan(last)
      last = index
    })
    await until(() => told === count, `${count} callbacks`)
    expect(failed).toBe(0)
    expect(sender.getSendQueueCount()).toBe(0)
    await until(() => last >= 0, 'a datagram')
    peer.close()
    await Promise.all([closed(sender), closed(receiver)])
  })

  it('give their port back before close() returns, with a receive in the kernel', async () => {
    const socket = await bound()
    const { port } = socket.address()
    const sender = await bound()
    sender.send('x', port, loopback)
    await once(socket, 'message')
    let told = false
    socket.once('close', () => { told = true })
    socket.close()
    expect(told).toBe(false)
    const again = await bound({}, port)
    await until(() => told, 'the close event')
    await Promise.all([closed(again), closed(sender)])
  })

  it('send what was sent before they were closed', async () => {
    const receiver = await bound()
    const texts: string[] = []
    receiver.on('message', (message) => texts.push(message.toString()))
    const sender = await bound()
    for (let index = 0; index < 100; index++) sender.send(`${index}`, receiver.address().port, loopback)
    sender.close()
    await until(() => texts.length === 100, '100 messages')
    expect(texts).toEqual(Array.from({ length: 100 }, (_, index) => `${index}`))
    await closed(receiver)
  })

  it('keep datagrams for a peer from going to the next one', async () => {
    const [first, second] = await Promise.all([bound(), bound()])
    const texts: [string, string][] = []
    first.on('message', (message) => texts.push(['first', message.toString()]))
    second.on('message', (message) => texts.push(['second', message.toString()]))
    const sender = createSocket('udp4')
    await new Promise<void>((connected) => { sender.connect(first.address().port, loopback, connected) })
    sender.send('for the first')
    sender.disconnect()
    await new Promise<void>((connected) => { sender.connect(second.address().port, loopback, connected) })
    sender.send('for the second')
    await until(() => texts.length === 2, 'two messages')
    expect(texts.sort()).toEqual([['first', 'for the first'], ['second', 'for the second']])
    await Promise.all([first, second, sender].map(closed))
  })

  it('go on after a listener has thrown', async () => {
    const receiver = await bound()
    const thrown: unknown[] = []
    const listeners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', (error) => thrown.push(error))
    const texts: string[] = []
    receiver.on('message', (message) => {
      texts.push(message.toString())
      if (texts.length === 1) throw new Error('from the listener')
    })
    for (const text of ['a', 'b', 'c']) receiver.send(text, receiver.address().port, loopback)
    await until(() => texts.length === 3, 'three messages')
    process.removeAllListeners('uncaughtException')
    for (const listener of listeners) process.on('uncaughtException', listener)
    expect(texts).toEqual(['a', 'b', 'c'])
    expect(thrown).toHaveLength(1)
    await closed(receiver)
  })

  it('leave nothing behind, however they end', async () => {
    const ring = defaultRing()
    await untilIdle(ring)
    const before = openDescriptors()
    for (let round = 0; round < 50; round++) {
      const unbound = createSocket('udp4')
      unbound.close()
      const binding = createSocket('udp4')
      binding.bind(0, loopback)
      binding.close()
      const joined = createSocket('udp4')
      joined.addMembership('224.0.0.116', loopback)
      joined.close()
      const failing = createSocket('udp4').on('error', () => undefined)
      failing.bind(0, '192.0.2.1')
      const sending = await bound()
      for (let index = 0; index < 10; index++) sending.send('x', sending.address().port, loopback)
      sending.close()
      await once(sending, 'close')
      failing.close()
    }
    await untilIdle(ring)
    expect(openDescriptors()).toBe(before)
  })
})
