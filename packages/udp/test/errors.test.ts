import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { describe, expect, it, vi } from 'vitest'
import { bind, connect } from '../src/index'
import { addressOf, bound, connected, loopback, Received, testRing, until, untilIdle } from './support'

/** A resolver's answer, whatever it is. */
function finds(found: unknown) {
  return (_name: string, _options: unknown, callback: (error: null, found: never) => void): void => {
    setImmediate(callback, null, found as never)
  }
}

/** A port that nobody has. */
async function freePort(): Promise<number> {
  const taken = createSocket('udp4').bind(0, loopback)
  await once(taken, 'listening')
  const { port } = taken.address()
  taken.close()
  await once(taken, 'close')
  return port
}

describe('arguments that are wrong are refused at the call', () => {
  it.each([
    ['no options', undefined, {}, 'ERR_INVALID_ARG_TYPE'],
    ['no handler', {}, undefined, 'ERR_INVALID_ARG_TYPE'],
    ['a handler method that is no function', {}, { messages: 1 }, 'ERR_INVALID_ARG_TYPE'],
    ['a port of 65536', { port: 65536 }, {}, 'ERR_SOCKET_BAD_PORT'],
    ['a port that is text', { port: '80' }, {}, 'ERR_SOCKET_BAD_PORT'],
    ['a host that is a number', { host: 1 }, {}, 'ERR_INVALID_ARG_TYPE'],
    ['a family of 5', { family: 5 }, {}, 'ERR_INVALID_ARG_VALUE'],
    ['reuseAddress that is a number', { reuseAddress: 1 }, {}, 'ERR_INVALID_ARG_TYPE'],
    ['hops of 256', { timeToLive: 256 }, {}, 'ERR_OUT_OF_RANGE'],
    ['path MTU discovery of a new kind', { pathMtuDiscovery: 'maybe' }, {}, 'ERR_INVALID_ARG_VALUE'],
    ['a ring that is none', { ring: {} }, {}, 'ERR_INVALID_ARG_TYPE'],
    ['a signal that is none', { signal: {} }, {}, 'ERR_INVALID_ARG_TYPE'],
    ['a high-water mark of 0', { writableHighWaterMark: 0 }, {}, 'ERR_OUT_OF_RANGE'],
    ['an address that is not here', { host: '192.0.2.1' }, {}, 'EADDRNOTAVAIL'],
  ])('bind with %s', async (_name, options, handler, code) => {
    await expect(bind(options as never, handler as never)).rejects.toMatchObject({ code })
  })

  it.each([
    ['no port', {}, 'ERR_SOCKET_BAD_PORT'],
    ['a port of 0', { port: 0 }, 'ERR_SOCKET_BAD_PORT'],
    ['a local address that is none', { port: 1, localAddress: 'x' }, 'ERR_INVALID_IP_ADDRESS'],
    ['a bad local port', { port: 1, localPort: -1 }, 'ERR_SOCKET_BAD_PORT'],
    ['a lookup that is no function', { port: 1, lookup: 1 }, 'ERR_INVALID_ARG_TYPE'],
    ['a name that does not exist', { port: 1, host: 'does.not.exist.invalid' }, 'ENOTFOUND'],
    ['a name without addresses', { port: 1, host: 'a.b', lookup: finds([]) }, 'ENOTFOUND'],
    ['a name whose address is none', { port: 1, host: 'a.b', lookup: finds([{}]) }, 'ERR_INVALID_IP_ADDRESS'],
    ['a resolver that finds nothing', { port: 1, host: 'a.b', lookup: finds(undefined) }, 'ERR_INVALID_IP_ADDRESS'],
  ])('connect with %s', async (_name, options, code) => {
    const lookup = (name: string, _options: unknown, callback: (error: Error) => void): void => {
      callback(Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND' }))
    }
    await expect(connect({ lookup, ...options } as never, {})).rejects.toMatchObject({ code })
  })

  it('send', async () => {
    const ring = testRing()
    const socket = await bound(ring)
    const peer = await connected(ring, socket)
    const to = addressOf(socket)
    const code = (expected: string): unknown => expect.objectContaining({ code: expected })
    for (const chunk of [undefined, null, 1, {}, new ArrayBuffer(1)]) {
      expect(() => socket.send(chunk as never, to)).toThrow(code('ERR_INVALID_ARG_TYPE'))
    }
    expect(() => socket.send('x', to, 1 as never)).toThrow(code('ERR_INVALID_ARG_TYPE'))
    expect(() => socket.sendMany('x' as never, to)).toThrow(code('ERR_INVALID_ARG_TYPE'))
    expect(() => socket.sendMany(['x', 1 as never], to)).toThrow(code('ERR_INVALID_ARG_TYPE'))
    expect(() => socket.send('x', { address: loopback, port: -1 })).toThrow(code('ERR_SOCKET_BAD_PORT'))
    expect(() => socket.send('x', { address: 'localhost', port: 1 })).toThrow(code('ERR_INVALID_IP_ADDRESS'))
    expect(() => socket.send('x', { port: 1 } as never)).toThrow(code('ERR_INVALID_ARG_TYPE'))
    expect(() => socket.addMembership('239.1.2.3', 1 as never)).toThrow(code('ERR_INVALID_ARG_TYPE'))
    expect(() => socket.send('x')).toThrow(code('ERR_SOCKET_DGRAM_NOT_CONNECTED'))
    expect(() => peer.send('x', to)).toThrow(code('ERR_SOCKET_DGRAM_IS_CONNECTED'))
    expect(socket.messagesQueued).toBe(0)
  })
})

describe('an error of one datagram', () => {
  it('reaches its callback, the others are sent', async () => {
    const ring = testRing()
    const received = new Received()
    const target = await bound(ring, received)
    const socket = await bound(ring)
    const outcomes: unknown[] = []
    const tell = (error?: Error): void => void outcomes.push((error as NodeJS.ErrnoException | undefined)?.code)
    socket.send('first', addressOf(target), tell)
    socket.send(Buffer.alloc(65_508), addressOf(target), tell)
    socket.send(Buffer.alloc(100_000), addressOf(target), tell)
    socket.send('last', addressOf(target), tell)
    await received.arrived(2)
    await until(() => outcomes.length === 4, 'the callbacks')
    expect(outcomes.sort()).toEqual(['EMSGSIZE', 'EMSGSIZE', undefined, undefined])
    expect(received.texts).toEqual(['first', 'last'])
    expect(ring.metrics.messageErrors).toBe(2)
  })

  it('without a callback reaches the handler', async () => {
    const ring = testRing()
    const error = vi.fn()
    const socket = await bound(ring, { error })
    socket.send('x', { address: '255.255.255.255', port: 1 })
    await until(() => error.mock.calls.length === 1, 'the error')
    expect(error.mock.calls[0]).toEqual([socket, expect.objectContaining({
      code: 'EACCES', syscall: 'send', address: '255.255.255.255', port: 1, errno: -13,
      message: 'send EACCES 255.255.255.255:1',
    })])
    expect(socket.state).toBe('open')
  })

  it('to a zone that is no interface is one of them, as its interface may have gone', async () => {
    const ring = testRing()
    const error = vi.fn()
    const socket = await bound(ring, { error }, { host: '::' })
    const to = { address: 'fe80::1%no_such', port: 9 }
    const refused = { code: 'ENETUNREACH', syscall: 'send', ...to }
    expect(await new Promise((resolve) => socket.send('x', to, resolve))).toMatchObject(refused)
    socket.send('y', to)
    await until(() => error.mock.calls.length === 1, 'the error')
    expect(error.mock.calls[0]).toEqual([socket, expect.objectContaining(refused)])
    await expect(socket.connect(to)).rejects.toMatchObject({ code: 'ENODEV', syscall: 'if_nametoindex' })
    expect(socket.remoteAddress).toBeUndefined()
  })

  it.each(['ring', 'node'] as const)('to port 0, which one may come from, is one of them: %s', async (backend) => {
    const error = vi.fn()
    const received = new Received()
    const target = await bind({ host: loopback, backend }, received)
    const socket = await bind({ host: loopback, backend }, { error })
    const to = { address: loopback, port: 0 }
    const refused = { code: 'EINVAL', syscall: 'send', ...to }
    socket.send('before', addressOf(target))
    const told = new Promise((resolve) => socket.send('x', to, resolve))
    socket.send('y', to)
    socket.send('after', addressOf(target))
    expect(await told).toMatchObject(refused)
    await until(() => error.mock.calls.length === 1, 'the error')
    expect(error.mock.calls[0]).toEqual([socket, expect.objectContaining(refused)])
    await received.arrived(2)
    for (const each of [socket, target]) each.destroy()
  })

  it('of sendMany is the first, and told once', async () => {
    const ring = testRing()
    const received = new Received()
    const sender = await connected(ring, await bound(ring, received))
    const callback = vi.fn()
    sender.sendMany(['a', Buffer.alloc(70_000), 'b', Buffer.alloc(70_000)], undefined, callback)
    sender.sendMany([], undefined, callback)
    await until(() => callback.mock.calls.length === 2, 'the callbacks')
    expect(callback.mock.calls.filter(([error]) => error !== undefined)).toEqual([
      [expect.objectContaining({ code: 'EMSGSIZE' })],
    ])
    expect(received.texts).toEqual(['a', 'b'])
  })
})

it('a refused peer is told, and the socket goes on when the peer comes', async () => {
  const ring = testRing()
  const port = await freePort()
  const codes: (string | undefined)[] = []
  const socket = await connect({ host: loopback, port, ring }, {
    error: (_socket, error) => void codes.push((error as NodeJS.ErrnoException).code),
  })
  socket.send('nobody')
  await until(() => codes.length === 1, 'the refusal')
  expect(codes).toEqual(['ECONNREFUSED'])
  const received = new Received()
  await bind({ host: loopback, port, ring }, received)
  socket.send('somebody')
  await received.arrived(1)
  expect(received.texts).toEqual(['somebody'])
  expect(codes).toEqual(['ECONNREFUSED'])
})

it('of a bundle to a peer that refused, only the first datagram meets the error', async () => {
  const ring = testRing()
  const port = await freePort()
  const socket = await connect({ host: loopback, port, ring }, {})
  socket.pause()
  await new Promise((resolve) => setTimeout(resolve, 10))
  await new Promise((resolve) => socket.send('refused later', resolve))
  const received = new Received()
  await bind({ host: loopback, port, ring }, received)
  const outcomes: unknown[] = []
  for (let index = 0; index < 5; index++) {
    socket.send(`${index}`, (error) => outcomes.push((error as NodeJS.ErrnoException | undefined)?.code))
  }
  await until(() => outcomes.length === 5, 'the callbacks')
  expect(outcomes).toEqual(['ECONNREFUSED', undefined, undefined, undefined, undefined])
  await received.arrived(4)
  expect(received.texts).toEqual(['1', '2', '3', '4'])
})

it('a handler that throws is an uncaughtException, and nothing else is lost', async () => {
  const ring = testRing()
  const listeners = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  const uncaught: Error[] = []
  process.on('uncaughtException', (error) => uncaught.push(error))
  try {
    const texts: string[] = []
    const socket = await bound(ring, {
      message(_socket, chunk) {
        texts.push(String(chunk))
        if (texts.length === 2) throw new Error('thrown in message')
      },
    })
    const sender = await connected(ring, socket)
    sender.sendMany(['a', 'b', 'c', 'd'])
    await until(() => texts.length === 4, 'all of them')
    expect(texts).toEqual(['a', 'b', 'c', 'd'])
    const told: string[] = []
    sender.send('x', () => { throw new Error('thrown in callback') })
    sender.send('y', () => void told.push('y'))
    await until(() => told.length === 1, 'the second callback')
    expect(uncaught.map(({ message }) => message)).toEqual(['thrown in message', 'thrown in callback'])
    await untilIdle(ring, 2)
  } finally {
    process.removeAllListeners('uncaughtException')
    for (const listener of listeners) process.on('uncaughtException', listener)
  }
})

describe('the queue', () => {
  it('is full at the high-water mark, and drains', async () => {
    const ring = testRing()
    const drained = new Received()
    const target = await bound(ring)
    const socket = await bound(ring, drained, { writableHighWaterMark: 10_000 })
    const results = Array.from({ length: 12 }, () => socket.send(Buffer.alloc(1000), addressOf(target)))
    expect(results).toEqual(Array.from({ length: 12 }, (_, index) => index < 9))
    expect(socket.bytesQueued).toBe(12_000)
    await until(() => drained.drains === 1, 'drain')
    expect(socket.bytesQueued).toBe(0)
    expect(socket.messagesWritten).toBe(12)
    expect(ring.metrics.backPressure).toBe(1)
  })

  it('has room again for whoever sends again, from the callback, what was refused', async () => {
    const ring = testRing()
    const socket = await bound(ring)
    const chunk = Buffer.alloc(60_000)
    let refused = 0
    let sent = 0
    const told = (error?: Error): void => {
      if (error === undefined) sent++
      else if (refused++ < 1_000_000) socket.send(chunk, addressOf(socket), told)
    }
    socket.pause()
    for (let index = 0; index < 1200; index++) socket.send(chunk, addressOf(socket), told)
    await until(() => sent === 1200, 'all of them')
    expect(refused).toBeGreaterThan(0)
    expect(refused).toBeLessThan(1_000_000)
  })

  it('refuses with ENOBUFS what is past its bound, keeps the rest, and recovers', async () => {
    const ring = testRing()
    const target = await bound(ring)
    const socket = await bound(ring)
    let sent = 0
    const codes = new Set<unknown>()
    let refused = 0
    const told = (error?: Error): void => {
      if (error === undefined) sent++
      else refused++
      codes.add((error as NodeJS.ErrnoException | undefined)?.code)
    }
    // Rising sizes end a bundle: of two datagrams of 2 and 1 bytes each has a request.
    for (let index = 0; index < 40_000; index++) socket.send(Buffer.alloc(1 + index % 2), addressOf(target), told)
    await until(() => sent + refused === 40_000, 'all callbacks', 20_000)
    expect(codes).toEqual(new Set([undefined, 'ENOBUFS']))
    expect(sent).toBeGreaterThanOrEqual(32_000)
    expect(await new Promise((resolve) => socket.send('again', addressOf(target), resolve))).toBeUndefined()
    await untilIdle(ring, 2)
  })
})
