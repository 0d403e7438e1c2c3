import { execFileSync, spawn } from 'node:child_process'
import { getEventListeners, once } from 'node:events'
import { closeSync, writeSync } from 'node:fs'
import { connect as nodeConnect, createServer, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createRing, encodeSocketAddress } from '@sheaf/ring'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { adopt, connect, listen, type TcpConnection } from '../src/index'
import { client, echo, loopback, pattern, Received, server, testRing, until, untilIdle } from './support'

/** A port that nothing listens on. */
async function closedPort(): Promise<number> {
  const taken = createServer().listen(0, loopback)
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  taken.close()
  await once(taken, 'close')
  return port
}

/** What Node's errors carry besides the message. */
function properties(error: unknown): object {
  return Object.fromEntries(Object.entries(error as object))
}

describe('arguments that are wrong are refused at the call', () => {
  const handler = {}
  const connectCases: [string, unknown, unknown, string][] = [
    ['no options', undefined, handler, 'ERR_INVALID_ARG_TYPE'],
    ['no handler', { port: 1 }, undefined, 'ERR_INVALID_ARG_TYPE'],
    ['a handler method that is no function', { port: 1 }, { data: 1 }, 'ERR_INVALID_ARG_TYPE'],
    ['no port', {}, handler, 'ERR_SOCKET_BAD_PORT'],
    ['a negative port', { port: -1 }, handler, 'ERR_SOCKET_BAD_PORT'],
    ['a port of 65536', { port: 65536 }, handler, 'ERR_SOCKET_BAD_PORT'],
    ['a port that is a fraction', { port: 1.5 }, handler, 'ERR_SOCKET_BAD_PORT'],
    ['a port that is text', { port: '80' }, handler, 'ERR_SOCKET_BAD_PORT'],
    ['a host that is a number', { port: 1, host: 1 }, handler, 'ERR_INVALID_ARG_TYPE'],
    ['a local address that is none', { port: 1, localAddress: 'nowhere' }, handler, 'ERR_INVALID_IP_ADDRESS'],
    ['a bad local port', { port: 1, localPort: 70000 }, handler, 'ERR_SOCKET_BAD_PORT'],
    ['a family of 5', { port: 1, family: 5 }, handler, 'ERR_INVALID_ARG_VALUE'],
    ['a timeout of 0', { port: 1, timeout: 0 }, handler, 'ERR_OUT_OF_RANGE'],
    ['a timeout that is text', { port: 1, timeout: '1s' }, handler, 'ERR_INVALID_ARG_TYPE'],
    ['a signal that is none', { port: 1, signal: {} }, handler, 'ERR_INVALID_ARG_TYPE'],
    ['a ring that is none', { port: 1, ring: {} }, handler, 'ERR_INVALID_ARG_TYPE'],
    ['noDelay that is a number', { port: 1, noDelay: 1 }, handler, 'ERR_INVALID_ARG_TYPE'],
    ['keepAlive that is a number', { port: 1, keepAlive: 1 }, handler, 'ERR_INVALID_ARG_TYPE'],
    ['keepAlive that is null', { port: 1, keepAlive: null }, handler, 'ERR_INVALID_ARG_TYPE'],
    ['keepAlive probes of 0', { port: 1, keepAlive: { probes: 0 } }, handler, 'ERR_OUT_OF_RANGE'],
    ['a high-water mark of 0', { port: 1, writableHighWaterMark: 0 }, handler, 'ERR_OUT_OF_RANGE'],
    ['a lookup that is no function', { port: 1, lookup: 1 }, handler, 'ERR_INVALID_ARG_TYPE'],
  ]
  it.each(connectCases)('connect with %s', async (_name, options, given, code) => {
    await expect(connect(options as never, given as never)).rejects.toMatchObject({ code })
  })

  const listenCases: [string, unknown, string][] = [
    ['no port', {}, 'ERR_SOCKET_BAD_PORT'],
    ['a backlog of 0', { port: 0, backlog: 0 }, 'ERR_OUT_OF_RANGE'],
    ['reusePort that is a number', { port: 0, reusePort: 1 }, 'ERR_INVALID_ARG_TYPE'],
    ['a negative descriptor', { fd: -1 }, 'ERR_OUT_OF_RANGE'],
    ['a descriptor that is text', { fd: '3' }, 'ERR_INVALID_ARG_TYPE'],
    ['a descriptor that is closed', { fd: 19_999 }, 'EBADF'],
    ['a descriptor that is a file', { fd: 1_000_000 }, 'EBADF'],
    ['an address that is not here', { port: 0, host: '192.0.2.1' }, 'EADDRNOTAVAIL'],
  ]
  it.each(listenCases)('listen with %s', async (_name, options, code) => {
    await expect(listen(options as never, {})).rejects.toMatchObject({ code })
  })

  it.each([
    ['a ring of 3 entries', { submissionEntries: 3 }, 'ERR_OUT_OF_RANGE'],
    ['a completion queue smaller than the submission queue', { submissionEntries: 64, completionEntries: 64 },
      'ERR_OUT_OF_RANGE'],
    ['no receive buffers', { receiveBuffers: 0 }, 'ERR_OUT_OF_RANGE'],
    ['more receive buffers than a ring takes', { receiveBuffers: 40_000 }, 'ERR_OUT_OF_RANGE'],
    ['a send method that is none', { sendMethod: 'pigeon' }, 'ERR_INVALID_ARG_VALUE'],
    ['a reserve of 2', { receiveReserveFraction: 2 }, 'ERR_OUT_OF_RANGE'],
    ['a busy poll of 1001 us', { busyPollMicroseconds: 1001 }, 'ERR_OUT_OF_RANGE'],
    ['a busy poll of a text', { busyPollMicroseconds: '20' }, 'ERR_INVALID_ARG_TYPE'],
    ['a group of 1000 entries', { groupEntries: 1000 }, 'ERR_OUT_OF_RANGE'],
  ])('createRing with %s', (_name, options, code) => {
    expect(() => createRing(options as never)).toThrow(expect.objectContaining({ code }))
  })

  it('write with something that is no chunk, encoding or callback; and nothing is sent', async () => {
    const ring = testRing()
    const listener = await server(ring, echo)
    const connection = await client(ring, listener, {})
    for (const chunk of [undefined, null, 1, {}, [1], new ArrayBuffer(1), new DataView(new ArrayBuffer(1))]) {
      expect(() => connection.write(chunk as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
    }
    expect(() => connection.write('x', 'utf7' as never)).toThrow(
      expect.objectContaining({ code: 'ERR_UNKNOWN_ENCODING' }))
    expect(() => connection.write('x', 'utf8', 1 as never)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
    expect(() => connection.end('x' as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
    expect(connection.bytesQueued).toBe(0)
    connection.destroy()
  })

  it('adopt with a descriptor that is no connected TCP socket leaves it open', async () => {
    const ring = testRing()
    const listener = ring.sockets.socket(2, 1, 6)
    const datagram = ring.sockets.socket(2, 2, 17)
    for (const fd of [0, listener, datagram]) {
      expect(() => adopt({ fd, ring }, {})).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }))
    }
    expect(() => adopt({ fd: 'x' as never, ring }, {})).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
    expect(ring.sockets.close(listener)).toBe(0)
    expect(ring.sockets.close(datagram)).toBe(0)
    await untilIdle(ring)
  })
})

describe('errors have what Node\'s have', () => {
  it('a refused connection', async () => {
    const ring = testRing()
    const port = await closedPort()
    const theirs = await once(nodeConnect(port, loopback), 'error').then(([error]) => error as Error)
    const ours = await connect({ host: loopback, port, ring }, {}).catch((error: unknown) => error as Error)
    expect(properties(ours)).toEqual(properties(theirs))
    expect((ours as Error).message).toBe(theirs.message)
    await untilIdle(ring)
  })

  it('an address in use', async () => {
    const ring = testRing()
    const listener = await server(ring, echo)
    const { port } = listener.address
    const theirs = await once(createServer().listen(port, loopback), 'error').then(([error]) => error as Error)
    const ours = await listen({ host: loopback, port, ring }, {}).catch((error: unknown) => error as Error)
    expect(properties(ours)).toEqual(properties(theirs))
    expect((ours as Error).message).toBe((theirs).message)
  })

  it('a name that does not resolve', async () => {
    const ring = testRing()
    const unresolved = { syscall: 'getaddrinfo', hostname: 'nowhere.invalid' }
    await expect(connect({ host: 'nowhere.invalid', port: 1, ring }, {})).rejects.toMatchObject(unresolved)
    await expect(listen({ host: 'nowhere.invalid', port: 0, ring }, {})).rejects.toMatchObject(unresolved)
  })

  it('every address of a name is tried, and an AggregateError says what came of each', async () => {
    const ring = testRing()
    const listener = await server(ring, echo)
    const { port } = listener.address
    const addresses = [
      { address: '127.0.0.9', family: 4 },
      { address: '::1', family: 6 },
      { address: loopback, family: 4 },
    ]
    type Found = (error: null, found: typeof addresses) => void
    const lookup = vi.fn((_name: string, _options: object, callback: Found) => callback(null, addresses))
    const connection = await connect({ host: 'somewhere', port, ring, lookup: lookup }, {})
    expect(connection.remoteAddress?.address).toBe(loopback)
    connection.destroy()
    addresses.pop()
    const failed = await connect({ host: 'somewhere', port, ring, lookup: lookup }, {})
      .catch((error: unknown) => error as AggregateError & { code: string })
    expect(failed).toBeInstanceOf(AggregateError)
    expect(failed).toMatchObject({ code: 'ECONNREFUSED' })
    expect((failed as AggregateError).errors).toMatchObject([{ address: '127.0.0.9', port }, { address: '::1', port }])
  })

  it.each([
    ['what is no address', 'nowhere', { code: 'ERR_INVALID_IP_ADDRESS' }],
    ['nothing', undefined, { code: 'ERR_INVALID_IP_ADDRESS' }],
    ['addresses, one of which is none', [{ address: loopback, family: 4 }, {}], { code: 'ERR_INVALID_IP_ADDRESS' }],
    ['no address', [], { code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname: 'somewhere' }],
  ])('a resolver that finds %s', async (_what, found, error) => {
    const lookup = (_name: string, _options: object, callback: (error: null, found: never) => void): void => {
      setImmediate(callback, null, found as never)
    }
    for (const backend of ['ring', 'node'] as const) {
      await expect(connect({ host: 'somewhere', port: 1, backend, lookup }, {})).rejects.toMatchObject(error)
    }
  })

  it('a resolver that does not heed that all addresses are wanted', async () => {
    const ring = testRing()
    const listener = await server(ring, echo)
    const lookup = (_name: string, _options: object, callback: (...found: never[]) => void): void => {
      callback(null as never, loopback as never, 4 as never)
    }
    const connection = await connect({ host: 'somewhere', port: listener.address.port, ring, lookup }, {})
    expect(connection.remoteAddress?.address).toBe(loopback)
    connection.destroy()
  })

  it('a local address that is not here, and one that is', async () => {
    const ring = testRing()
    const listener = await server(ring, echo)
    const { port } = listener.address
    await expect(connect({ host: loopback, port, ring, localAddress: '192.0.2.7' }, {})).rejects.toMatchObject({
      code: 'EADDRNOTAVAIL', syscall: 'bind', address: '192.0.2.7',
    })
    const localPort = await closedPort()
    const connection = await connect({ host: loopback, port, ring, localAddress: '127.0.0.2', localPort }, {})
    expect(connection.localAddress).toEqual({ address: '127.0.0.2', family: 'IPv4', port: localPort })
    connection.reset()
    await listener.close()
    await untilIdle(ring)
  })

  it('a host that is unreachable', async () => {
    const ring = testRing()
    // A blackhole route of our own would need root; this block is never routed, and the refusal is the kernel's.
    await expect(connect({ host: '255.255.255.255', port: 9, ring }, {})).rejects.toMatchObject({ code: 'ENETUNREACH' })
  })

  it('a peer that resets while we write', async () => {
    const ring = testRing()
    let peer: TcpConnection | undefined
    const listener = await server(ring, {
      open(connection) {
        peer = connection
        connection.pause()
      },
    })
    const received = new Received()
    const connection = await client(ring, listener, received)
    let failed: Error | undefined
    connection.write(pattern(30_000_000, 1), (error) => { failed = error })
    await until(() => connection.bytesWritten > 0, 'the first bytes')
    peer?.reset()
    await received.closed
    expect(received.error).toMatchObject({ code: expect.stringMatching(/^(ECONNRESET|EPIPE)$/) as string })
    expect(failed).toBe(received.error)
  })
})

describe('giving up', () => {
  /** A listener whose backlog is full: further connects get no answer. */
  async function silentPort(): Promise<number> {
    const ring = testRing()
    const fd = ring.sockets.socket(2, 1, 6)
    const address = new Uint8Array([2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    ring.sockets.bind(fd, address)
    ring.sockets.listen(fd, 0)
    ring.sockets.getsockname(fd, address)
    const port = address[2] * 256 + address[3]
    const fillers = Array.from({ length: 4 }, () => nodeConnect(port, loopback).on('error', () => undefined))
    await sleep(50)
    onTestFinished(() => {
      for (const filler of fillers) filler.destroy()
      ring.sockets.close(fd)
    })
    return port
  }

  it('a connect that takes too long ends with ETIMEDOUT', async () => {
    const ring = testRing()
    const port = await silentPort()
    await expect(connect({ host: loopback, port, ring, timeout: 60 }, {})).rejects.toMatchObject({
      code: 'ETIMEDOUT', errno: -110, syscall: 'connect', address: loopback, port,
    })
    await untilIdle(ring)
  })

  it('a connect that is aborted, before and while', async () => {
    const ring = testRing()
    const port = await silentPort()
    await expect(connect({ host: loopback, port, ring, signal: AbortSignal.abort() }, {})).rejects.toMatchObject({
      name: 'AbortError',
    })
    const controller = new AbortController()
    const attempt = connect({ host: loopback, port, ring, signal: controller.signal }, {})
    setTimeout(() => controller.abort('enough'), 30)
    await expect(attempt).rejects.toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: 'enough' })
    await untilIdle(ring)
  })

  it('what a connection has in the kernel is cancelled without a look at what all others have', async () => {
    const ring = testRing()
    const byDescriptor = vi.spyOn(ring.submissions, 'cancelDescriptor')
    const byKind = vi.spyOn(ring.submissions, 'cancelOperation')
    const port = await silentPort()
    const controller = new AbortController()
    const attempt = connect({ host: loopback, port, ring, signal: controller.signal }, {})
    await sleep(30)
    controller.abort()
    await expect(attempt).rejects.toMatchObject({ name: 'AbortError' })
    expect(byKind).toHaveBeenCalledOnce()
    // It sends what waits for room, and receives.
    const listener = await server(ring, { open: (peer) => { peer.pause() } })
    const received = new Received()
    const connection = await client(ring, listener, received)
    connection.write(Buffer.alloc(32 * 1024 * 1024))
    await until(() => connection.bytesWritten > 0, 'the first bytes')
    await sleep(50)
    connection.destroy()
    await received.closed
    expect(byKind.mock.calls.length).toBeGreaterThan(2)
    expect(byDescriptor).not.toHaveBeenCalled()
  })

  it.each(['ring', 'node'] as const)('an abort before is an AbortError, whatever the reason: %s', async (backend) => {
    const aborted = { name: 'AbortError', code: 'ABORT_ERR', cause: 'enough' }
    const signal = AbortSignal.abort('enough')
    await expect(listen({ port: 0, backend, signal }, {})).rejects.toMatchObject(aborted)
    await expect(connect({ port: 1, backend, signal }, {})).rejects.toMatchObject(aborted)
  })

  it.each(['ring', 'node'] as const)('a signal of a library is enough: %s', async (backend) => {
    const signal = Object.assign(new EventTarget(), { aborted: false }) as AbortSignal
    const listener = await listen({ host: loopback, port: 0, backend, signal }, {})
    const received = new Received()
    const connection = await connect({ host: loopback, port: listener.address.port, backend, signal }, received)
    signal.dispatchEvent(new Event('abort'))
    await received.closed
    expect(received.error).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' })
    expect([connection.state, listener.listening]).toEqual(['closed', false])
  })

  it.each(['ring', 'node'] as const)('an abort later destroys the connection, also that to a second address: %s',
    async (backend) => {
      const listener = await server(testRing(), echo)
      const { port } = listener.address
      const addresses = [{ address: '127.0.0.9', family: 4 }, { address: loopback, family: 4 }]
      for (const found of [addresses, addresses.slice(1)]) {
        const controller = new AbortController()
        const { signal } = controller
        const received = new Received()
        type Callback = (error: null, found: typeof addresses) => void
        const lookup = (_name: string, _options: object, callback: Callback): void => { callback(null, found) }
        await connect({ host: 'somewhere', port, backend, signal, lookup }, received)
        controller.abort()
        await received.closed
        expect(received.error).toMatchObject({ name: 'AbortError' })
        expect(getEventListeners(signal, 'abort')).toEqual([])
      }
    })

  it('a reset that a send is told of is no end, and none of what is forwarded', async () => {
    const ring = testRing()
    const told: string[] = []
    const accepted: TcpConnection[] = []
    const target = new Received()
    const targets = await server(ring, target)
    const listener = await server(ring, {
      open: (connection) => void accepted.push(connection),
      data: (_connection, chunk) => void told.push(chunk.toString()),
      end: () => void told.push('end'),
      close: (_connection, error) => void told.push(`close ${(error as NodeJS.ErrnoException | undefined)?.code}`),
    })
    const { sockets } = ring
    const raw = async (): Promise<number> => {
      const before = accepted.length
      const fd = sockets.socket(2, 1, 6)
      sockets.connect(fd, encodeSocketAddress(loopback, listener.address.port, () => 0))
      await until(() => accepted.length > before, 'the connection')
      return fd
    }
    const peers = [await raw(), await raw()]
    const onward = await client(ring, targets, {})
    accepted[1].forward(onward)
    for (const [index, fd] of peers.entries()) {
      writeSync(fd, 'part')
      await until(() => index === 0 ? told.length === 1 : target.bytes === 4, 'the part')
    }
    for (const fd of peers) {
      // Closing throws away what has not been sent, and takes no time: it resets.
      sockets.setsockopt(fd, 1, 13, new Uint8Array(Int32Array.of(1, 0).buffer))
      closeSync(fd)
    }
    // In this turn: nobody has been told of the resets.
    for (const connection of accepted) connection.write('an answer')
    await target.closed
    await until(() => told.filter((what) => what.startsWith('close')).length === 2, 'the closes')
    expect(told).not.toContain('end')
    expect([target.ended, (target.error as NodeJS.ErrnoException | undefined)?.code]).toEqual([false, 'ECONNRESET'])
    await untilIdle(ring, 2)
  })

  it('memory for what has come that can\'t be had: that connection fails, and no other', async () => {
    const ring = testRing()
    const [poor, rich] = [new Received(), new Received()]
    const listener = await server(ring, {
      open: (connection) => { connection.handler = listener.connections === 1 ? poor : rich },
    })
    const first = await client(ring, listener, {})
    const second = await client(ring, listener, {})
    const allocate = vi.spyOn(Buffer, 'allocUnsafeSlow').mockImplementationOnce(() => {
      throw new RangeError('Array buffer allocation failed')
    })
    onTestFinished(() => { allocate.mockRestore() })
    first.write(Buffer.alloc(3000))
    await poor.closed
    expect(poor.error).toMatchObject({ code: 'ENOBUFS', syscall: 'read' })
    for (const size of [10, 3000, 100_000]) {
      const before = rich.bytes
      second.write(Buffer.alloc(size))
      await until(() => rich.bytes === before + size, 'the bytes')
    }
    second.destroy()
    first.destroy()
    await untilIdle(ring, 1)
  })
})

describe('after the end', () => {
  it('write after end throws, and write after close says so to its callback', async () => {
    const ring = testRing()
    const listener = await server(ring, echo)
    const received = new Received()
    const connection = await client(ring, listener, received)
    connection.write('sent')
    connection.end()
    expect(() => connection.write('x')).toThrow(expect.objectContaining({ code: 'ERR_SHEAF_WRITE_AFTER_END' }))
    await received.closed
    expect(received.text).toBe('sent')
    const told: unknown[] = []
    expect(connection.write('x', (error) => told.push(error))).toBe(false)
    expect(connection.write('x')).toBe(false)
    await until(() => told.length === 1, 'the callback')
    expect(told[0]).toMatchObject({ code: 'ERR_SHEAF_CLOSED' })
  })

  it('everything may be called on a closed connection, and nothing happens twice', async () => {
    const ring = testRing()
    const listener = await server(ring, echo)
    const received = new Received()
    const connection = await client(ring, listener, received)
    const reason = new Error('mine')
    connection.destroy(reason)
    connection.destroy(new Error('late'))
    connection.end()
    connection.reset()
    await received.closed
    for (const method of ['destroy', 'end', 'reset', 'pause', 'resume', 'ref', 'unref', 'flush'] as const) {
      connection[method]()
    }
    expect(() => connection.setNoDelay()).toThrow(expect.objectContaining({ code: 'ERR_SHEAF_CLOSED' }))
    expect(() => connection.info()).toThrow(expect.objectContaining({ code: 'ERR_SHEAF_CLOSED' }))
    await sleep(10)
    expect(received.closes).toBe(1)
    expect(received.error).toBe(reason)
  })

  it('a listener that can accept nothing any more says so now and then', async () => {
    const ring = testRing()
    const errors: Error[] = []
    const listener = await server(ring, { acceptError: (error) => void errors.push(error) })
    ring.sockets.shutdown((listener as unknown as { fd: number }).fd, 2)
    await until(() => errors.length === 2, 'the second')
    await sleep(200)
    expect(errors.length).toBeLessThan(10)
    expect(errors[0]).toMatchObject({ code: 'EINVAL', syscall: 'accept' })
    await listener.close()
    await untilIdle(ring)
  })

  it('a ring that is closed while a name is looked up refuses the listener', async () => {
    const ring = testRing()
    const listening = listen({ host: 'localhost', port: 0, ring }, {})
    ring.close()
    await expect(listening).rejects.toThrow(expect.objectContaining({ code: 'ERR_SHEAF_RING_CLOSED' }))
  })

  it('a ring that is closed while one connects has its memory back', async () => {
    const ring = createRing()
    const { address: { port } } = await server(testRing(), {})
    const refused = expect(connect({ port, host: loopback, ring }, {})).rejects.toMatchObject({
      code: 'ERR_SHEAF_RING_CLOSED',
    })
    while (ring.usage.sendBlocks === 0) await Promise.resolve()
    ring.close()
    await refused
    expect(ring.usage).toMatchObject({ members: 0, sendBlocks: 0 })
  })

  it('a closed ring refuses newcomers and tells its connections', async () => {
    const ring = createRing()
    const received = new Received()
    const listener = await listen({ host: loopback, port: 0, ring }, echo)
    const connection = await connect({ host: loopback, port: listener.address.port, ring }, received)
    connection.write(pattern(20_000_000, 1))
    ring.close()
    ring.close()
    expect(received.closes).toBe(1)
    expect(received.error).toMatchObject({ code: 'ERR_SHEAF_RING_CLOSED' })
    expect(connection.state).toBe('closed')
    const refused = { code: 'ERR_SHEAF_RING_CLOSED' }
    await expect(connect({ host: loopback, port: 1, ring }, {})).rejects.toMatchObject(refused)
    await expect(listen({ port: 0, ring }, {})).rejects.toMatchObject(refused)
    await listener.close()
  })

  it('a chunk of shared memory that grows before it is sent is sent as it was', async () => {
    const ring = testRing()
    const received = new Received()
    const connection = await client(ring, await server(ring, echo), received)
    const Growable = SharedArrayBuffer as unknown as new (size: number, options: object) =>
      SharedArrayBuffer & { grow(size: number): void }
    const memory = new Growable(100_000, { maxByteLength: 300_000 })
    const chunk = new Uint8Array(memory)
    chunk.set(pattern(100_000, 1))
    connection.write(chunk)
    memory.grow(300_000)
    await until(() => received.bytes >= 100_000 || received.closes !== 0, 'the echo')
    expect(Buffer.concat(received.chunks).equals(pattern(100_000, 1))).toBe(true)
    connection.destroy()
  })

  it('a chunk that is transferred before it is sent fails the connection and is never read', async () => {
    const ring = testRing()
    let peer: TcpConnection | undefined
    const listener = await server(ring, {
      open(connection) {
        peer = connection
        connection.pause()
      },
    })
    const received = new Received()
    const connection = await client(ring, listener, received)
    await until(() => peer !== undefined, 'the peer')
    const chunk = new Uint8Array(32_000_000)
    connection.write(chunk)
    structuredClone(chunk, { transfer: [chunk.buffer] })
    peer?.resume()
    await received.closed
    expect(received.error).toMatchObject({ code: 'ERR_SHEAF_DETACHED' })
  })
})

describe('a handler that throws', () => {
  it('becomes an uncaughtException, and the loop, the connection and the others go on', async () => {
    const program = `
      import { listen, connect } from '@sheaf/tcp'
      const caught = []
      process.on('uncaughtException', (error) => caught.push(error.message))
      let closes = 0
      const server = await listen({ host: '127.0.0.1', port: 0 }, {
        open() { throw new Error('open') },
        data(t, chunk) { t.write(chunk); throw new Error('data') },
        end() { throw new Error('end') },
        close() { closes++; throw new Error('close') },
      })
      const { port } = server.address
      const results = await Promise.all(Array.from({ length: 20 }, () => new Promise((resolve) => {
        let text = ''
        connect({ host: '127.0.0.1', port }, {
          open(t) { t.write('abc', () => { throw new Error('callback') }); t.end() },
          data(t, chunk) { text += chunk },
          close: () => resolve(text),
        })
      })))
      await server.close()
      while (closes < 20) await new Promise((resolve) => setTimeout(resolve, 5))
      const counts = {}
      for (const message of caught) counts[message] = (counts[message] ?? 0) + 1
      console.log(JSON.stringify({ results: [...new Set(results)], counts }))
    `
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => { output += chunk.toString() })
    const [code] = await once(child, 'close') as [number]
    expect(code).toBe(0)
    expect(JSON.parse(output)).toEqual({
      results: ['abc'],
      counts: { open: 20, data: 20, end: 20, close: 20, callback: 20 },
    })
  })
})

describe('out of descriptors', () => {
  it('accepting pauses, says so, and goes on when there are some again', async () => {
    const program = `
      import { listen } from '@sheaf/tcp'
      import { openSync, closeSync } from 'node:fs'
      const errors = []
      let accepted = 0
      const server = await listen({ host: '127.0.0.1', port: 0 }, {
        open() { accepted++ },
        acceptError(error) { errors.push(error.code + ' ' + error.syscall) },
        data(t, chunk) { t.write(chunk) },
      })
      const taken = []
      try { for (;;) taken.push(openSync('/dev/null')) } catch (error) { if (error.code !== 'EMFILE') throw error }
      console.log(server.address.port)
      process.stdin.once('data', () => {
        console.log(JSON.stringify({ errors: [...new Set(errors)], accepted }))
        for (const fd of taken) closeSync(fd)
        process.stdin.once('data', () => process.exit())
      })
    `
    const limited = 'ulimit -n 64; exec "$0" --input-type=module -e "$1"'
    const child = spawn('sh', ['-c', limited, process.execPath, program], { stdio: ['pipe', 'pipe', 'inherit'] })
    onTestFinished(() => void child.kill())
    const lines = child.stdout.setEncoding('utf8')[Symbol.asyncIterator]() as AsyncIterator<string>
    const next = async (): Promise<string> => (await lines.next()).value as string
    const port = Number(await next())
    const socket = nodeConnect(port, loopback)
    await once(socket, 'connect')
    await sleep(300)
    child.stdin.write('x')
    expect(JSON.parse(await next())).toEqual({ errors: ['EMFILE accept'], accepted: 0 })
    socket.write('hello')
    const [back] = await once(socket, 'data') as [Buffer]
    expect(back.toString()).toBe('hello')
    socket.destroy()
    child.stdin.write('x')
    await once(child, 'exit')
  })
})

describe('where there is no io_uring', () => {
  it('importing succeeds, and insisting on it says why', () => {
    const program = `
      import { connect } from '@sheaf/tcp'
      connect({ port: 1, backend: 'ring' }, {}).catch((error) => console.log(error.code, '|', error.message))
    `
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
      env: { ...process.env, SHEAF_DISABLE: '1' },
      encoding: 'utf8',
    })
    expect(output).toMatch(/^ERR_SHEAF_UNAVAILABLE \| .*SHEAF_DISABLE/)
  })
})
