import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { connect as nodeConnect, createServer, type Socket } from 'node:net'
import { constants } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import type { Ring } from '@sheaf/ring'
import { nonBlocking } from '@sheaf/ring/testing'
import { adopt, connect, listen, type TcpConnection, type TcpListener } from '../src/index'
import { getOption } from '../src/socket-options'
import { client, echo, loopback, Received, server, testRing, uncaughtDuring, until, untilIdle } from './support'

it('socket options are set in the kernel, as its own tools see them', async () => {
  const ring = testRing()
  const listener = await server(ring, echo)
  const connection = await client(ring, listener, {})
  connection.setKeepAlive({ idleSeconds: 77, intervalSeconds: 7, probes: 3 })
  const port = connection.localAddress?.port ?? 0
  const timer = execFileSync('ss', ['-tnoH', 'sport', '=', `:${port}`], { encoding: 'utf8' })
  expect(timer).toMatch(/timer:\(keepalive,1min1[67]sec/)
  connection.setKeepAlive(false)
  connection.setKeepAlive(true)
  connection.setSendBufferBytes(100_000)
  expect(connection.sendBufferBytes).toBe(200_000)
  connection.setReceiveBufferBytes(50_000)
  expect(connection.receiveBufferBytes).toBe(100_000)
  connection.setTypeOfService(0x10)
  expect(connection.typeOfService).toBe(0x10)
  connection.setCongestionControl('reno')
  expect(connection.congestionControl).toBe('reno')
  connection.setNoDelay(false)
  connection.setNoDelay()
  connection.setLinger(3)
  connection.setLinger(undefined)
  connection.setNotSentLowWater(16_384)
  connection.setUserTimeout(30_000)
  connection.setQuickAck()
  connection.setQuickAck(false)
  if (process.getuid?.() === 0) connection.setMark(42)
  else expect(() => connection.setMark(42)).toThrow(expect.objectContaining({ code: 'EPERM' }))
  connection.destroy()
})

it('socket options out of range are refused and change nothing', async () => {
  const ring = testRing()
  const listener = await server(ring, echo)
  const connection = await client(ring, listener, {})
  const range = expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }) as Error
  const type = expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }) as Error
  expect(() => connection.setKeepAlive({ idleSeconds: 0 })).toThrow(range)
  expect(() => connection.setKeepAlive({ intervalSeconds: 40_000 })).toThrow(range)
  expect(() => connection.setKeepAlive({ probes: 200 })).toThrow(range)
  expect(() => connection.setLinger(-1)).toThrow(range)
  expect(() => connection.setSendBufferBytes(0)).toThrow(range)
  expect(() => connection.setReceiveBufferBytes(1.5)).toThrow(range)
  expect(() => connection.setTypeOfService(256)).toThrow(range)
  expect(() => connection.setUserTimeout('1' as never)).toThrow(type)
  expect(() => connection.setCongestionControl(1 as never)).toThrow(type)
  expect(() => connection.setCongestionControl('pigeon')).toThrow(expect.objectContaining({ code: 'ENOENT' }))
  connection.destroy()
})

it('what connect and listen are given is set on both ends', async () => {
  const ring = testRing()
  const options = { noDelay: false, keepAlive: { idleSeconds: 99 } }
  const listener = await server(ring, echo, options)
  const connection = await client(ring, listener, {}, options)
  await until(() => listener.connections === 1, 'the connection')
  const both = execFileSync('ss', ['-tnoH', 'state', 'established', `( sport = :${listener.address.port} or dport = :${
    listener.address.port} )`], { encoding: 'utf8' })
  expect(both.match(/timer:\(keepalive,1min3[89]sec/g)).toHaveLength(2)
  connection.destroy()
})

it('TCP_INFO is an object of plain numbers that tell of the traffic', async () => {
  const ring = testRing()
  const listener = await server(ring, echo)
  const received = new Received()
  const connection = await client(ring, listener, received)
  connection.write(Buffer.alloc(100_000))
  await until(() => received.bytes === 100_000, 'the echo')
  const info = connection.info()
  expect(info.state).toBe('ESTABLISHED')
  expect(info.bytesSent).toBe(100_000)
  expect(info.bytesReceived).toBe(100_000)
  expect(info.bytesAcknowledged).toBe(100_001)
  expect(info.roundTripUs).toBeGreaterThan(0)
  expect(info.minimumRoundTripUs).toBeLessThanOrEqual(info.roundTripUs)
  expect(info.congestionWindowSegments).toBeGreaterThan(0)
  expect(info.sendMaximumSegmentBytes).toBeGreaterThan(500)
  expect(info.notSentBytes).toBe(0)
  connection.destroy()
})

it('closing a connection that lingers holds nobody up', async () => {
  const ring = testRing()
  const listener = await server(ring, { open: (connection) => connection.pause() })
  const received = new Received()
  const connection = await client(ring, listener, received)
  connection.setLinger(1)
  connection.write(Buffer.alloc(40_000_000))
  // As much as the kernels of both take.
  await sleep(200)
  const before = performance.now()
  connection.destroy()
  const other = new Received()
  const beside = await client(ring, await server(ring, echo), other)
  beside.write('beside')
  await until(() => other.bytes === 6, 'an echo')
  await received.closed
  // It stood still for a second.
  expect(performance.now() - before).toBeLessThan(900)
})

/** A descriptor that is connected to `listener`. */
function connectedDescriptor(ring: Ring, listener: TcpListener, flags = 0): number {
  const fd = ring.sockets.socket(2, 1 | flags, 6)
  const { port } = listener.address
  const address = new Uint8Array([2, 0, port >> 8, port & 255, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
  expect(ring.sockets.connect(fd, address)).toBe(flags === 0 ? 0 : -constants.errno.EINPROGRESS)
  return fd
}

it('a descriptor that is adopted belongs to the connection, though its handler throws', async () => {
  const ring = testRing()
  const listener = await server(ring, echo)
  const fd = connectedDescriptor(ring, listener)
  const received = Object.assign(new Received(), { open: () => { throw new Error('open') } })
  const errors = await uncaughtDuring(async () => {
    const connection = adopt({ fd, ring }, received)
    connection.write('adopted')
    connection.end()
    await received.closed
  })
  expect(errors.map(String)).toEqual(['Error: open'])
  expect(received.text).toBe('adopted')
  expect(ring.sockets.getsockname(fd, new Uint8Array(28))).toBe(-9)
})

it('a connected descriptor is adopted, whatever its mode, and belongs to the connection', async () => {
  const ring = testRing()
  const listener = await server(ring, echo)
  const fd = connectedDescriptor(ring, listener, nonBlocking)
  const { port } = listener.address
  await until(() => ring.sockets.getpeername(fd, new Uint8Array(16)) >= 0, 'connected')
  const received = new Received()
  const connection = adopt({ fd, ring }, received)
  expect(connection.remoteAddress?.port).toBe(port)
  connection.write('adopted')
  connection.end()
  await received.closed
  expect(received.text).toBe('adopted')
  expect(ring.sockets.getsockname(fd, new Uint8Array(28))).toBe(-9)
  await listener.close()
  await untilIdle(ring)
})

it('a descriptor whose peer has reset is adopted, and tells what had come and the reset', async () => {
  const ring = testRing()
  const nodeServer = createServer((socket) => {
    socket.once('data', () => socket.write('what had come', () => socket.resetAndDestroy()))
  }).listen(0, loopback)
  await once(nodeServer, 'listening')
  const fd = connectedDescriptor(ring, { address: nodeServer.address() } as TcpListener)
  expect(ring.sockets.send(fd, Buffer.from('?'), new Uint8Array(), new Uint8Array(), 0)).toBe(1)
  await until(() => ring.sockets.getpeername(fd, new Uint8Array(16)) < 0, 'a reset')
  const received = new Received()
  adopt({ fd, ring }, received)
  await received.closed
  expect(received.text).toBe('what had come')
  expect(received.error).toMatchObject({ code: 'ECONNRESET' })
  nodeServer.close()
  await untilIdle(ring)
})

it('a connected descriptor of Node\'s can be adopted when it is duplicated', async () => {
  const ring = testRing()
  const nodeServer = createServer().listen(0, loopback)
  await once(nodeServer, 'listening')
  const { port } = nodeServer.address() as { port: number }
  const socket = nodeConnect(port, loopback)
  const [accepted] = await once(nodeServer, 'connection') as [Socket & { _handle: { fd: number } }]
  const fd = ring.sockets.dup(accepted._handle.fd)
  accepted.pause()
  const connection = adopt({ fd, ring }, echo)
  socket.write('hello')
  const [back] = await once(socket, 'data') as [Buffer]
  expect(back.toString()).toBe('hello')
  socket.destroy()
  accepted.destroy()
  nodeServer.close()
  await until(() => connection.state === 'closed', 'closing')
})

it('a listening descriptor is adopted', async () => {
  const ring = testRing()
  const fd = ring.sockets.socket(2, 1, 6)
  ring.sockets.bind(fd, new Uint8Array([2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]))
  ring.sockets.listen(fd, 10)
  const listener = await listen({ fd, ring }, echo)
  const received = new Received()
  const connection = await connect({ host: loopback, port: listener.address.port, ring }, received)
  connection.write('x')
  connection.end()
  await received.closed
  expect(received.text).toBe('x')
  await listener.close()
})

it('to an IPv4 client of a listener on :: the type of service is that of IPv4', async () => {
  const ring = testRing()
  const accepted: TcpConnection[] = []
  const listener = await listen({ host: '::', port: 0, ring }, { open: (connection) => void accepted.push(connection) })
  const to = { port: listener.address.port, ring }
  for (const [host, name] of [['127.0.0.1', 'typeOfService'], ['::1', 'trafficClass']] as const) {
    const before = accepted.length
    const client = await connect({ ...to, host }, {})
    await until(() => accepted.length > before, 'the connection')
    const connection = accepted[before]
    connection.setTypeOfService(0x20)
    const { fd } = connection as unknown as { fd: number }
    expect(getOption(ring.sockets, fd, name)).toBe(0x20)
    expect(connection.typeOfService).toBe(0x20)
    client.destroy()
    connection.destroy()
  }
  await listener.close()
  await untilIdle(ring)
})

it.each(['ring', 'node'] as const)('keep-alive that is refused changes nothing: %s', async (backend) => {
  const listener = await listen({ host: loopback, port: 0, backend }, {})
  const connection = await connect({ host: loopback, port: listener.address.port, backend }, {})
  const refused = [null, undefined, 1, 'on', { idleSeconds: 99_999 }, { idleSeconds: 0 }, { idleSeconds: '1' }]
  for (const keepAlive of refused) {
    const code = expect.stringMatching(/^ERR_(INVALID_ARG_TYPE|OUT_OF_RANGE)$/) as string
    expect(() => connection.setKeepAlive(keepAlive as never)).toThrow(expect.objectContaining({ code }) as Error)
  }
  const port = connection.localAddress?.port ?? 0
  expect(execFileSync('ss', ['-tnoH', 'sport', '=', `:${port}`], { encoding: 'utf8' })).not.toContain('keepalive')
  connection.destroy()
  await listener.close()
})

it.each(['ring', 'node'] as const)('options are those at the call, which may change later: %s', async (backend) => {
  const marks: number[] = []
  const listening = { host: loopback, port: 0, backend, writableHighWaterMark: 10_000 }
  const open = (connection: TcpConnection): void => void marks.push(connection.writableHighWaterMark)
  const listeners = await Promise.all([1, 2].map(() => {
    const listener = listen(listening, { open })
    Object.assign(listening, { writableHighWaterMark: 20_000 })
    return listener
  }))
  Object.assign(listening, { writableHighWaterMark: 'many' })
  const ports = listeners.map(({ address }) => address.port)
  // Options that are inherited count, and getters; what is none is not looked at.
  class Options {
    port = 0
    readonly backend = backend
    get host(): string {
      return loopback
    }

    get secret(): string {
      throw new Error('not for you')
    }
  }
  const options = Object.create(new Options()) as Options
  const connections = await Promise.all(ports.map((port) => {
    options.port = port
    const connection = connect(options, {})
    options.port = port + 65_536
    return connection
  }))
  expect(connections.map(({ remoteAddress }) => remoteAddress?.port)).toEqual(ports)
  await until(() => marks.length === 2, 'the accepted connections')
  expect(marks.sort()).toEqual([10_000, 20_000])
  for (const connection of connections) connection.destroy()
  for (const listener of listeners) await listener.close()
})
