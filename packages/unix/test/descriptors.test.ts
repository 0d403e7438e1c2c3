import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { join } from 'node:path'
import type { Ring, SocketKind, WriteCallback } from '@sheaf/ring'
import { openDescriptors, pattern, Random, takeSendMemory, until, untilIdle } from '@sheaf/ring/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connect, datagram, listen, type ReceivedDetails, seqpacket, socketpair } from '../src/index'
import { unixSeqpacketSocket, unixStreamSocket } from '../src/socket'
import { encodeUnixAddress } from '../src/unix-address'
import { directory, testRing } from './support'

interface Sender {
  flush(): void
  send(chunk: string, fds: readonly number[], callback?: WriteCallback): boolean
  destroy(): void
}

interface Receiver {
  pause(): void
  resume(): void
  destroy(): void
}

interface Options {
  receiveDescriptors?: boolean
  receiveCredentials?: boolean
}

type Told = (chunk: Buffer, details: ReceivedDetails | undefined) => void
type Kind = (ring: Ring, options: Options, told: Told) => { sender: Sender, receiver: Receiver }

function messages(family: typeof datagram | typeof seqpacket): Kind {
  return (ring, options, told) => {
    const [one, receiver] = family.socketpair({ ring, ...options }, {}, {
      message: (_socket: unknown, chunk: Buffer, _from: unknown, details?: ReceivedDetails) => told(chunk, details),
    })
    return {
      sender: {
        send: (chunk, fds, callback) => one.send(chunk, { fds }, callback),
        destroy: () => one.destroy(),
        flush: () => one.flush(),
      },
      receiver,
    }
  }
}

const kinds: Record<string, Kind> = {
  stream(ring, options, told) {
    const [one, receiver] = socketpair({ ring, ...options }, {}, { data: (_c, chunk, details) => told(chunk, details) })
    return {
      sender: {
        send: (chunk, fds, callback) => one.write(chunk, { fds }, callback),
        destroy: () => one.destroy(),
        flush: () => one.flush(),
      },
      receiver,
    }
  },
  datagram: messages(datagram),
  seqpacket: messages(seqpacket),
}

/** Descriptors of files that have their index as content. They are closed when the test is over, or before. */
function files(count: number): number[] {
  const path = directory()
  return Array.from({ length: count }, (_, index) => {
    writeFileSync(join(path, String(index)), String(index))
    return openSync(join(path, String(index)), 'r')
  })
}

function closesOnExec(fd: number): boolean {
  const flags = /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0'
  return (Number.parseInt(flags, 8) & 0o2000000) !== 0
}

/** What is sent can't be closed before the kernel has it. */
function sent(sender: Sender, chunk: string, fds: readonly number[]): Promise<Error | undefined> {
  return new Promise((resolve) => {
    sender.send(chunk, fds, resolve)
  })
}

for (const [name, kind] of Object.entries(kinds)) {
  describe(`descriptors on a ${name}`, () => {
    it('arrive with their message, in order, close-on-exec, though the sender closed its own at once', async () => {
      const ring = testRing()
      const texts: string[] = []
      const taken: number[][] = []
      const { sender, receiver } = kind(ring, { receiveDescriptors: true }, (chunk, details) => {
        texts.push(chunk.toString())
        taken.push(details?.fds?.take() ?? [])
      })
      const before = openDescriptors()
      const own = files(5)
      sender.send('two', own.slice(0, 2))
      sender.send('three', own.slice(2))
      for (const fd of own) closeSync(fd)
      await until(() => taken.flat().length === 5, 'all descriptors')
      expect(taken.flat().map((fd) => readFileSync(fd, 'utf8'))).toEqual(['0', '1', '2', '3', '4'])
      expect(taken.flat().every(closesOnExec)).toBe(true)
      expect(texts).toEqual(['two', 'three'])
      expect(taken.map((fds) => fds.length)).toEqual([2, 3])
      for (const fd of taken.flat()) closeSync(fd)
      await until(() => openDescriptors() === before, 'the duplicates to be closed')
      sender.destroy()
      receiver.destroy()
      await untilIdle(ring)
    })

    it('are closed when the handler has not taken them', async () => {
      const ring = testRing()
      const kept: ReceivedDetails[] = []
      const { sender } = kind(ring, { receiveDescriptors: true }, (_chunk, details) => {
        if (details?.fds !== undefined) kept.push(details)
      })
      const [fd] = files(1)
      const before = openDescriptors()
      for (let index = 0; index < 50; index++) expect(await sent(sender, 'x', [fd, fd])).toBeUndefined()
      await until(() => kept.length === 50, 'all messages')
      await until(() => openDescriptors() === before, 'all to be closed')
      expect(kept[0].fds?.take()).toEqual([])
      closeSync(fd)
    })

    it('are not let in unasked', async () => {
      const ring = testRing()
      const got: unknown[] = []
      const { sender } = kind(ring, { receiveCredentials: true }, (_chunk, details) => got.push(details?.fds))
      const [fd] = files(1)
      const before = openDescriptors()
      expect(await sent(sender, 'x', [fd])).toBeUndefined()
      await until(() => got.length === 1, 'the message')
      expect(got).toEqual([undefined])
      await until(() => openDescriptors() === before, 'the duplicate to be closed')
      closeSync(fd)
    })

    it('may be as many as 253; what is no list of them is refused, and leaks nothing', async () => {
      const ring = testRing()
      let count = 0
      const { sender } = kind(ring, { receiveDescriptors: true }, (_chunk, details) => {
        count = details?.fds?.count ?? 0
      })
      const [fd] = files(1)
      const before = openDescriptors()
      expect(await sent(sender, 'x', new Array<number>(253).fill(fd))).toBeUndefined()
      await until(() => count === 253, 'all of them')
      expect(() => sender.send('x', new Array<number>(254).fill(fd))).toThrow(RangeError)
      expect(() => sender.send('x', [])).toThrow(RangeError)
      for (const fds of [1, 'x', [-1], [0.5], [undefined], {}, null]) {
        expect(() => sender.send('x', fds as never)).toThrow()
      }
      expect(() => sender.send('x', [fd, fd, 2 ** 30])).toThrow('dup EBADF')
      await until(() => openDescriptors() === before, 'all to be closed')
      closeSync(fd)
    })

    it('that are queued, or received and not handed over, do not outlive the socket', async () => {
      const [fd] = files(1)
      const before = openDescriptors()
      for (const end of ['destroy', 'ring', 'ring at once'] as const) {
        const ring = testRing()
        const { sender, receiver } = kind(ring, { receiveDescriptors: true }, () => receiver.pause())
        // Both ends' requests are in the kernel.
        await new Promise(setImmediate)
        // The first is handed over, which pauses; some are in the receiver's hands, some in the kernel, some queued.
        for (let index = 0; index < 200; index++) sender.send('x', [fd])
        if (end === 'ring at once') {
          sender.flush()
        } else {
          await new Promise(setImmediate)
          await new Promise(setImmediate)
        }
        if (end !== 'destroy') {
          ring.close()
        } else {
          sender.destroy()
          receiver.destroy()
          await untilIdle(ring)
          ring.close()
        }
      }
      await until(() => openDescriptors() <= before, `${openDescriptors() - before} descriptors to be closed`)
      closeSync(fd)
    })

    it('tells who sent each message, on the kernel\'s word', async () => {
      const ring = testRing()
      const got: unknown[] = []
      const { sender } = kind(ring, { receiveCredentials: true, receiveDescriptors: true }, (_chunk, details) => {
        got.push(details?.credentials)
      })
      const [fd] = files(1)
      await sent(sender, 'x', [fd])
      await until(() => got.length === 1, 'a message')
      expect(got).toEqual([{ pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() }])
      closeSync(fd)
    })
  })
}

it.each([
  ['some', () => () => undefined], ['none, as others have all of it', takeSendMemory],
])('a stream\'s bytes and descriptors keep their order exactly, with send memory: %s', async (_, takeFrom) => {
  const ring = testRing({ sendBlocksMax: 64 })
  const giveBack = takeFrom(ring)
  const random = new Random(5)
  const fds = files(40)
  const inodes = fds.map((fd) => fstatSync(fd).ino)
  let position = 0
  const arrivals: { start: number, end: number, inodes: number[] }[] = []
  const chunks: Buffer[] = []
  const [sender, receiver] = socketpair({ ring, receiveDescriptors: true }, {}, {
    data(connection, chunk, details) {
      const taken = details?.fds?.take() ?? []
      const start = position
      position += chunk.byteLength
      arrivals.push({ start, end: position, inodes: taken.map((fd) => fstatSync(fd).ino) })
      for (const fd of taken) closeSync(fd)
      chunks.push(chunk)
      if (random.below(3) !== 0) return
      connection.pause()
      setTimeout(() => connection.resume(), 1)
    },
  })
  const before = openDescriptors()
  const expected: { at: number, inodes: number[] }[] = []
  const bytes: Buffer[] = []
  let written = 0
  let next = 0
  for (let index = 0; next < fds.length || index < 400; index++) {
    const chunk = pattern(random.size(random.below(10) === 0 ? 100_000 : 300), index)
    if (next < fds.length && random.below(4) === 0) {
      const count = Math.min(1 + random.below(3), fds.length - next)
      sender.write(chunk, { fds: fds.slice(next, next + count) })
      expected.push({ at: written, inodes: inodes.slice(next, next + count) })
      next += count
    } else {
      sender.write(chunk)
    }
    bytes.push(chunk)
    written += chunk.byteLength
    if (random.below(20) === 0) await new Promise(setImmediate)
  }
  await until(() => position === written, 'all bytes')
  expect(Buffer.concat(chunks).equals(Buffer.concat(bytes))).toBe(true)
  const withDescriptors = arrivals.filter((arrival) => arrival.inodes.length !== 0)
  expect(withDescriptors.map((arrival) => arrival.inodes)).toEqual(expected.map((one) => one.inodes))
  for (const [index, { at }] of expected.entries()) {
    const { start, end } = withDescriptors[index]
    expect(at >= start && at < end).toBe(true)
  }
  await until(() => openDescriptors() === before, 'the duplicates to be closed')
  sender.destroy()
  receiver.destroy()
  giveBack()
  await untilIdle(ring)
  for (const fd of fds) closeSync(fd)
})

it('a write with descriptors needs a byte, and a connection that is open', async () => {
  const ring = testRing()
  const [sender, receiver] = socketpair({ ring }, {})
  const [fd] = files(1)
  expect(() => sender.write('', { fds: [fd] })).toThrow('must not be empty')
  expect(() => receiver.write('x', { fds: [fd] }, 1 as never)).toThrow(TypeError)
  const before = openDescriptors()
  sender.destroy()
  const refusal = await new Promise((resolve) => void sender.write('x', { fds: [fd] }, resolve))
  expect(refusal).toMatchObject({ code: 'ERR_SHEAF_CLOSED' })
  await until(() => sender.state === 'closed' && receiver.state === 'closed', 'both to be closed')
  expect(openDescriptors()).toBe(before - 2)
  closeSync(fd)
})

/** Runs a Python program, whose `socket` module has `send_fds` and `recv_fds`. */
function python(program: string, ...args: string[]): ReturnType<typeof spawn> {
  const child = spawn('python3', ['-c', program, ...args], { stdio: 'inherit' })
  onTestFinished(() => void child.kill())
  return child
}

it('exchanges descriptors with a program that is not Sheaf\'s, and tells its process', async () => {
  const path = join(directory(), 's')
  const told: { pid: number | undefined, text: string, content: string }[] = []
  await listen({ path, ring: testRing(), receiveDescriptors: true, receiveCredentials: true }, {
    data(connection, chunk, details) {
      const [fd] = details?.fds?.take() ?? []
      told.push({ pid: details?.credentials?.pid, text: chunk.toString(), content: readFileSync(fd, 'utf8') })
      connection.write('back', { fds: [fd] })
      closeSync(fd)
    },
  })
  const file = join(directory(), 'f')
  writeFileSync(file, 'content')
  const child = python(`
import os, socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
socket.send_fds(client, [b'here'], [os.open(sys.argv[2], os.O_RDONLY)])
message, fds, flags, address = socket.recv_fds(client, 100, 10)
assert message == b'back' and len(fds) == 1
assert os.pread(fds[0], 100, 0) == b'content'
`, path, file)
  const [code] = await once(child, 'exit') as [number]
  expect(code).toBe(0)
  expect(told).toEqual([{ pid: child.pid, text: 'here', content: 'content' }])
})

/** A socket that listens already, as a process's parent may leave one. */
function listeningSocket({ sockets }: Ring, path: string, { domain, type }: SocketKind): number {
  const fd = sockets.socket(domain as number, type, 0)
  expect(sockets.bind(fd, encodeUnixAddress(path, 'listen'))).toBe(0)
  expect(sockets.listen(fd, 8)).toBe(0)
  return fd
}

/** Keeps this thread from doing anything else until another process has made a file. */
function waitFor(path: string): void {
  const deadline = Date.now() + 20_000
  while (!existsSync(path)) {
    if (Date.now() > deadline) throw new Error(`nobody has made ${path}`)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
  }
}

describe.each([
  ['stream', listen, unixStreamSocket],
  ['seqpacket', seqpacket.listen, unixSeqpacketSocket],
] as const)('a client of a %s listener that sends when the kernel alone has accepted it', (_name, listenWith, kind) => {
  it.each(['by path', 'adopted'])('is told by its process (%s)', async (how) => {
    const files = directory()
    const [path, connected, opened, sent] = ['s', 'connected', 'opened', 'sent'].map((name) => join(files, name))
    const ring = testRing()
    const pids: unknown[] = []
    const tell = (_connection: unknown, ...args: unknown[]): void => {
      pids.push((args.at(-1) as ReceivedDetails | undefined)?.credentials?.pid)
    }
    const at = how === 'by path' ? { path } : { fd: listeningSocket(ring, path, kind) }
    await listenWith({ ...at, ring, receiveCredentials: true }, {
      data: tell,
      message: tell,
      // The second is there, too, with nothing made of it.
      open() {
        writeFileSync(opened, '')
        waitFor(sent)
      },
    })
    const client = python(`
import os, socket, sys, time
path, connected, opened, sent = sys.argv[1:]
clients = [socket.socket(socket.AF_UNIX, ${kind.type}) for index in range(2)]
for client in clients: client.connect(path)
open(connected, 'w')
while not os.path.exists(opened): time.sleep(0.005)
for client in clients: client.send(b'here')
open(sent, 'w')
`, path, connected, opened, sent)
    waitFor(connected)
    await until(() => pids.length === 2, 'both messages')
    expect(pids).toEqual([client.pid, client.pid])
  })
})

it('a listener\'s socket can be handed to another process\'s server', async () => {
  const ring = testRing()
  const server = createServer((socket) => socket.end('served')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle
  let received: number | undefined
  const [sender] = seqpacket.socketpair({ ring, receiveDescriptors: true }, {}, {
    message(_connection, _chunk, _from, details) { [received] = details?.fds?.take() ?? [] },
  })
  sender.send('the listener', { fds: [fd] })
  await until(() => received !== undefined, 'the listener')
  const other = createServer((socket) => socket.end('served by the other')).listen({ fd: received as number })
  await once(other, 'listening')
  server.close()
  const { port } = other.address() as { port: number }
  const [text] = await once(createConnection(port, '127.0.0.1'), 'data') as [Buffer]
  expect(text.toString()).toBe('served by the other')
  other.close()
})

it('descriptors that there is no room for end a connection, and leak nothing', async () => {
  const program = `
    import { closeSync, openSync } from 'node:fs'
    import { datagram, seqpacket, socketpair } from '@sheaf/unix'
    const outcomes = []
    const options = { receiveDescriptors: true }
    const tell = (name) => ({
      data: () => outcomes.push(name + ' data'),
      message: () => outcomes.push(name + ' message'),
      error: (t, error) => outcomes.push(name + ' error ' + error.code),
      close: (t, error) => outcomes.push(name + ' close ' + error?.code),
    })
    const stream = socketpair(options, {}, tell('stream'))
    const packets = seqpacket.socketpair(options, {}, tell('seqpacket'))
    const datagrams = datagram.socketpair(options, {}, tell('datagram'))
    for (const pair of [stream, packets, datagrams]) pair[1].pause()
    const fds = [0, 1, 2]
    await new Promise((resolve) => setTimeout(resolve, 20))
    await new Promise((resolve) => stream[0].write('x', { fds }, resolve))
    await new Promise((resolve) => packets[0].send('x', { fds }, resolve))
    await new Promise((resolve) => datagrams[0].send('x', { fds }, resolve))
    await new Promise((resolve) => setTimeout(resolve, 20))
    const taken = []
    try { for (;;) taken.push(openSync('/dev/null', 'r')) } catch (error) { outcomes.push(error.code) }
    closeSync(taken.pop())
    for (const pair of [stream, packets, datagrams]) pair[1].resume()
    while (outcomes.length < 4) await new Promise((resolve) => setTimeout(resolve, 2))
    for (const fd of taken) closeSync(fd)
    await new Promise((resolve) => datagrams[0].send('y', resolve))
    while (outcomes.length < 5) await new Promise((resolve) => setTimeout(resolve, 2))
    console.log(outcomes.sort().join())
    process.exit()
  `
  const node = [process.execPath, '--input-type=module', '-e', program]
  const child = spawn('sh', ['-c', 'ulimit -n 80; exec "$@"', 'sh', ...node], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => { output += chunk.toString() })
  await once(child, 'close')
  expect(output.trim()).toBe([
    'EMFILE',
    'datagram error ERR_SHEAF_DESCRIPTORS_LOST',
    'datagram message',
    'seqpacket close ERR_SHEAF_DESCRIPTORS_LOST',
    'stream close ERR_SHEAF_DESCRIPTORS_LOST',
  ].join())
})

it('credentials tell the processes of one stream\'s clients apart', async () => {
  const path = `\0${join(directory(), 's')}`
  const pids: (number | undefined)[] = []
  await listen({ path, ring: testRing(), receiveCredentials: true }, {
    data: (_connection, _chunk, details) => pids.push(details?.credentials?.pid),
  })
  const child = python(`
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect('\\0' + sys.argv[1])
client.send(b'x')
`, path.slice(1))
  await once(child, 'exit')
  const client = await connect({ path, ring: testRing() }, {})
  client.write('x')
  await until(() => pids.length === 2, 'both')
  expect(pids).toEqual([child.pid, process.pid])
})

it('details are told while others find the receive pool empty, again and again', async () => {
  const ring = testRing({ receiveBuffers: 4, receiveBuffersMax: 4 })
  const path = join(directory(), 'flood')
  const flood = Buffer.alloc(64 * 1024)
  const sender = createServer((socket) => {
    const write = (): void => { while (socket.write(flood)); }
    socket.on('drain', write).on('error', () => undefined)
    write()
  })
  sender.listen(path)
  await once(sender, 'listening')
  onTestFinished(() => void sender.close())
  let flooded = 0
  const flooding = await Promise.all(Array.from({ length: 4 }, () => connect({ path, ring }, {
    data: (_connection, chunk) => { flooded += chunk.byteLength },
  })))
  await until(() => flooded > 2 ** 20, 'the flood')
  for (let told = 0; told < 20; told++) {
    let credentials: ReceivedDetails['credentials']
    const [one, two] = socketpair({ ring, receiveCredentials: true }, {}, {
      data: (_connection, _chunk, details) => { credentials = details?.credentials },
    })
    one.write('x')
    await until(() => credentials !== undefined, 'details')
    expect(credentials?.pid).toBe(process.pid)
    one.destroy()
    two.destroy()
  }
  for (const connection of flooding) connection.destroy()
  await untilIdle(ring)
})
