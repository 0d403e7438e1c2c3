import { createSocket } from 'node:dgram'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  bind, type BindOptions, connect, type ConnectOptions, type MessageBatch, nodeSockets, type UdpHandler, type UdpSocket,
} from '../src/index'
import { ownLoopback as loopback, portOf, Received, until } from './support'

/** What can't be had without io_uring says so. */
const unsupported = expect.objectContaining({ code: 'ERR_SHEAF_UNSUPPORTED' }) as Error

async function bound(handler: UdpHandler = {}, options: Partial<BindOptions> = {}): Promise<UdpSocket> {
  return closedAfterwards(await bind({ host: loopback, backend: 'node', ...options }, handler))
}

async function connected(to: UdpSocket, handler: UdpHandler = {}, options: Partial<ConnectOptions> = {}) {
  const target = { host: loopback, port: portOf(to), backend: 'node' } as const
  return closedAfterwards(await connect({ ...target, ...options }, handler))
}

function closedAfterwards(socket: UdpSocket): UdpSocket {
  onTestFinished(() => {
    socket.destroy()
  })
  return socket
}

describe('UDP on Node\'s own sockets', () => {
  it('sends to anybody, and tells who sent', async () => {
    const received = new Received()
    const receiver = await bound(received)
    const sender = await bound()
    sender.send('one', receiver.localAddress)
    sender.sendMany(['two', ''], receiver.localAddress)
    await received.arrived(3)
    expect(received.texts).toEqual(['one', 'two', ''])
    expect(received.senders[0]).toEqual({ address: loopback, family: 'IPv4', port: portOf(sender) })
    expect(received.senders[1]).toBe(received.senders[0])
    expect(sender.remoteAddress).toBeUndefined()
  })

  it('exchanges datagrams with a socket on io_uring, IPv4 from an IPv6 socket included', async () => {
    const [here, there] = [new Received(), new Received()]
    const onRing = closedAfterwards(await bind({ host: loopback, backend: 'ring' }, there))
    const onNode = await bound(here, { host: '::' })
    onNode.send('question', onRing.localAddress)
    await there.arrived(1)
    onRing.send('answer', { address: loopback, port: portOf(onNode) })
    await here.arrived(1)
    expect(here.senders[0]).toEqual({ address: `::ffff:${loopback}`, family: 'IPv6', port: portOf(onRing) })
  })

  it('takes datagrams of its peer only when connected, and is told that nobody is there', async () => {
    const received = new Received()
    const receiver = await bound(received)
    const told = new Received()
    const sender = await connected(receiver, told)
    expect(sender.remoteAddress).toEqual({ address: loopback, family: 'IPv4', port: portOf(receiver) })
    expect(() => sender.send('x', receiver.localAddress))
      .toThrow(expect.objectContaining({ code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' }) as Error)
    receiver.destroy()
    await until(() => receiver.state === 'closed', 'the receiver to close')
    const errors: Error[] = []
    const handler: UdpHandler = { error: (_socket, error) => errors.push(error) }
    sender.handler = handler
    sender.send('into the void')
    await until(() => errors.length !== 0, 'an error')
    expect(errors[0]).toMatchObject({ code: 'ECONNREFUSED' })
    expect(sender.state).toBe('open')
  })

  it('refuses what is no destination as a socket on a ring does', async () => {
    const socket = await bound()
    const cases: [unknown, string][] = [
      [undefined, 'ERR_SOCKET_DGRAM_NOT_CONNECTED'],
      [{ address: 1, port: 1 }, 'ERR_INVALID_ARG_TYPE'],
      [{ address: 'localhost', port: 1 }, 'ERR_INVALID_IP_ADDRESS'],
      [{ address: loopback, port: -1 }, 'ERR_SOCKET_BAD_PORT'],
    ]
    for (const [to, code] of cases) {
      expect(() => socket.send('x', to as never)).toThrow(expect.objectContaining({ code }) as Error)
    }
    expect(socket.messagesQueued).toBe(0)
  })

  it('hands over all of a turn as one batch', async () => {
    const sizes: number[] = []
    const receiver = await bound({ messages: (_socket, batch: MessageBatch) => sizes.push(batch.count) })
    const sender = await connected(receiver)
    sender.sendMany(Array.from({ length: 20 }, String))
    await until(() => sizes.reduce((sum, size) => sum + size, 0) === 20, 'twenty datagrams')
    expect(Math.max(...sizes)).toBeGreaterThan(1)
  })

  it('keeps no more while paused than the kernel would', async () => {
    const received = new Received()
    const receiver = await bound(received)
    const sender = await connected(receiver)
    receiver.pause()
    for (let round = 0; round < 10; round++) {
      sender.sendMany(Array.from({ length: 5 }, () => Buffer.alloc(10_000)))
      await until(() => sender.messagesQueued === 0, 'the datagrams to be sent')
      await sleep(1)
    }
    receiver.resume()
    await received.arrived(19)
    sender.send('last')
    await until(() => received.texts.at(-1) === 'last', 'the last')
    expect(received.chunks.length).toBe(20)
  })

  it('loses none of many large ones that come while the thread is busy, as it is not paused', async () => {
    let messages = 0
    const receiver = await bound({ messages: (_socket, batch) => { messages += batch.count } }, {
      receiveBufferBytes: 4_000_000,
    })
    const sender = await connected(receiver)
    sender.sendMany(Array.from({ length: 12 }, () => Buffer.alloc(60_000)))
    await until(() => sender.messagesQueued === 0, 'the datagrams to be sent')
    await until(() => messages === 12, 'the datagrams')
  })

  it('keeps no more empty ones while paused than the kernel would', async () => {
    const received = new Received()
    const receiver = await bound(received)
    const sender = await connected(receiver)
    receiver.pause()
    for (let round = 0; round < 20; round++) {
      sender.sendMany(Array.from({ length: 50 }, () => ''))
      await until(() => sender.messagesQueued === 0, 'the datagrams to be sent')
      await sleep(1)
    }
    expect(receiver.messagesRead).toBe(277)
    receiver.resume()
    await received.arrived(277)
  })

  it('goes on after a handler has thrown', async () => {
    const thrown: unknown[] = []
    const listeners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', (error) => thrown.push(error))
    onTestFinished(() => {
      process.removeAllListeners('uncaughtException')
      for (const listener of listeners) process.on('uncaughtException', listener)
    })
    const texts: string[] = []
    const receiver = await bound({
      message(_socket, chunk) {
        texts.push(chunk.toString())
        throw new Error(`thrown at ${chunk.toString()}`)
      },
    })
    const sender = await connected(receiver)
    sender.send('1', () => { throw new Error('thrown by a callback') })
    sender.send('2')
    await until(() => texts.length === 2 && thrown.length === 3, 'both, and what was thrown')
    expect(receiver.state).toBe('open')
  })

  it('has the options that node:dgram has', async () => {
    const sizes = { receiveBufferBytes: 5000, sendBufferBytes: 5000 }
    const anywhere = { host: '0.0.0.0', reuseAddress: true, broadcast: true, timeToLive: 3 }
    const socket = await bound({}, { ...anywhere, ...sizes })
    expect(socket.receiveBufferBytes).toBe(10_000)
    expect(socket.sendBufferBytes).toBe(10_000)
    socket.setReceiveBufferBytes(6000)
    socket.setSendBufferBytes(6000)
    expect([socket.receiveBufferBytes, socket.sendBufferBytes]).toEqual([12_000, 12_000])
    socket.setTimeToLive(5)
    socket.setBroadcast(false)
    socket.setMulticastTimeToLive(2)
    socket.setMulticastLoopback(true)
    socket.setMulticastInterface('lo')
    socket.addMembership('239.1.2.3', 'lo')
    socket.dropMembership('239.1.2.3', loopback)
    socket.addSourceSpecificMembership(loopback, '232.1.2.3', 'lo')
    socket.dropSourceSpecificMembership(loopback, '232.1.2.3', 'lo')
    expect(() => socket.addMembership('239.1.2.3', 'nothing0')).toThrow(/ENODEV.*nothing0/)
    expect(() => socket.addMembership('somewhere')).toThrow(/Invalid IP address/)
  })

  it('receives from a multicast group by the name of an interface', async () => {
    const received = new Received()
    const receiver = await bound(received, { host: '0.0.0.0' })
    receiver.addMembership('239.77.1.3', 'lo')
    const sender = await bound()
    sender.setMulticastInterface('lo')
    sender.send('to all', { address: '239.77.1.3', port: portOf(receiver) })
    await until(() => received.texts.includes('to all'), 'the datagram')
  })

  it.each([
    'typeOfService', 'pathMtuDiscovery', 'packetInfo', 'timestamps', 'dropCounter', 'receiveTypeOfService',
  ])('rejects the option %s, which it has not, and leaves nothing open', async (name) => {
    const value = { typeOfService: 1, pathMtuDiscovery: 'do' }[name] ?? true
    const members = nodeSockets.members.size
    await expect(bound({}, { [name]: value })).rejects.toThrow(`options.${name} needs io_uring`)
    await expect(bound({}, { [name]: value })).rejects.toEqual(unsupported)
    expect(nodeSockets.members.size).toBe(members)
  })

  it('throws for what it can\'t do', async () => {
    const socket = await bound()
    expect(() => socket.setTypeOfService(1)).toThrow(unsupported)
    expect(() => socket.pathMtuBytes).toThrow(unsupported)
  })

  it('rejects as node:dgram does where it can\'t bind, and leaves nothing open', async () => {
    const taken = createSocket('udp4').bind(0, loopback)
    onTestFinished(() => {
      taken.close()
    })
    await new Promise((resolve) => taken.once('listening', resolve))
    const { port } = taken.address()
    await expect(bound({}, { port })).rejects.toMatchObject({ code: 'EADDRINUSE', syscall: 'bind' })
    await expect(bound({}, { host: '203.0.113.1' })).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' })
  })

  it('closes when its signal is aborted, sending what is queued before', async () => {
    const received = new Received()
    const receiver = await bound(received)
    const controller = new AbortController()
    const told = new Received()
    const sender = await connected(receiver, told, { signal: controller.signal })
    sender.send('last words')
    controller.abort()
    await until(() => told.closes === 1, 'close')
    await received.arrived(1)
    await expect(bound({}, { signal: controller.signal })).rejects.toMatchObject({ name: 'AbortError' })
  })
})
