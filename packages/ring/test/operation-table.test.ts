import { expect, it } from 'vitest'
import { CompletionFlag } from '../src/abi'
import { Metrics } from '../src/metrics'
import { Operation, OperationTable } from '../src/queue/operation-table'

function table(): { operations: OperationTable, metrics: Metrics } {
  const metrics = new Metrics()
  return { operations: new OperationTable(metrics), metrics }
}

it('a completion reaches the owner of its slot, with its operation', () => {
  const { operations } = table()
  const seen: unknown[] = []
  const owner = (name: string) => ({
    complete: (operation: Operation, result: number, flags: number) => seen.push([name, operation, result, flags]),
  })
  const a = operations.allocate(owner('a'))
  const b = operations.allocate(owner('b'))
  const low = operations.begin(b, Operation.Send)
  operations.begin(a, Operation.Receive)
  operations.complete(low, operations.userDataHigh(b, Operation.Send), -5, 0)
  expect(seen).toEqual([['b', Operation.Send, -5, 0]])
  expect(operations.outstanding(a)).toBe(1)
  expect(operations.outstanding(b)).toBe(0)
})

it('a completion with more to come leaves its request outstanding', () => {
  const { operations } = table()
  const slot = operations.allocate({ complete: () => undefined })
  const low = operations.begin(slot, Operation.Receive)
  const high = operations.userDataHigh(slot, Operation.Receive)
  operations.complete(low, high, 1, CompletionFlag.More)
  expect(operations.outstanding(slot)).toBe(1)
  operations.complete(low, high, 1, 0)
  expect(operations.outstanding(slot)).toBe(0)
})

it('a completion that comes after its slot was given on never reaches the next owner', () => {
  const { operations, metrics } = table()
  let reached = 0
  const first = operations.allocate({ complete: () => reached++ })
  const low = operations.begin(first, Operation.Receive)
  const high = operations.userDataHigh(first, Operation.Receive)
  operations.complete(low, high, 0, 0)
  operations.release(first)
  const second = operations.allocate({ complete: () => reached++ })
  expect(second).toBe(first)
  operations.complete(low, high, 0, 0)
  expect(reached).toBe(1)
  expect(metrics.staleCompletions).toBe(1)
})

it('a slot with a request in the kernel can not be released, and no request completes twice', () => {
  const { operations } = table()
  const slot = operations.allocate({ complete: () => undefined })
  const low = operations.begin(slot, Operation.Send)
  const high = operations.userDataHigh(slot, Operation.Send)
  expect(() => operations.release(slot)).toThrow(expect.objectContaining({ code: 'ERR_SHEAF_INVARIANT' }))
  operations.complete(low, high, 0, 0)
  expect(() => operations.complete(low, high, 0, 0)).toThrow(expect.objectContaining({ code: 'ERR_SHEAF_INVARIANT' }))
})

it('grows, reuses slots, and marks the requests whose result is a descriptor', () => {
  const { operations } = table()
  const slots = Array.from({ length: 1000 }, () => operations.allocate({ complete: () => undefined }))
  expect(new Set(slots).size).toBe(1000)
  for (const slot of slots) operations.release(slot)
  expect(operations.size).toBe(0)
  expect(operations.allocate({ complete: () => undefined })).toBeLessThan(1000)
  expect(operations.userDataHigh(5, Operation.Accept)).toBe(0x80000001)
  expect(operations.userDataHigh(5, Operation.Send)).toBe(1)
})
