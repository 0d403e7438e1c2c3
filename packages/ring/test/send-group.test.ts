import { readSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { limits } from '../src/limits'
import { BufferRing } from '../src/memory/buffer-ring'
import { BundleGroup, SingleBufferGroup } from '../src/memory/bundle-group'
import { ReceivePool } from '../src/memory/receive-pool'
import type { SendGroup } from '../src/memory/send-group'
import { type SendBlock, SendMemory } from '../src/memory/send-memory'
import { VectorGroup, vectorGroupBytes } from '../src/memory/vector-group'
import { Kernel, socketPair } from './kernel'

const entries = 8
/** Above the limit of open files. */
const noDescriptor = 2 ** 30

interface Made {
  readonly kernel: Kernel
  readonly pool: ReceivePool
  readonly sendMemory: SendMemory
  readonly group: SendGroup
}

function make(kind: 'bundle' | 'single' | 'sendmsg'): Made {
  const kernel = new Kernel()
  const pool = new ReceivePool(kernel.native, kernel.metrics, {
    bufferBytes: 4, buffers: 16, buffersMax: 16, reserveFraction: 0,
  }).open()
  Buffer.from(pool.memory.buffer).write('aaaabbbbccccddddeeeeffffgggghhhh')
  const sendMemory = new SendMemory(kernel.native, {
    blockBytes: limits.sendBlockBytes, blocksPerRegion: 4, blocksMax: 16,
  })
  const owners = { pool, sendMemory }
  if (kind === 'sendmsg') {
    const region = kernel.native.createRegion(vectorGroupBytes)
    if (typeof region === 'number') throw new Error('no memory')
    return { kernel, pool, sendMemory, group: new VectorGroup(region, entries, owners) }
  }
  const ring = new BufferRing(kernel.native, 1, entries)
  const Group = kind === 'bundle' ? BundleGroup : SingleBufferGroup
  const group = new Group(ring, owners, kernel.metrics)
  expect(group.prepare()).toBe(0)
  return { kernel, pool, sendMemory, group }
}

/** Submits, and takes in every completion, until nothing is in flight. */
function send({ kernel, group }: Made, fd: number): void {
  group.submit(kernel.submissions, kernel.slot, fd)
  while (group.inFlight) {
    kernel.seen.length = 0
    kernel.enter(1)
    for (const { result, flags } of kernel.seen) {
      if (result > 0) group.sent(result)
      if ((flags & 2) === 0) group.requestEnded()
    }
  }
}

function receive(fd: number): string {
  const buffer = Buffer.alloc(200)
  return buffer.toString('latin1', 0, readSync(fd, buffer, 0, buffer.byteLength, null))
}

/** Submits to a descriptor that is none, so that the requests end and nothing is sent. */
function sendNowhere({ kernel, group }: Made): void {
  group.submit(kernel.submissions, kernel.slot, noDescriptor)
  kernel.enter(1)
}

describe.each(['bundle', 'single', 'sendmsg'] as const)('a group sent by %s', (kind) => {
  it('sends received buffers, runs of them and parts of blocks in order, and gives all of it back', () => {
    const made = make(kind)
    const { pool, sendMemory, group } = made
    const [from, to] = socketPair()
    const holder = { blocks: 0 }
    const block = sendMemory.acquire(holder)
    if (block === undefined) throw new Error('no block')
    block.bytes.write('12345')
    pool.takeRun(4, 0)
    group.pushRun(pool.address(0), 4, 0, 1)
    group.pushBlock(block, 0, 5)
    pool.takeRun(11, 0)
    group.pushRun(pool.address(4), 11, 1, 3)
    group.pushReceived(7, 8)
    sendMemory.release(block)
    expect(holder.blocks).toBe(1)
    expect(pool.held).toBe(6)
    send(made, from)
    expect(receive(to)).toBe('aaaa12345bbbbccccdddeeeefff')
    expect(group.spans).toBe(0)
    expect(pool.held).toBe(0)
    expect(holder.blocks).toBe(0)
    expect(sendMemory.used).toBe(0)
  })

  it('goes round its ring many times', () => {
    const made = make(kind)
    const { pool, group } = made
    const [from, to] = socketPair()
    for (let round = 0; round < 50; round++) {
      const count = 1 + round % entries
      group.pushReceived(count * 4 - 1, count)
      pool.publish()
      send(made, from)
      expect(receive(to).length).toBe(count * 4 - 1)
      pool.publish()
    }
    expect(pool.held).toBe(0)
  })

  it('gives a block back when its span has been sent, though it is never empty', () => {
    const { sendMemory, group } = make(kind)
    const unsent: SendBlock[] = []
    for (let pushed = 0; pushed < 10 * entries; pushed++) {
      const block = sendMemory.acquire({ blocks: 0 })
      if (block === undefined) throw new Error('no block')
      group.pushBlock(block, 0, 4)
      sendMemory.release(block)
      unsent.push(block)
      if (unsent.length <= 3) continue
      group.sent(4)
      expect(unsent.shift()?.references).toBe(0)
      expect(sendMemory.used).toBe(3)
    }
    group.abandon()
    expect(sendMemory.used).toBe(0)
  })

  it('what a short send left is sent next, from the byte where it ended', () => {
    const made = make(kind)
    const { pool, group } = made
    const [from, to] = socketPair()
    group.pushReceived(16, 4)
    sendNowhere(made)
    // As if 6 bytes had been sent before the requests ended.
    group.sent(6)
    expect(group.spans).toBe(3)
    let short = false
    while (group.inFlight) short = group.requestEnded() || short
    expect(short).toBe(true)
    send(made, from)
    expect(receive(to)).toBe('bbccccdddd')
    expect(pool.held).toBe(0)
  })

  it('abandoned with spans that the kernel has been shown, it is as good as new', () => {
    const made = make(kind)
    const { pool, sendMemory, group } = made
    const [from, to] = socketPair()
    const block = sendMemory.acquire({ blocks: 0 })
    if (block === undefined) throw new Error('no block')
    group.pushReceived(16, 4)
    group.pushBlock(block, 0, 5)
    sendMemory.release(block)
    sendNowhere(made)
    group.abandon()
    expect(group.spans).toBe(0)
    expect(group.room).toBe(entries)
    expect(pool.held).toBe(0)
    expect(sendMemory.used).toBe(0)
    pool.publish()
    pool.skip(12 * 4)
    group.pushReceived(4, 1)
    send(made, from)
    expect(receive(to)).toBe('aaaa')
  })
})

it('a bundle that the kernel refuses to have again gives everything back, and is had again when it may be', () => {
  const made = make('bundle')
  const { kernel, pool, group } = made
  const [from, to] = socketPair()
  const register = kernel.native.registerBufferRing.bind(kernel.native)
  kernel.native.registerBufferRing = () => -12
  group.pushReceived(12, 3)
  group.submit(kernel.submissions, kernel.slot, noDescriptor)
  kernel.enter(1)
  expect(() => group.requestEnded()).toThrow(expect.objectContaining({ code: 'ENOMEM' }))
  expect(group.spans).toBe(3)
  group.abandon()
  expect([group.spans, group.prepare(), pool.held]).toEqual([0, -12, 0])
  kernel.native.registerBufferRing = register
  expect(group.prepare()).toBe(0)
  pool.publish()
  group.pushReceived(4, 1)
  send(made, from)
  expect(receive(to)).toBe('dddd')
})
