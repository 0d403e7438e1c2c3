import { expect, it } from 'vitest'
import { bufferEntryBytes } from '../src/abi'
import { EntryRing } from '../src/memory/entry-ring'
import { ReceivePool } from '../src/memory/receive-pool'
import { Kernel, watchRegions } from './kernel'

const bufferBytes = 64

function pool(buffers: number, buffersMax = buffers): { made: ReceivePool, words: Uint32Array, kernel: Kernel } {
  const kernel = new Kernel()
  const regions = watchRegions(kernel.native)
  const made = new ReceivePool(kernel.native, kernel.metrics, {
    bufferBytes, buffers, buffersMax, reserveFraction: 0.25,
  }).open()
  // The second region is the ring's: what the kernel reads, and writes.
  return { made, words: new Uint32Array(regions[1].buffer), kernel }
}

/** As if the kernel had filled the pool's memory. */
function fill(made: ReceivePool): void {
  made.memory.forEach((_value, index) => {
    made.memory[index] = index & 255
  })
}

it('neighbouring buffers are one run, to the end of the bytes', () => {
  const { made } = pool(8)
  expect(made.takeRun(bufferBytes * 2 + 5, 0)).toEqual({ offset: 0, lengthBytes: 133, first: 0, count: 3 })
  expect(made.takeRun(10, 0)).toEqual({ offset: 3 * bufferBytes, lengthBytes: 10, first: 3, count: 1 })
  expect(made.held).toBe(4)
  expect(made.available).toBe(4)
})

it('a run ends where the next buffer is no neighbour, and at the count it may have', () => {
  const { made } = pool(4)
  made.takeRun(bufferBytes * 3, 0)
  made.recycle(2, 1)
  made.recycle(0, 2)
  made.publish()
  expect(made.takeRun(bufferBytes * 4, 0)).toMatchObject({ first: 3, count: 1 })
  expect(made.takeRun(bufferBytes * 3, 0)).toMatchObject({ first: 2, count: 1 })
  expect(made.takeRun(bufferBytes * 2, 0, 1)).toMatchObject({ first: 0, count: 1, lengthBytes: bufferBytes })
})

it('a buffer that the kernel has shortened in its entry ends its run, and nothing is read past its bytes', () => {
  const { made, words } = pool(4)
  fill(made)
  // A bundled receive that expected 10 bytes and got a reset leaves this behind (io_ring_buffers_peek).
  words[0 * 4 + 2] = 10
  const target = new Uint8Array(10 + bufferBytes)
  made.copyOut(target, 0)
  const expected = [...made.memory.subarray(0, 10), ...made.memory.subarray(bufferBytes, 2 * bufferBytes)]
  expect([...target]).toEqual(expected)
})

it('a recycled buffer has its whole length again', () => {
  const { made, words } = pool(2)
  words[2] = 10
  made.skip(10)
  made.skip(bufferBytes)
  made.publish()
  expect(made.takeRun(1000, 0)).toMatchObject({ lengthBytes: 2 * bufferBytes, count: 2 })
})

it('entries move to a send group with their lengths, the last one cut to its bytes', () => {
  const { made, words } = pool(8)
  words[1 * 4 + 2] = 20
  const target = new EntryRing(8, new ArrayBuffer(8 * bufferEntryBytes))
  expect(made.moveTo(target, bufferBytes + 20 + 7, 8)).toBe(bufferBytes + 27)
  expect([0, 1, 2].map((position) => target.lengthBytes(position))).toEqual([bufferBytes, 20, 7])
  expect([0, 1, 2].map((position) => target.id(position))).toEqual([0, 1, 2])
  expect(made.moveTo(target, bufferBytes * 5, 2)).toBe(bufferBytes * 2)
  expect(made.held).toBe(5)
})

it('moving entries goes on across the wrap of both rings', () => {
  const { made } = pool(8)
  made.skip(bufferBytes * 6)
  made.publish()
  const target = new EntryRing(4, new ArrayBuffer(4 * bufferEntryBytes))
  target.tail = 3
  made.moveTo(target, bufferBytes * 4, 4)
  expect([3, 4, 5, 6].map((position) => target.id(position))).toEqual([6, 7, 0, 1])
})

it('payload behind a header is copied without it', () => {
  const { made } = pool(4)
  fill(made)
  const target = new Uint8Array(bufferBytes - 16)
  made.copyOut(target, 16)
  expect([...target]).toEqual([...made.memory.subarray(16, bufferBytes)])
})

it('grows by doubling up to its bound, and only then leaves a reserve to others', () => {
  const { made, kernel } = pool(2, 5)
  expect(made.reserve).toBe(0)
  expect(made.allowance).toBe(2)
  expect([made.grow(), made.grow(), made.grow()]).toEqual([true, true, false])
  expect(made.buffers).toBe(5)
  expect(made.reserve).toBe(2)
  made.publish()
  expect(made.available).toBe(5)
  expect(kernel.metrics.poolGrowths).toBe(2)
  expect(made.takeRun(bufferBytes * 5, 0).count).toBe(5)
  expect(made.allowance).toBe(-2)
})

it('a completion that names another buffer than the next is a broken invariant', () => {
  const { made } = pool(4)
  made.expect(0)
  expect(() => made.expect(1)).toThrow(expect.objectContaining({ code: 'ERR_SHEAF_INVARIANT' }))
})

it('a buffer named by a completion without bytes is the next one\'s, if later completions have moved the head', () => {
  const { made, kernel } = pool(4)
  const head = { value: 0 }
  kernel.native.bufferRingHead = () => head.value
  // The kernel has taken two buffers for completions behind the one that names buffer 0 and does not use it.
  head.value = 2
  made.reconcile(0)
  made.expect(0)
  made.skip(2 * bufferBytes)
  expect(made.available).toBe(2)
  // The same, but buffer 2 was used up.
  head.value = 4
  made.reconcile(2)
  made.expect(3)
  made.skip(bufferBytes)
  expect(made.available).toBe(0)
  expect(made.held).toBe(0)
})

it('the last buffer, named by a completion without bytes and used up, is missed when there is none', () => {
  const { made, kernel } = pool(1)
  kernel.native.bufferRingHead = () => 1
  made.reconcile(0)
  expect(made.available).toBe(1)
  made.exhausted()
  expect(made.available).toBe(0)
  expect(made.held).toBe(0)
})
