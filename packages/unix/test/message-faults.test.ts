import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MessageChannel } from 'node:worker_threads'
import { limits, type Ring } from '@sheaf/ring'
import {
  fewDescriptors, openDescriptors, pattern, Program, runProgram, smallHeaps, until, untilIdle,
} from '@sheaf/ring/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connect, datagram, listen, seqpacket } from '../src/index'
import { directory, testRing } from './support'

const families = { datagram, seqpacket }
type Family = keyof typeof families

interface Handler {
  message?: (socket: Socket, chunk: Buffer) => void
  error?: (socket: Socket, error: NodeJS.ErrnoException) => void
  close?: (socket: Socket, error?: NodeJS.ErrnoException) => void
}

/** What both kinds of socket have. */
interface Socket {
  readonly state: string
  readonly messagesQueued: number
  send(chunk: Uint8Array | string, callback?: (error?: Error) => void): boolean
  pause(): void
  resume(): void
  close(): void
}

function pair(family: Family, ring: Ring, one: Handler, other: Handler): [Socket, Socket] {
  return families[family].socketpair({ ring }, one, other)
}

const prelude = `
  import { openSync, closeSync, readdirSync, readFileSync } from 'node:fs'
  import { execFileSync } from 'node:child_process'
  import { createRing, datagram, seqpacket } from '@sheaf/unix'
  const { until } = await import('@sheaf/ring/testing')
  const say = (...words) => console.log(...words)
  const open = () => readdirSync('/proc/self/fd').length
  const code = (promise) => promise.then(() => 'done', (error) => error.code)
`

/** A process that sends everything back. @returns it, and a socket that is connected with it. */
async function echoing(family: Family, ring: Ring, handler: Handler): Promise<{ program: Program, socket: Socket }> {
  const path = join(directory(), 's')
  const start = family === 'datagram'
    ? 'await datagram.bind({ path: given }, { message(t, chunk, from) { t.send(chunk, from) } })'
    : 'await seqpacket.listen({ path: given }, { message(t, chunk) { t.send(chunk) } })'
  const program = new Program(`${prelude}${start}\nsay('ready')`, { given: path })
  onTestFinished(() => program.kill())
  expect(await program.line()).toBe('ready')
  const options = { path, ring }
  const socket = family === 'datagram'
    ? await datagram.connect({ ...options, localPath: join(directory(), 'c') }, handler)
    : await seqpacket.connect(options, handler)
  return { program, socket: socket as unknown as Socket }
}

describe.each(['datagram', 'seqpacket'] as const)('%s sockets', (family) => {
  it('see nothing of each other in the memory of a received chunk', async () => {
    const ring = testRing()
    const sizes = [1, 40, 1400, limits.messageSlabChunkBytes, limits.messageSlabChunkBytes + 1, 30_000]
    const chunks: Buffer[][] = []
    const pairs = Array.from({ length: 6 }, (_, index) => {
      chunks[index] = []
      return pair(family, ring, {}, { message: (_socket, chunk) => void chunks[index].push(chunk) })
    })
    for (let round = 0; round < 30; round++) {
      for (const [index, [sender, receiver]] of pairs.entries()) {
        if (round % 3 === 0) receiver.pause()
        sender.send(Buffer.alloc(sizes[round % sizes.length], 0xa0 + index))
      }
      await until(() => pairs.every(([sender]) => sender.messagesQueued === 0), 'all to be sent')
      for (const [, receiver] of pairs) receiver.resume()
      await until(() => chunks.every(({ length }) => length === round + 1), 'all to arrive')
    }
    for (const [index, received] of chunks.entries()) {
      for (const memory of new Set(received.map(({ buffer }) => buffer))) {
        expect(new Uint8Array(memory).every((byte) => byte === 0 || byte === 0xa0 + index)).toBe(true)
      }
    }
  })

  it.each(['structuredClone', 'postMessage', 'resize'])('send what a chunk was that %s takes away', async (how) => {
    const ring = testRing()
    const chunks: Buffer[] = []
    const [sender] = pair(family, ring, {}, { message: (_socket, chunk) => void chunks.push(chunk) })
    const sizes = [1, 500, 20_000, 100_000]
    for (const [index, size] of sizes.entries()) {
      const memory = new (ArrayBuffer as new (size: number, options: object) => ArrayBuffer)(
        size,
        { maxByteLength: size },
      )
      new Uint8Array(memory).set(pattern(size, index))
      sender.send(new Uint8Array(memory))
      if (how === 'structuredClone') structuredClone(memory, { transfer: [memory] })
      else if (how === 'resize') (memory as ArrayBuffer & { resize(sizeBytes: number): void }).resize(0)
      else new MessageChannel().port1.postMessage(memory, [memory])
    }
    await until(() => chunks.length === sizes.length, 'the messages')
    for (const [index, size] of sizes.entries()) expect(chunks[index].equals(pattern(size, index))).toBe(true)
  })

  it('tell every message whose peer was killed, and others go on', async () => {
    const ring = testRing()
    let echoes = 0
    const ends: (string | undefined)[] = []
    const { program, socket } = await echoing(family, ring, {
      message: () => { echoes++ },
      close: (_socket, error) => void ends.push(error?.code),
    })
    socket.send('x')
    await until(() => echoes === 1, 'an echo')
    program.kill('SIGSTOP')
    const outcomes: (string | undefined)[] = []
    const count = 1000
    for (let index = 0; index < count; index++) {
      socket.send(Buffer.alloc(100), (error) => outcomes.push((error as NodeJS.ErrnoException | undefined)?.code))
    }
    await until(() => outcomes.length !== 0, 'the first to be taken')
    expect(socket.messagesQueued).toBeGreaterThan(0)
    program.kill()
    await until(() => outcomes.length === count, 'every callback')
    const codes = new Set(outcomes)
    expect(codes.has(undefined)).toBe(true)
    if (family === 'datagram') {
      expect(codes.has('ECONNREFUSED') || codes.has('ENOTCONN')).toBe(true)
      expect(socket.state).toBe('open')
      socket.close()
    }
    await until(() => ends.length === 1, 'the close')
    let beside = 0
    const [one] = pair(family, ring, {}, { message: () => { beside++ } })
    one.send('beside')
    await until(() => beside === 1, 'a message beside')
  })

  it('lose nothing to a peer that is stopped, and hold nobody else up', async () => {
    const ring = testRing()
    const back: Buffer[] = []
    const { program, socket } = await echoing(family, ring, { message: (_socket, chunk) => void back.push(chunk) })
    program.kill('SIGSTOP')
    const count = 2000
    for (let index = 0; index < count; index++) socket.send(pattern(index % 300, index))
    let beside = 0
    const [one] = pair(family, ring, {}, { message: () => { beside++ } })
    for (let index = 1; index <= 200; index++) {
      one.send('beside')
      await until(() => beside === index, 'a message beside a peer that stands still')
    }
    expect(socket.messagesQueued).toBeGreaterThan(0)
    program.kill('SIGCONT')
    await until(() => back.length === count, 'the echoes')
    expect(back.every((chunk, index) => chunk.equals(pattern(index % 300, index)))).toBe(true)
    socket.close()
  })

  it('past most of messageRequestsMax fail with ENOBUFS to who does not read, not to others, and recover', async () => {
    const ring = testRing()
    let arrived = 0
    const [sender, receiver] = pair(family, ring, {}, { message: () => { arrived++ } })
    receiver.pause()
    const outcomes: (NodeJS.ErrnoException | undefined)[] = []
    const accepted = limits.messageRequestsMax * (1 - limits.sendReserveFraction)
    const count = accepted + 100
    // Empty ones share no request.
    for (let index = 0; index < count; index++) sender.send('', (error) => outcomes.push(error))
    expect(ring.usage.messageRequests).toBe(accepted)
    let others = 0
    const [other, otherReceiver] = pair(family, ring, {}, { message: () => { others++ } })
    expect(await new Promise((resolve) => other.send('x', resolve))).toBeUndefined()
    await until(() => others === 1, 'what another has sent')
    other.close()
    otherReceiver.close()
    receiver.resume()
    await until(() => outcomes.length === count, 'every callback')
    const failed = outcomes.filter((error) => error !== undefined)
    expect(failed.map(({ code }) => code)).toEqual(Array.from({ length: 100 }, () => 'ENOBUFS'))
    sender.send('after')
    await until(() => arrived === accepted + 1, 'all that was accepted')
    sender.close()
    receiver.close()
    await untilIdle(ring)
  })

  it.each(smallHeaps)('%s %s: what is under way is not collected', async (...flags) => {
    const lines = await runProgram(`${prelude}
      import { createHash } from 'node:crypto'
      const { pattern } = await import('@sheaf/ring/testing')
      const ring = createRing()
      const hash = (chunk) => createHash('sha256').update(chunk).digest('hex')
      const collecting = setInterval(gc, 5)
      let wrong = 0
      await Promise.all(Array.from({ length: 10 }, (_, index) => new Promise((resolve) => {
        let left = 200
        let open = 2
        const sent = []
        const closed = () => { if (--open === 0) resolve() }
        // More than the other has room for: some wait in the queue.
        const burst = (socket) => {
          for (let count = 0; count < 20; count++) {
            const chunk = Buffer.from(pattern(--left % 8 === 0 ? 20_000 : 300, index * 1000 + left))
            sent.push(hash(chunk))
            socket.send(chunk)
          }
        }
        const [one, other] = ${family}.socketpair({ ring }, { close: closed }, {
          message(socket, chunk) {
            if (hash(chunk) !== sent.shift()) wrong++
            if (sent.length !== 0) return
            if (left !== 0) return burst(one)
            one.close()
            other.close()
          },
          close: closed,
        })
        burst(one)
      })))
      clearInterval(collecting)
      say(wrong, Object.values(ring.usage).join())
      ring.close()
    `, { flags })
    expect(lines.join()).toMatch(/^0 0(,0)+$/)
  }, 60_000)

  it('more completions than their queue has room for are told all the same', async () => {
    const ring = testRing({ submissionEntries: 8, completionEntries: 16 })
    let received = 0
    let told = 0
    const pairs = Array.from({ length: 40 }, () => pair(family, ring, {}, { message: () => received++ }))
    for (let round = 0; round < 10; round++) {
      for (const [one] of pairs) one.send(Buffer.alloc(20 + round), (error) => { if (!error) told++ })
    }
    await until(() => told === 400 && received === 400, 'all to be told')
    expect(ring.metrics.completionOverflows).toBeGreaterThan(0)
    for (const sockets of pairs) for (const socket of sockets) socket.close()
    await untilIdle(ring)
  })

  it('without address space (RLIMIT_AS) fail with ENOMEM, leak nothing, and later ones work', async () => {
    const [outcome] = await runProgram(`${prelude}
      const ring = createRing()
      const before = open()
      const limit = (bytes) => execFileSync('prlimit', ['--pid', String(process.pid), '--as=' + bytes + ':unlimited'])
      const mapped = Number(/VmSize:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))[1]) * 1024
      const make = async () => ${family}.socketpair({ ring }, {})
      // The receive buffers of Unix messages are 54 MB.
      limit(mapped + 8_000_000)
      const told = [await code(make())]
      limit('unlimited')
      const left = open() - before
      told.push(await code(make()))
      say(JSON.stringify({ told, left }))
      ring.close()
    `)
    expect(JSON.parse(outcome)).toEqual({ told: ['ENOMEM', 'done'], left: 0 })
  })

  it('out of descriptors fail with EMFILE, leak none, and work when there are some', async () => {
    const connects = family === 'datagram'
      ? 'datagram.connect({ path: given, ring }, {})'
      : 'seqpacket.connect({ path: given, ring }, {})'
    const [outcome] = await runProgram(`${prelude}
      const ring = createRing()
      ${family === 'datagram' ? 'await datagram.bind' : 'await seqpacket.listen'}({ path: given, ring }, {})
      const before = open()
      const taken = []
      try { for (;;) taken.push(openSync('/dev/null')) } catch {}
      const told = [await code(${connects})]
      const pair = async () => ${family}.socketpair({ ring }, {})
      told.push(await code(pair()))
      for (const fd of taken) closeSync(fd)
      const left = open() - before
      told.push(await code(pair()))
      say(JSON.stringify({ told, left }))
      ring.close()
    `, { given: join(directory(), 's'), through: fewDescriptors })
    expect(JSON.parse(outcome)).toEqual({ told: ['EMFILE', 'EMFILE', 'done'], left: 0 })
  })
})

it('a datagram waits for room without a descriptor to be told of it by, and arrives', async () => {
  const [outcome] = await runProgram(`${prelude}
    const ring = createRing()
    let arrived = 0
    const target = await datagram.bind({ path: given, ring }, { message() { arrived++ } })
    const socket = datagram.open({ ring }, {})
    target.pause()
    await new Promise((resolve) => setTimeout(resolve, 10))
    const taken = []
    try { for (;;) taken.push(openSync('/dev/null')) } catch {}
    for (let index = 0; index < 1000; index++) socket.send('x', { path: given })
    await until(() => socket.messagesWritten > 0, 'the first to be taken')
    const held = socket.messagesQueued > 0
    target.resume()
    await until(() => arrived === 1000, 'all of them')
    say(JSON.stringify({ held, arrived }))
    ring.close()
  `, { given: join(directory(), 's'), through: fewDescriptors })
  expect(JSON.parse(outcome)).toEqual({ held: true, arrived: 1000 })
})

it('both kinds are told what came together, though somebody else sends meanwhile', async () => {
  const ring = testRing()
  const told: string[] = []
  const note = (kind: string) => ({
    message: (_socket: unknown, chunk: Buffer) => void told.push(`${kind} ${chunk.toString()}`),
  })
  const path = join(directory(), 's')
  await datagram.bind({ path, ring }, note('datagram'))
  const sender = datagram.open({ ring }, {})
  const [one] = seqpacket.socketpair({ ring }, {}, note('seqpacket'))
  for (let round = 1; round <= 3; round++) {
    one.send(String(round))
    one.flush()
    sender.send(String(round), { path })
    sender.flush()
    // As a UDP socket that changes its peer does, or a stream that is written to beyond what it has room for.
    ring.reap()
    await until(() => told.length === 2 * round, 'both')
  }
  expect(told.sort()).toEqual([1, 2, 3].map((round) => `datagram ${round}`)
    .concat([1, 2, 3].map((round) => `seqpacket ${round}`)))
})

it('a seqpacket socket that waits to be connected goes on waiting when its process was stopped', async () => {
  const program = new Program(`${prelude}
    const ring = createRing()
    const { sockets } = ring
    const listening = sockets.socket(1, 5, 0)
    sockets.bind(listening, Buffer.concat([Buffer.from([1, 0]), Buffer.from(given), Buffer.from([0])]))
    sockets.listen(listening, 0)
    const told = []
    // One of them finds room.
    for (let index = 0; index < 4; index++) {
      code(seqpacket.connect({ path: given, ring }, {})).then((how) => told.push(how))
    }
    await until(() => told.length === 1, 'the first')
    const stopped = new Promise((resolve) => process.once('SIGCONT', () => setTimeout(resolve, 100)))
    say('waiting')
    await stopped
    say(told.join())
    process.exit()
  `, { given: join(directory(), 's') })
  onTestFinished(() => program.kill())
  expect(await program.line()).toBe('waiting')
  program.kill('SIGSTOP')
  await sleep(50)
  program.kill('SIGCONT')
  expect(await program.line()).toBe('done')
})

it('a connection that is accepted and can\'t be made is closed, and its listener told', async () => {
  const ring = testRing()
  const errors: unknown[] = []
  const path = join(directory(), 's')
  const listener = await seqpacket.listen({ path, ring }, { acceptError: (error) => void errors.push(error) })
  onTestFinished(() => listener.close())
  const noMemory = new Error('no memory')
  Object.defineProperty(ring, 'localMessages', { get: () => { throw noMemory } })
  let closed = false
  await seqpacket.connect({ path, ring: testRing() }, { close: () => { closed = true } })
  await until(() => closed, 'the close')
  expect(errors).toEqual([noMemory])
  expect(listener.connections).toBe(0)
})

it('without memory for what comes along, connecting is refused, and accepting; no descriptor stays open', async () => {
  const [accepting, connecting, plain] = [testRing(), testRing(), testRing()]
  const errors: unknown[] = []
  const path = join(directory(), 's')
  const noMemory = new Error('no memory')
  for (const ring of [accepting, connecting]) {
    Object.defineProperty(ring, 'localMessages', { get: () => { throw noMemory } })
  }
  const details = { receiveDescriptors: true }
  const acceptError = (error: unknown): void => void errors.push(error)
  const streams = await listen({ path, ring: accepting, ...details }, { acceptError })
  onTestFinished(() => streams.close())
  let closed = false
  await connect({ path, ring: plain }, { close: () => { closed = true } })
  await until(() => closed, 'the close')
  expect(errors).toEqual([noMemory])
  const before = openDescriptors()
  await expect(connect({ path, ring: connecting, ...details }, {})).rejects.toBe(noMemory)
  await expect(seqpacket.connect({ path, ring: connecting }, {})).rejects.toBe(noMemory)
  expect(openDescriptors()).toBe(before)
})
