import { closeSync, existsSync, openSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  adopt, connect, type ConnectOptions, datagram, listen, type ListenOptions, nodeSockets, seqpacket, socketpair,
  type UnixConnection,
} from '../src/index'
import { echo, Received, until } from '@sheaf/ring/testing'
import { directory, leaveBehind } from './support'

const onNode = { backend: 'node' } as const
/** What can't be had without io_uring says so. */
const unsupported = expect.objectContaining({ code: 'ERR_SHEAF_UNSUPPORTED' }) as Error
/** Node 20 pads the names with NULs, which makes others of them. */
const exactAbstractNames = Number.parseInt(process.versions.node, 10) >= 22

async function server(options: Partial<ListenOptions> = {}, handler: Parameters<typeof listen>[1] = echo) {
  const listener = await listen({ path: join(directory(), 's'), ...onNode, ...options }, handler)
  onTestFinished(() => listener.close())
  return listener
}

async function client(path: string, received = new Received(), options: Partial<ConnectOptions> = {}) {
  const connection = await connect({ path, ...onNode, ...options }, received)
  onTestFinished(() => {
    connection.destroy()
  })
  return { connection, received }
}

describe('the socket file of Node\'s own listener', () => {
  it('has the permissions asked for, and nothing else is left in its directory', async () => {
    for (const mode of [0o600, 0o666, 0o777]) {
      const path = join(directory(), 's')
      const listener = await server({ path, mode })
      expect(statSync(path).mode & 0o7777).toBe(mode)
      expect(readdirSync(join(path, '..'))).toEqual(['s'])
      expect(listener.address).toEqual({ path })
      const { connection, received } = await client(path)
      connection.write('hello')
      await until(() => received.text === 'hello', 'the echo')
      expect(connection.remoteAddress).toEqual({ path })
      await listener.close()
      expect(existsSync(path)).toBe(false)
    }
  })

  it('is replaced when stale and asked to, with permissions or without, and only then', async () => {
    for (const mode of [undefined, 0o600]) {
      const path = join(directory(), 's')
      leaveBehind(path)
      const options = mode === undefined ? { path } : { path, mode }
      await expect(server(options)).rejects.toMatchObject({ code: 'EADDRINUSE', syscall: 'listen' })
      await server({ ...options, removeStale: true })
      const { connection, received } = await client(path)
      connection.write('fresh')
      await until(() => received.text === 'fresh', 'the echo')
      await expect(server({ ...options, removeStale: true })).rejects.toMatchObject({ code: 'EADDRINUSE' })
    }
  })

  it('never replaces what is no socket', async () => {
    const path = join(directory(), 'file')
    writeFileSync(path, 'precious')
    await expect(server({ path, removeStale: true })).rejects.toMatchObject({ code: 'EADDRINUSE' })
    await expect(server({ path, mode: 0o600, removeStale: true })).rejects.toMatchObject({ code: 'EADDRINUSE' })
    expect(readdirSync(join(path, '..'))).toEqual(['file'])
  })
})

describe('Unix sockets on Node\'s own', () => {
  it('say EINVAL to a path that Node would cut short', async () => {
    const path = join(directory(), 'x'.repeat(200))
    await expect(server({ path })).rejects.toMatchObject({ code: 'EINVAL' })
    await expect(client(path)).rejects.toMatchObject({ code: 'EINVAL' })
  })

  it('take abstract names where Node does not pad them, and refuse them elsewhere', async () => {
    const path = `\0sheaf-${process.pid}-${Date.now()}`
    if (!exactAbstractNames) {
      await expect(server({ path })).rejects.toEqual(unsupported)
      await expect(client(path)).rejects.toEqual(unsupported)
      return
    }
    await server({ path })
    const onRing = new Received()
    const connection = await connect({ path, backend: 'ring' }, onRing)
    connection.write('same name')
    await until(() => onRing.text === 'same name', 'the echo')
    connection.destroy()
  })

  it('exchange bytes with sockets on io_uring', async () => {
    const there = await listen({ path: join(directory(), 's'), backend: 'ring' }, echo)
    onTestFinished(() => there.close())
    const { connection, received } = await client(there.address.path)
    connection.write('hello')
    connection.end()
    await received.closed
    expect(received.text).toBe('hello')
  })

  it('refuse descriptors that are no sockets', async () => {
    await expect(listen({ fd: 1_000_000, ...onNode }, {})).rejects.toMatchObject({ code: 'EBADF' })
    const fd = openSync('/dev/null', 'r')
    onTestFinished(() => {
      closeSync(fd)
    })
    await expect(listen({ fd, ...onNode }, {})).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
    expect(() => adopt({ fd, ...onNode }, {})).toThrow(/must be a connected Unix stream socket/)
  })

  it('say what they can\'t do', async () => {
    const listener = await server()
    const { connection } = await client(listener.address.path)
    const { path } = listener.address
    const small = { writableHighWaterMark: 1000, ...onNode }
    const calls: ((connection: UnixConnection) => unknown)[] = [
      (unix) => unix.peerCredentials, (unix) => unix.write('x', { fds: [0] }), (unix) => unix.sendBufferBytes,
      () => socketpair(onNode, {}), () => datagram.socketpair(small, {}), () => seqpacket.socketpair(small, {}),
    ]
    for (const call of calls) expect(() => call(connection)).toThrow(unsupported)
    const members = nodeSockets.members.size
    for (const option of ['receiveDescriptors', 'receiveCredentials']) {
      await expect(client(path, new Received(), { [option]: true })).rejects.toEqual(unsupported)
      await expect(server({ [option]: true })).rejects.toEqual(unsupported)
    }
    await expect(datagram.bind({ path: `${path}d`, ...onNode }, {})).rejects.toEqual(unsupported)
    await expect(seqpacket.listen({ path: `${path}q`, ...onNode }, {})).rejects.toEqual(unsupported)
    expect(nodeSockets.members.size).toBe(members)
  })
})
