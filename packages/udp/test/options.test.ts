import { once } from 'node:events'
import { createSocket } from 'node:dgram'
import { expect, it } from 'vitest'
import { bind, connect } from '../src/index'
import { addressOf, bound, connected, loopback, portOf, Received, testRing, until } from './support'

it('packet info tells the local address and interface of each datagram', async () => {
  const ring = testRing()
  const received = new Received()
  const socket = await bound(ring, received, { host: '0.0.0.0', packetInfo: true })
  const sender = await bound(ring)
  for (const address of ['127.0.0.1', '127.0.0.2']) sender.send(address, { address, port: portOf(socket) })
  await received.arrived(2)
  expect(received.details).toEqual([
    { localAddress: '127.0.0.1', interfaceIndex: 1 },
    { localAddress: '127.0.0.2', interfaceIndex: 1 },
  ])
})

it('packet info of a dual-stack socket', async () => {
  const ring = testRing()
  const received = new Received()
  const socket = await bound(ring, received, { host: '', packetInfo: true })
  const sender = await bound(ring, {}, { host: '' })
  sender.send('6', { address: '::1', port: portOf(socket) })
  sender.send('4', { address: '127.0.0.3', port: portOf(socket) })
  await received.arrived(2)
  const byText = new Map(received.texts.map((text, index) => [text, received.details[index]]))
  expect(byText.get('6')).toEqual({ localAddress: '::1', interfaceIndex: 1 })
  expect(byText.get('4')).toEqual({ localAddress: '::ffff:127.0.0.3', interfaceIndex: 1 })
})

it('timestamps are those of the kernel, to the microsecond', async () => {
  const ring = testRing()
  const received = new Received()
  const socket = await bound(ring, received, { timestamps: true })
  const sender = await connected(ring, socket)
  const before = Date.now()
  sender.sendMany(['a', 'b', 'c'])
  await received.arrived(3)
  for (const details of received.details) {
    expect(details?.timestampUs).toBeGreaterThan(before * 1000 - 50_000)
    expect(details?.timestampUs).toBeLessThan((Date.now() + 1) * 1000 + 50_000)
    expect(Number.isInteger(details?.timestampUs)).toBe(true)
  }
})

it('the drop counter says how many datagrams found no room', async () => {
  const ring = testRing()
  const received = new Received()
  const socket = await bound(ring, received, { dropCounter: true, receiveBufferBytes: 5000, coalesce: false })
  socket.pause()
  await new Promise((resolve) => setTimeout(resolve, 10))
  const sender = await connected(ring, socket)
  for (let index = 0; index < 100; index++) sender.send(`${index}`.padStart(500))
  await until(() => sender.messagesQueued === 0, 'sending')
  socket.resume()
  await received.arrived(1)
  await new Promise((resolve) => setTimeout(resolve, 20))
  const kept = received.chunks.length
  expect(kept).toBeLessThan(100)
  sender.send('after')
  await received.arrived(kept + 1)
  expect(received.details.at(-1)?.dropped).toBe(100 - kept)
})

it('type of service goes with what is sent, over IPv4 and IPv6', async () => {
  const ring = testRing()
  for (const host of [loopback, '::1']) {
    const received = new Received()
    const socket = await bound(ring, received, { host, receiveTypeOfService: true })
    const sender = await bound(ring, {}, { host, typeOfService: 0xb8 })
    const to = { address: host, port: portOf(socket) }
    sender.send('a', to)
    await received.arrived(1)
    sender.setTypeOfService(0x2)
    sender.send('b', to)
    await received.arrived(2)
    expect(received.details.map((details) => details?.typeOfService)).toEqual([0xb8, 0x2])
  }
})

it('two sockets share a port with reusePort, and the port is taken without', async () => {
  const ring = testRing()
  const first = await bound(ring, {}, { reusePort: true })
  const port = portOf(first)
  const second = await bound(ring, {}, { reusePort: true, port })
  expect(portOf(second)).toBe(port)
  await expect(bound(ring, {}, { port })).rejects.toMatchObject({
    code: 'EADDRINUSE', syscall: 'bind', address: loopback, port, errno: -98,
    message: `bind EADDRINUSE ${loopback}:${port}`,
  })
})

it('an IPv6-only socket leaves the port to IPv4', async () => {
  const ring = testRing()
  const six = await bound(ring, {}, { host: '::', ipv6Only: true })
  const four = await bound(ring, {}, { host: '0.0.0.0', port: portOf(six) })
  expect(portOf(four)).toBe(portOf(six))
})

it('broadcast needs leave', async () => {
  const ring = testRing()
  const received = new Received()
  const socket = await bound(ring, received, { host: '0.0.0.0' })
  const sender = await bound(ring)
  const to = { address: '127.255.255.255', port: portOf(socket) }
  const refused = await new Promise((resolve) => sender.send('no', to, resolve))
  expect(refused).toMatchObject({ code: 'EACCES', syscall: 'send', ...to })
  sender.setBroadcast(true)
  sender.send('yes', to)
  await received.arrived(1)
  expect(received.texts).toEqual(['yes'])
})

it('multicast: membership, interface, loopback, hops', async () => {
  const ring = testRing()
  const received = new Received()
  const group = '239.1.2.3'
  const socket = await bound(ring, received, { host: '0.0.0.0' })
  const sender = await bound(ring)
  const to = { address: group, port: portOf(socket) }
  sender.setMulticastInterface('127.0.0.1')
  sender.setMulticastLoopback(true)
  sender.setMulticastTimeToLive(1)
  const send = (text: string): Promise<unknown> => new Promise((resolve) => sender.send(text, to, resolve))
  expect(await send('before')).toBeUndefined()
  socket.addMembership(group, 'lo')
  expect(await send('member')).toBeUndefined()
  await received.arrived(1)
  socket.dropMembership(group, 'lo')
  await send('after')
  socket.addSourceSpecificMembership('127.0.0.9', group, '127.0.0.1')
  await send('other source')
  socket.dropSourceSpecificMembership('127.0.0.9', group, '127.0.0.1')
  socket.addSourceSpecificMembership(loopback, group, '127.0.0.1')
  await send('source')
  await received.arrived(2)
  expect(received.texts).toEqual(['member', 'source'])
})

it('membership that can\'t be is refused with the error of dgram', async () => {
  const ring = testRing()
  const socket = await bound(ring)
  expect(() => socket.addMembership('10.0.0.1', 'lo')).toThrow(
    expect.objectContaining({ code: 'EINVAL', syscall: 'addMembership' }))
  expect(() => socket.dropMembership('239.9.9.9', 'lo')).toThrow(
    expect.objectContaining({ code: 'EADDRNOTAVAIL', syscall: 'dropMembership' }))
  expect(() => socket.addMembership('239.9.9.9', 'nowhere')).toThrow(expect.objectContaining({ code: 'ENODEV' }))
  expect(() => socket.addMembership('239.9.9.9', '192.0.2.1')).toThrow(expect.objectContaining({ code: 'ENODEV' }))
  expect(() => socket.addMembership('all')).toThrow(expect.objectContaining({ code: 'ERR_INVALID_IP_ADDRESS' }))
})

it('buffer sizes are doubled by the kernel, as with dgram', async () => {
  const ring = testRing()
  const socket = await bound(ring, {}, { sendBufferBytes: 30_000, receiveBufferBytes: 40_000 })
  const theirs = createSocket({ type: 'udp4', sendBufferSize: 30_000, recvBufferSize: 40_000 })
  theirs.bind(0)
  await once(theirs, 'listening')
  expect(socket.sendBufferBytes).toBe(theirs.getSendBufferSize())
  expect(socket.receiveBufferBytes).toBe(theirs.getRecvBufferSize())
  socket.setSendBufferBytes(20_000)
  socket.setReceiveBufferBytes(25_000)
  expect([socket.sendBufferBytes, socket.receiveBufferBytes]).toEqual([40_000, 50_000])
  theirs.close()
})

it('path MTU: known of a connected socket, and larger datagrams fail when fragments are forbidden', async () => {
  const ring = testRing()
  const target = await bound(ring, {}, { host: '::1' })
  const sender = await connected(ring, target, {}, { host: '::1', pathMtuDiscovery: 'do' })
  expect(sender.pathMtuBytes).toBe(65_536)
  const refused = await new Promise((resolve) => sender.send(Buffer.alloc(65_500), resolve))
  expect(refused).toMatchObject({ code: 'EMSGSIZE', syscall: 'send' })
  const sent = await new Promise((resolve) => sender.send(Buffer.alloc(65_480), resolve))
  expect(sent).toBeUndefined()
})

it('hops of what is sent', async () => {
  const ring = testRing()
  const socket = await bound(ring, {}, { timeToLive: 7 })
  const value = new Uint8Array(4)
  expect(ring.sockets.getsockopt(socket.fd, 0, 2, value)).toBe(4)
  expect(value[0]).toBe(7)
  socket.setTimeToLive(9)
  ring.sockets.getsockopt(socket.fd, 0, 2, value)
  expect(value[0]).toBe(9)
})

it('an aborted signal closes the socket, after what was sent', async () => {
  const ring = testRing()
  const received = new Received()
  const target = await bound(ring, received)
  const controller = new AbortController()
  const ended = new Received()
  const socket = await bound(ring, ended, { signal: controller.signal })
  socket.send('last words', addressOf(target))
  controller.abort()
  await received.arrived(1)
  await until(() => ended.closes === 1, 'the close')
  expect(ended.closeError).toBeUndefined()
  const aborted = { name: 'AbortError', code: 'ABORT_ERR' }
  await expect(bind({ signal: controller.signal, ring }, {})).rejects.toMatchObject(aborted)
  const signal = AbortSignal.abort('enough')
  await expect(bind({ signal, ring }, {})).rejects.toMatchObject({ ...aborted, cause: 'enough' })
  await expect(connect({ port: 1, signal, ring }, {})).rejects.toMatchObject({ ...aborted, cause: 'enough' })
})

it.each(['ring', 'node'] as const)('options are those at the call, which may change later: %s', async (backend) => {
  const binding = { host: 'localhost', family: 4 as const, backend, timeToLive: 7 }
  const bindings = [1, 2].map(() => {
    const socket = bind(binding, {})
    Object.assign(binding, { timeToLive: 999, port: 65_536 })
    const refused = bind(binding, {})
    Object.assign(binding, { timeToLive: 7, port: 0 })
    return Promise.all([socket, expect(refused).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' })])
  })
  const targets = (await Promise.all(bindings)).map(([socket]) => socket)
  const ports = targets.map(portOf)
  const options = { host: loopback, backend, port: 0 }
  const sockets = await Promise.all(ports.map((port) => {
    options.port = port
    return connect(options, {})
  }))
  expect(sockets.map(({ remoteAddress }) => remoteAddress?.port)).toEqual(ports)
  for (const socket of [...sockets, ...targets]) socket.destroy()
})
