import { setImmediate as turn } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { limits } from '../src/limits'
import { Backlog } from '../src/stream/backlog'
import { Fifo } from '../src/stream/fifo'
import { WriteCallbacks } from '../src/stream/write-callbacks'

/** Of what the weak references are to, how many are there after what nobody holds has gone. */
async function held(references: readonly WeakRef<object>[]): Promise<number> {
  expect(globalThis.gc).toBeDefined()
  // A reference that has been made or read holds what it is to until the turn is over.
  await turn()
  globalThis.gc?.()
  return references.filter((reference) => reference.deref() !== undefined).length
}

it('a queue hands out what it was given in order, whenever places are cut off', () => {
  const queue = new Fifo<{ value: number }>()
  let pushed = 0
  let taken = 0
  for (let round = 0; round < 5000; round++) {
    const left = queue.length
    for (let count = 0; count < round % 7; count++) queue.push({ value: pushed++ })
    expect(queue.at(left)?.value).toBe(round % 7 === 0 ? undefined : pushed - (round % 7))
    for (let count = 0; count < round % 6 && queue.length !== 0; count++) expect(queue.shift()?.value).toBe(taken++)
    expect(queue.length).toBe(pushed - taken)
  }
  expect([...queue].map(({ value }) => value)).toEqual(Array.from({ length: queue.length }, (_, at) => taken + at))
  while (queue.length !== 0) expect(queue.shift()?.value).toBe(taken++)
  expect([queue.shift(), queue.at(0), taken]).toEqual([undefined, undefined, pushed])
})

it('callbacks are let go of when they have been taken, while others wait', async () => {
  const callbacks = new WriteCallbacks()
  const references: WeakRef<object>[] = []
  for (let position = 0; position < 10_000; position++) {
    const callback = (): number => position
    references.push(new WeakRef(callback))
    callbacks.add(position, callback)
    if (position > 0) callbacks.takeUpTo(position - 1)
  }
  expect(await held(references)).toBe(1)
  expect(callbacks.takeUpTo(Infinity)).toBeTypeOf('function')
})

it('chunks are let go of when they have been sent, while others wait', async () => {
  const backlog = new Backlog()
  const chunkBytes = limits.copyAtOnceBytes + 1
  const references: WeakRef<object>[] = []
  for (let count = 0; count < 200; count++) {
    const chunk = new Uint8Array(chunkBytes)
    references.push(new WeakRef(chunk))
    backlog.add(chunk)
    if (count > 0) backlog.skip(chunkBytes)
  }
  expect(await held(references)).toBe(1)
  expect(backlog.sizeBytes).toBe(chunkBytes)
})
