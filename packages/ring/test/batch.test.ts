import { expect, it } from 'vitest'
import type { ReceivePool } from '../src/memory/receive-pool'
import { ReceivedBatch } from '../src/message/batch'

/** What a turn brings of coalesced datagrams when much is under way. */
const datagrams = 600
const turns = 50
/** An object of any kind takes more. */
const objectBytes = 12

it('a batch takes any number of datagrams, and hands them over in place, without allocating for them', () => {
  const memory = Buffer.alloc(64)
  const from = Object.freeze({ address: '127.0.0.1', family: 'IPv4', port: 1 } as const)
  const pool = { memory, recycle: () => undefined } as unknown as ReceivePool
  const batch = new ReceivedBatch<typeof from>()
  let read = 0
  const turn = (): void => {
    for (let index = 0; index < datagrams; index++) batch.add(memory, index & 31, 32, from, undefined)
    batch.hold(0)
    for (let index = 0; index < batch.count; index++) {
      read = (read + batch.memory(index)[batch.offset(index)] + batch.lengthBytes(index) + batch.from(index).port) & 255
    }
    batch.clear(pool)
  }
  const grown: number[] = []
  for (let round = 0; round < 40; round++) {
    const before = process.memoryUsage().heapUsed
    for (let count = 0; count < turns; count++) turn()
    grown.push(process.memoryUsage().heapUsed - before)
  }
  // The first are those of the compiler; one in which memory was collected says nothing.
  const last = grown.slice(20).filter((bytes) => bytes >= 0).sort((a, b) => a - b)
  expect(last.length).toBeGreaterThan(0)
  expect(last[last.length >> 1] / (turns * datagrams)).toBeLessThan(objectBytes)
  expect(read).toBeGreaterThanOrEqual(0)
})
