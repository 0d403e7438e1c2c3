import { execFileSync, spawn } from 'node:child_process'
import { encodeSocketAddress } from '@sheaf/ring'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  adopt, connect, type ConnectOptions, listen, type ListenOptions, nodeSockets, type TcpConnection,
} from '../src/index'
import { echo, loopback, Received, testRing, until } from './support'

const onNode = { backend: 'node' } as const
/** What can't be had without io_uring says so. */
const unsupported = expect.objectContaining({ code: 'ERR_SHEAF_UNSUPPORTED' }) as Error

async function server(options: Partial<ListenOptions> = {}, handler: Parameters<typeof listen>[1] = echo) {
  const listener = await listen({ host: loopback, port: 0, ...onNode, ...options }, handler)
  onTestFinished(() => listener.close())
  return listener
}

async function client(port: number, received = new Received(), options: Partial<ConnectOptions> = {}) {
  const connection = await connect({ host: loopback, port, ...onNode, ...options }, received)
  onTestFinished(() => {
    connection.destroy()
  })
  return { connection, received }
}

describe('TCP on Node\'s own sockets', () => {
  it('knows its addresses, and exchanges bytes with sockets on io_uring', async () => {
    const there = await listen({ host: loopback, port: 0, backend: 'ring' }, echo)
    onTestFinished(() => there.close())
    const { connection, received } = await client(there.address.port)
    expect(connection.remoteAddress).toEqual(there.address)
    expect(connection.localAddress).toMatchObject({ address: loopback, family: 'IPv4' })
    connection.write('hello')
    connection.end()
    await received.closed
    expect(received.text).toBe('hello')
  })

  it('fails with Node\'s own errors', async () => {
    const listener = await server()
    const { port } = listener.address
    const inUse = { code: 'EADDRINUSE', syscall: 'listen', address: loopback, port }
    await expect(server({ port })).rejects.toMatchObject(inUse)
    await listener.close()
    await expect(client(port)).rejects.toMatchObject({
      code: 'ECONNREFUSED', errno: -111, syscall: 'connect', address: loopback, port,
      message: `connect ECONNREFUSED ${loopback}:${port}`,
    })
    const nowhere = { host: 'nowhere.invalid' }
    await expect(client(1, new Received(), nowhere)).rejects.toMatchObject({ syscall: 'getaddrinfo' })
  })

  it('counts connections, not what never was one', async () => {
    const counts = (): number[] => {
      const { accepted, connected, closed } = nodeSockets.metrics
      return [accepted, connected, closed]
    }
    const before = counts()
    const listener = await server()
    const { port } = listener.address
    const { connection, received } = await client(port)
    connection.end()
    await received.closed
    await until(() => listener.connections === 0, 'the other end')
    await listener.close()
    await expect(client(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    expect(counts().map((count, index) => count - before[index])).toEqual([1, 1, 2])
  })

  it('keeps to the time it is given to connect, and to an abort', async () => {
    const lookup = (): void => { /* never answers */ }
    await expect(client(1, new Received(), { host: 'slow.invalid', lookup, timeout: 20 }))
      .rejects.toMatchObject({ code: 'ETIMEDOUT', syscall: 'connect' })
    const controller = new AbortController()
    const listener = await server()
    const { received } = await client(listener.address.port, new Received(), { signal: controller.signal })
    await until(() => listener.connections === 1, 'the connection')
    const connecting = client(listener.address.port, new Received(), { signal: controller.signal })
    controller.abort()
    await expect(connecting).rejects.toMatchObject({ name: 'AbortError' })
    expect(received.closes).toBe(0)
  })

  it('resets: the peer does not take a part for the whole', async () => {
    const peer = new Received()
    const listener = await server({}, peer)
    const { connection } = await client(listener.address.port)
    connection.write('a part')
    await until(() => peer.bytes === 6, 'the part')
    connection.reset()
    await peer.closed
    expect(peer.error).toMatchObject({ code: 'ECONNRESET', syscall: 'read' })
    expect(peer.ended).toBe(false)
  })

  it('goes on after handlers and callbacks have thrown', async () => {
    const thrown: unknown[] = []
    const listeners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', (error) => thrown.push(error.message))
    onTestFinished(() => {
      process.removeAllListeners('uncaughtException')
      for (const listener of listeners) process.on('uncaughtException', listener)
    })
    const listener = await server({}, {
      open() { throw new Error('open') },
      data(connection, chunk) {
        connection.write(chunk, () => { throw new Error('callback') })
        throw new Error('data')
      },
      end() { throw new Error('end') },
      close() { throw new Error('close') },
    })
    const { connection, received } = await client(listener.address.port)
    connection.write('hello')
    await until(() => received.text === 'hello', 'the echo')
    connection.end()
    await received.closed
    await until(() => thrown.length === 5, 'what was thrown')
    expect(thrown.sort()).toEqual(['callback', 'close', 'data', 'end', 'open'])
  })

  it('destroys a connection whose chunk was transferred before it was sent', async () => {
    const held: TcpConnection[] = []
    const other = new Received()
    // Node's sockets take a reset behind data for an end before libuv 1.52.
    const listener = await server({ backend: 'ring' }, {
      open(connection) {
        held.push(connection)
        connection.pause()
      },
      close: (connection, error) => { other.close(connection, error) },
    })
    const { connection, received } = await client(listener.address.port)
    connection.write(Buffer.alloc(20_000_000))
    const chunk = new Uint8Array(100_000)
    const outcomes: unknown[] = []
    connection.write(chunk, (error) => outcomes.push(error))
    structuredClone(chunk, { transfer: [chunk.buffer] })
    await until(() => held.length === 1, 'the connection')
    held[0].resume()
    await received.closed
    expect(received.error).toMatchObject({ code: 'ERR_SHEAF_DETACHED' })
    expect(outcomes).toEqual([received.error])
    // Bytes are missing: the peer must not take what it has got for the whole.
    await other.closed
    expect(other.error).toMatchObject({ code: 'ECONNRESET' })
  })

  it('tells a paused connection of its peer\'s end only when it reads on', async () => {
    const listener = await server({}, { open: (connection) => connection.end() })
    const { connection, received } = await client(listener.address.port, new Received(), { allowHalfOpen: true })
    connection.pause()
    connection.end()
    await until(() => listener.connections === 0, 'the other side to close')
    expect([received.ended, received.closes]).toEqual([false, 0])
    connection.resume()
    await received.closed
    expect(received.ended).toBe(true)
  })

  it('adopts a connected socket, and refuses what is none', async () => {
    const listener = await server()
    const { sockets } = testRing()
    const fd = sockets.socket(2, 1, 6)
    const noZone = (): number => 0
    expect(sockets.connect(fd, encodeSocketAddress(loopback, listener.address.port, noZone))).toBe(0)
    const received = new Received()
    const connection = adopt({ fd, ...onNode }, received)
    connection.write('hello')
    connection.end()
    await received.closed
    expect(received.text).toBe('hello')
    expect(() => adopt({ fd: 1_000_000, ...onNode }, {})).toThrow(expect.objectContaining({ code: 'EBADF' }) as Error)
  })

  it('has the options that node:net has', async () => {
    const listener = await server({ noDelay: false, keepAlive: true, ipv6Only: false })
    const keepAlive = { idleSeconds: 10 }
    const { connection } = await client(listener.address.port, new Received(), { keepAlive, localAddress: '127.0.0.2' })
    expect(connection.localAddress?.address).toBe('127.0.0.2')
    connection.setNoDelay(false)
    connection.setKeepAlive(false)
    connection.setKeepAlive({ idleSeconds: 20 })
    expect(() => connection.setKeepAlive({ idleSeconds: 0 })).toThrow(RangeError)
  })

  it('says what it can\'t do', async () => {
    const listener = await server()
    const { port } = listener.address
    const { connection } = await client(port)
    const calls: ((connection: TcpConnection) => unknown)[] = [
      (tcp) => tcp.info(), (tcp) => tcp.setLinger(1), (tcp) => tcp.setMark(1), (tcp) => tcp.setQuickAck(),
      (tcp) => tcp.setUserTimeout(1), (tcp) => tcp.setNotSentLowWater(1), (tcp) => tcp.congestionControl,
      (tcp) => tcp.setCongestionControl('reno'), (tcp) => tcp.typeOfService, (tcp) => tcp.setTypeOfService(1),
      (tcp) => tcp.sendBufferBytes, (tcp) => tcp.receiveBufferBytes, (tcp) => tcp.setSendBufferBytes(1000),
      (tcp) => tcp.setReceiveBufferBytes(1000), (tcp) => tcp.setKeepAlive({ probes: 1 }),
    ]
    for (const call of calls) expect(() => call(connection)).toThrow(unsupported)
    const members = nodeSockets.members.size
    await expect(server({ keepAlive: { intervalSeconds: 1 } })).rejects.toEqual(unsupported)
    await expect(client(port, new Received(), { keepAlive: { probes: 1 } })).rejects.toEqual(unsupported)
    expect(nodeSockets.members.size).toBe(members)
  })

  it('refuses a backend that there is not, or that a ring contradicts', async () => {
    const refused = { code: 'ERR_INVALID_ARG_VALUE' }
    await expect(server({ backend: 'epoll' as never })).rejects.toMatchObject(refused)
    await expect(server({ ring: testRing() })).rejects.toMatchObject(refused)
  })

  it.each([
    ['just before', 'connection.write(\'last words\'); process.exit()'],
    ['by a listener of `exit`', 'process.on(\'exit\', () => connection.write(\'last words\')); process.exit()'],
  ])('sends what was written when the process ends, %s', async (_when, ending) => {
    const received = new Received()
    const listener = await server({ backend: 'ring' }, received)
    const program = `
      import { connect } from '@sheaf/tcp'
      const port = ${listener.address.port}
      const open = (connection) => { ${ending} }
      await connect({ host: '${loopback}', port }, { open })
    `
    const env = { ...process.env, SHEAF_DISABLE: '1' }
    spawn(process.execPath, ['--input-type=module', '-e', program], { env, stdio: 'inherit' })
    await received.closed
    expect(received.text).toBe('last words')
  })

  it('sends all that the kernel takes when the process ends, and not only what is under way', async () => {
    const received = new Received()
    const listener = await server({ backend: 'ring' }, received)
    const program = `
      import { connect } from '@sheaf/tcp'
      const open = (connection) => {
        for (let left = 12; left > 0; left--) connection.write(Buffer.alloc(50_000, left))
        process.exit()
      }
      await connect({ host: '${loopback}', port: ${listener.address.port} }, { open })
    `
    const env = { ...process.env, SHEAF_DISABLE: '1' }
    spawn(process.execPath, ['--input-type=module', '-e', program], { env, stdio: 'inherit' })
    await received.closed
    expect(received.bytes).toBe(600_000)
  })

  it('lets the process end when everything is unref\'d', () => {
    const program = `
      import { listen, connect } from '@sheaf/tcp'
      const listener = await listen({ host: '${loopback}', port: 0 }, { open: (connection) => connection.unref() })
      const connection = await connect({ host: '${loopback}', port: listener.address.port }, {})
      listener.unref()
      connection.unref()
      console.log('done')
    `
    const env = { ...process.env, SHEAF_DISABLE: '1' }
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', program], { env, timeout: 20_000 })
    expect(output.toString()).toBe('done\n')
  })
})
