import { once } from 'node:events'
import stock, { type AddressInfo, BlockList, type ListenOptions, type Server, type Socket } from 'node:net'
import { constants } from 'node:os'
import { defaultRing, getSocketOption } from '@sheaf/ring'
import { afterEach, expect, it, onTestFinished, vi } from 'vitest'
import net from '../src/net'
import { socketOption, type SocketOptionName } from '../src/socket-options'

/** By the default export, as most programs for `node:net` have it, which the compiler checks. */
export const portOf = (server: net.Server): number => (server.address() as net.AddressInfo).port
export const blockListOf = (options: net.ServerOpts & { blockList?: net.BlockList }): unknown => options.blockList

const open: (Server | Socket)[] = []

/** Closed at the end of the test. */
function closed<T extends Server | Socket>(made: T): T {
  open.push(made)
  return made
}

afterEach(async () => {
  await Promise.all(open.splice(0).map(async (made) => {
    if (made instanceof net.Server && !made.listening) return
    const gone = once(made, 'close')
    if (made instanceof net.Server) made.close()
    else if ((made).closed) return
    else (made).destroy()
    await gone
  }))
})

async function listening(server: Server, options: ListenOptions = { host: '127.0.0.1', port: 0 }): Promise<number> {
  closed(server).listen(options)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** What the socket's options are beneath. */
function option(socket: Socket, name: SocketOptionName): number {
  const { _handle: { fd } } = socket as unknown as { _handle: { fd: number } }
  return getSocketOption(defaultRing().sockets, fd, socketOption[name])
}

/** What newer versions of Node have, and the types of the oldest do not. */
interface NewerSocket extends Socket {
  setTypeOfService(value: number): this
  getTypeOfService(): number
  setKeepAlive(options?: boolean | object, initialDelayMs?: number, intervalMs?: number, count?: number): this
}

function blocked(address: string): BlockList {
  const list = new BlockList()
  list.addAddress(address)
  return list
}

it('a server closes connections from the addresses of its block list, and tells of none', async () => {
  const options: object = { blockList: blocked('127.0.0.1') }
  const server = net.createServer(options, () => expect.unreachable())
  server.on('drop', () => expect.unreachable())
  const socket = closed(net.connect(await listening(server), '127.0.0.1'))
  socket.resume().on('error', () => undefined)
  await once(socket, 'close')
})

it('does not connect to the addresses of a block list', async () => {
  const port = await listening(net.createServer(() => expect.unreachable()))
  const options = { host: '127.0.0.1', port, blockList: blocked('127.0.0.1') }
  const socket = closed(net.connect(options))
  const [error] = await once(socket, 'error') as [NodeJS.ErrnoException]
  expect(error).toMatchObject({ code: 'ERR_IP_BLOCKED', message: 'IP(127.0.0.1) is blocked by net.BlockList' })
})

const twoAddresses: object = {
  host: 'some.name',
  autoSelectFamily: true,
  lookup: (_host: string, _options: object, done: (error: null, addresses: object[]) => void) =>
    process.nextTick(done, null, [{ address: '::1', family: 6 }, { address: '127.0.0.1', family: 4 }]),
}

it('of several addresses the blocked ones are passed over', async () => {
  const port = await listening(net.createServer((accepted) => accepted.resume()))
  const blockList = new BlockList()
  blockList.addAddress('::1', 'ipv6')
  const socket = closed(net.connect({ ...twoAddresses, port, blockList } as { port: number }))
  const failed: unknown[] = []
  socket.on('connectionAttemptFailed', (address, _port, _family, error) => failed.push(address, error))
  await once(socket, 'connect')
  expect(socket.remoteAddress).toBe('127.0.0.1')
  expect(failed).toEqual(['::1', expect.objectContaining({ code: 'ERR_IP_BLOCKED' })])
  blockList.addRange('127.0.0.0', '127.0.0.9')
  const none = closed(net.connect({ ...twoAddresses, port, blockList } as { port: number }))
  const [error] = await once(none, 'error') as [AggregateError]
  expect(error.errors.map(({ code }: NodeJS.ErrnoException) => code)).toEqual(['ERR_IP_BLOCKED', 'ERR_IP_BLOCKED'])
})

it('can be destroyed when it tells of an attempt, which ends the process with Node\'s own', async () => {
  const port = await listening(net.createServer(() => expect.unreachable()))
  const socket = closed(net.connect({ ...twoAddresses, port }))
  socket.on('connectionAttempt', () => socket.destroy())
  await once(socket, 'close')
  expect(socket.connecting).toBe(false)
})

it('takes nothing else for a block list', () => {
  const options = { port: 1, blockList: {} }
  expect(() => net.connect(options)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
  expect(() => net.createServer(options as object)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
})

it('servers share a port with reusePort, and without it do not', async () => {
  const shared = { host: '127.0.0.1', reusePort: true }
  const port = await listening(net.createServer(), { ...shared, port: 0 })
  expect(await listening(net.createServer(), { ...shared, port })).toBe(port)
  const third = net.createServer().listen({ host: '127.0.0.1', port })
  expect(await once(third, 'error')).toMatchObject([{ code: 'EADDRINUSE' }])
})

it('a host that has a null in it is refused: a resolver would stop there', () => {
  expect(() => net.connect({ host: '127.0.0.1\0.example', port: 1 })).toThrow(
    "The property 'options.host' must be a string without null bytes.")
})

it.each(['127.0.0.1', '::1'])('the type of service is set before and after connecting to %s', async (host) => {
  const port = await listening(net.createServer((accepted) => accepted.resume()), { host, port: 0 })
  const socket = closed(new net.Socket()) as NewerSocket
  expect(socket.getTypeOfService()).toBe(0)
  socket.setTypeOfService(0x10).connect(port, host)
  await once(socket, 'connect')
  expect(socket.getTypeOfService()).toBe(0x10)
  socket.setTypeOfService(0x20)
  expect(option(socket, host === '::1' ? 'trafficClass' : 'typeOfService')).toBe(0x20)
  expect(() => socket.setTypeOfService(256)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
  expect(() => socket.setTypeOfService('low' as never)).toThrow(
    expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
})

it('keeps a connection alive as it is told to', async () => {
  const port = await listening(net.createServer((accepted) => accepted.resume()))
  const socket = closed(net.connect(port, '127.0.0.1')) as NewerSocket
  await once(socket, 'connect')
  const seen = (): number[] => (['keepAlive', 'keepAliveIdle', 'keepAliveInterval', 'keepAliveProbes'] as const)
    .map((name) => option(socket, name))
  socket.setKeepAlive(true, 5_000)
  expect(seen()).toEqual([1, 5, 1, 10])
  socket.setKeepAlive(true, 6_000, 7_000, 8)
  expect(seen()).toEqual([1, 6, 7, 8])
  socket.setKeepAlive({ enable: true, initialDelay: 9_000, interval: 10_000, count: 11 })
  expect(seen()).toEqual([1, 9, 10, 11])
})

it('what comes while the agent of http guards a free socket destroys it', async () => {
  const accepted: Socket[] = []
  const port = await listening(net.createServer((socket) => accepted.push(closed(socket))))
  const socket = closed(net.connect(port, '127.0.0.1'))
  await once(socket, 'connect')
  const handle = (socket as unknown as { _handle: { onread: unknown, readStart(): number } })._handle
  handle.onread = function freeSocketOnReadGuard() { return undefined }
  handle.readStart()
  socket.on('data', () => expect.unreachable())
  while (accepted.length === 0) await new Promise(setImmediate)
  accepted[0].write('no answer to anything')
  await once(socket, 'close')
})

interface Handle {
  readonly fd: number
  hasPendingRead(): boolean
}

it('a handle says when something has come that its socket was not told of, as the agent of http asks', async () => {
  const { sockets } = defaultRing()
  const none = new Uint8Array()
  for (const come of ['data', 'end', 'data while paused'] as const) {
    const accepted: Socket[] = []
    const port = await listening(net.createServer((socket) => accepted.push(closed(socket))))
    const socket = closed(net.connect(port, '127.0.0.1').setEncoding('utf8')).on('data', () => undefined)
    const handle = (socket as unknown as { _handle: Handle })._handle
    expect(handle.hasPendingRead()).toBe(false)
    await once(socket, 'connect')
    while (accepted.length === 0) await new Promise(setImmediate)
    const [peer] = accepted as unknown as { _handle: Handle }[]
    // What came has been told.
    sockets.send(peer._handle.fd, Buffer.from('x'), none, none, 0)
    await once(socket, 'data')
    expect(handle.hasPendingRead()).toBe(false)
    if (come === 'data while paused') socket.pause()
    if (come === 'end') sockets.shutdown(peer._handle.fd, 1)
    else sockets.send(peer._handle.fd, Buffer.from('more'), none, none, 0)
    expect(handle.hasPendingRead()).toBe(true)
    // It has taken nothing.
    const told = once(socket, come === 'end' ? 'end' : 'data')
    await new Promise(setImmediate)
    if (come === 'data while paused') expect(handle.hasPendingRead()).toBe(true)
    socket.resume()
    expect(await told).toEqual(come === 'end' ? [] : ['more'])
  }
})

it.each([
  { host: null }, { host: 0 }, { host: false }, { host: '' }, { backlog: '7' }, { backlog: -1 }, { backlog: 1.5 },
  { backlog: 1e12 }, { backlog: true }, { backlog: 'x' }, { backlog: {} }, { host: '::', ipv6Only: 1 },
  { host: '::', ipv6Only: true }, { exclusive: 1 },
])('a server listens with %j as one of node:net does', async (options) => {
  const outcomes = []
  for (const { createServer } of [stock, net]) {
    const server = createServer((socket) => socket.end('served'))
    const port = await listening(server, { port: 0, ...options } as ListenOptions)
    const { address } = server.address() as AddressInfo
    const answer = once(closed(stock.connect(port, '127.0.0.1')), 'data')
    outcomes.push([address, await answer.then(String, (error: unknown) => (error as NodeJS.ErrnoException).code)])
  }
  expect(outcomes[1]).toEqual(outcomes[0])
})

it.each([null, '', false, 0, Number.NaN])('connects with a time-out of %s, which is none', async (timeout) => {
  const port = await listening(stock.createServer((socket) => socket.end('served')))
  const socket = closed(net.connect({ port, host: '127.0.0.1', timeout: timeout as number }))
  expect(await once(socket, 'data').then(String)).toBe('served')
})

it('takes what it is given as node:net does: keep-alive of null, a time-out with a callback that is none', async () => {
  for (const { Socket: Class } of [stock, net]) {
    const socket = closed(new Class())
    expect(socket.setKeepAlive(null as never)).toBe(socket)
    expect(() => socket.setTimeout(1, 'x' as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
    await once(socket, 'timeout')
  }
})

/** A descriptor whose peer has answered, and then reset. */
async function resetDescriptor(): Promise<number> {
  const { sockets } = defaultRing()
  const port = await listening(stock.createServer((socket) => {
    socket.once('data', () => socket.write('what had come', () => socket.resetAndDestroy()))
  }))
  const fd = sockets.socket(2, 1, 6)
  const address = Uint8Array.of(2, 0, port >> 8, port & 255, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)
  expect(sockets.connect(fd, address)).toBe(0)
  expect(sockets.send(fd, Buffer.from('?'), new Uint8Array(), new Uint8Array(), 0)).toBe(1)
  while (sockets.getpeername(fd, new Uint8Array(16)) >= 0) await new Promise(setImmediate)
  return fd
}

it('a socket of a descriptor whose peer has reset tells what had come, and is closed', async () => {
  const outcomes = []
  for (const { Socket: Class } of [stock, net]) {
    const socket = new Class({ fd: await resetDescriptor() })
    const told: unknown[] = []
    socket.on('data', (chunk) => told.push(String(chunk))).on('end', () => told.push('end'))
      .on('error', (error: NodeJS.ErrnoException) => told.push(error.code))
    await new Promise((resolve) => socket.on('close', resolve))
    outcomes.push(told)
  }
  expect(outcomes[1]).toEqual(outcomes[0])
  expect(outcomes[1]).toContain('what had come')
})

it('writing to a descriptor whose peer has reset is an error of the socket, and none that is thrown', async () => {
  const socket = new net.Socket({ fd: await resetDescriptor() })
  socket.resume().write('to nobody')
  const [error] = await once(socket, 'error') as [NodeJS.ErrnoException]
  expect(['ECONNRESET', 'EPIPE']).toContain(error.code)
  await once(socket, 'close')
})

it('writing to a descriptor that was never connected fails as with node:net', async () => {
  const told = []
  for (const { Socket: Class } of [stock, net]) {
    const socket = closed(new Class({ fd: defaultRing().sockets.socket(2, 1, 6) }))
    socket.on('error', () => undefined)
    const failed = new Promise((resolve) => socket.write('to nobody', resolve))
    told.push(((await failed) as Error).message)
  }
  expect(told[1]).toEqual(told[0])
})

it.each([['a socket', net.Socket], ['one that inherits', class extends net.Socket {}]])(
  'out of descriptors, %s of a handle of Node\'s is Node\'s own', async (_kind, Class) => {
    const port = await listening(stock.createServer((accepted) => accepted.pipe(accepted)))
    const theirs = stock.connect(port, '127.0.0.1')
    await once(theirs, 'connect')
    const { _handle: handle } = theirs as unknown as { _handle: object | null }
    Object.assign(theirs, { _handle: null })
    const dup = vi.spyOn(defaultRing().sockets, 'dup').mockReturnValue(-constants.errno.EMFILE)
    onTestFinished(() => dup.mockRestore())
    const options: object = { handle }
    const socket = closed(new Class(options))
    expect(socket).toMatchObject({ _handle: handle })
    socket.write('there and back')
    expect(String(await once(socket, 'data'))).toBe('there and back')
  },
)

it('making a socket of a handle runs no ticks, and with options that are refused leaves it', async () => {
  const port = await listening(stock.createServer((accepted) => accepted.resume()))
  const theirs = stock.connect(port, '127.0.0.1')
  await once(theirs, 'connect')
  const { _handle: handle } = theirs as unknown as { _handle: { fd: number } }
  Object.assign(theirs, { _handle: null })
  const { fd } = handle
  const refused: object = { handle, highWaterMark: -1 }
  expect(() => new net.Socket(refused)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }) as Error)
  expect(handle.fd).toBe(fd)
  let ticked = false
  process.nextTick(() => { ticked = true })
  const options: object = { handle }
  closed(new net.Socket(options))
  expect(ticked).toBe(false)
})

type Told = (...told: unknown[]) => void
const unreachable = ['224.0.0.1', '224.0.0.2'].map((address) => ({ address, family: 4 }))

it.each([
  ['an address', { host: '224.0.0.1' }],
  ['one from another', { host: '224.0.0.1', localAddress: '127.0.0.1' }],
  ['several', {
    host: 'several',
    lookup: (_host: string, _options: object, done: Told) => process.nextTick(done, null, unreachable),
  }],
  ['a refusal', { host: '127.0.0.1', localAddress: '127.0.0.1' }],
])('what connect fails with at once is told as by node:net: %s', async (_kind, options) => {
  const outcomes = []
  for (const { connect } of [stock, net]) {
    const socket = closed(connect({ ...options, port: 1 } as never))
    const told: unknown[] = []
    const tell = (error: Error): void => {
      told.push(Object.entries(error), error.message.replace(/:\d{4,}\)/, ':port)'))
    }
    socket.on('connectionAttemptFailed', (...[address, , , error]: unknown[]) => {
      told.push(address)
      tell(error as Error)
    })
    const [error] = await once(socket, 'error') as [Error]
    tell(error)
    if (error instanceof AggregateError) (error.errors as Error[]).forEach(tell)
    outcomes.push(told)
  }
  expect(outcomes[1]).toEqual(outcomes[0])
})

it('out of descriptors, connect fails as with node:net', async () => {
  const { sockets } = defaultRing()
  const socket = vi.spyOn(sockets, 'socket').mockReturnValue(-constants.errno.EMFILE)
  onTestFinished(() => socket.mockRestore())
  const [error] = await once(closed(net.connect(1, '127.0.0.1')), 'error') as [Error]
  expect(error).toMatchObject({ code: 'EMFILE', address: '127.0.0.1', port: 1 })
  expect(error.message).toBe('connect EMFILE 127.0.0.1:1 - Local (undefined:undefined)')
})
