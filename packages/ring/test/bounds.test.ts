import { expect, it } from 'vitest'
import { limits, type Ring } from '../src/index'
import { GroupPool } from '../src/memory/group-pool'
import { localMessages, MessageShare } from '../src/message/share'
import { SendMemory } from '../src/memory/send-memory'
import type { Scheduled } from '../src/turn'
import { Kernel, watchRegions } from './kernel'

it('send memory ends at sendRegionsMax; who waits for it is told of each block that comes back, in order', () => {
  const told: Scheduled[] = []
  const memory = new SendMemory(new Kernel().native, (waiter) => told.push(waiter))
  const holder = { blocks: 0 }
  const blocks = Array.from({ length: limits.sendRegionsMax * limits.sendBlocksPerRegion }, () => {
    const block = memory.acquire(holder)
    if (block === undefined) throw new Error('less than the bound')
    return block
  })
  expect(memory.acquire(holder)).toBeUndefined()
  const waiters = [1, 2, 3].map(() => ({ scheduled: false, advance: () => undefined }))
  for (const waiter of waiters) expect(memory.wait(waiter)).toBe(true)
  memory.leave(waiters[1])
  memory.release(blocks[0])
  expect(told).toEqual([waiters[0]])
  expect(memory.acquire(holder)).toBe(blocks[0])
  for (const block of blocks) memory.release(block)
  expect(told).toEqual([waiters[0], waiters[2]])
  expect(memory.used).toBe(0)
  expect(memory.wait(waiters[0])).toBe(false)
})

it('groups end at groupsMax, and one that is given back is leased again', () => {
  const { native, metrics } = new Kernel()
  const owners = { pool: undefined as never, sendMemory: undefined as never }
  const groups = new GroupPool(native, owners, metrics, 'sendmsg', 2)
  const leased = Array.from({ length: limits.groupsMax }, () => groups.lease())
  expect(leased.every((group) => group !== undefined)).toBe(true)
  expect(groups.lease()).toBeUndefined()
  const [first] = leased
  if (first !== undefined) groups.give(first)
  expect(groups.lease()).toBe(first)
})

it('a group that the kernel refuses takes memory once, however often it is asked for; later it is had', () => {
  const { native, metrics } = new Kernel()
  const regions = watchRegions(native)
  const register = native.registerBufferRing.bind(native)
  const owners = { pool: undefined as never, sendMemory: undefined as never }
  const groups = new GroupPool(native, owners, metrics, 'bundle', 2)
  native.registerBufferRing = () => -12
  for (let time = 0; time < 10; time++) expect(groups.lease()).toBeUndefined()
  expect([regions.length, groups.leased]).toEqual([1, 0])
  native.registerBufferRing = register
  expect(groups.lease()).toBeDefined()
  expect([regions.length, groups.leased]).toEqual([1, 1])
})

it('buffers for messages that the kernel refuses take memory once, however often they are asked for', () => {
  const { native, metrics } = new Kernel()
  const regions = watchRegions(native)
  const register = native.registerBufferRing.bind(native)
  const share = new MessageShare(native, { metrics } as unknown as Ring, localMessages)
  const made = regions.length
  native.registerBufferRing = () => -12
  for (let time = 0; time < 10; time++) expect(() => share.open()).toThrow(/locked memory/)
  let registered = 0
  native.registerBufferRing = (...group) => {
    registered++
    return register(...group)
  }
  for (let time = 0; time < 10; time++) expect(share.open()).toBe(share)
  expect([regions.length, registered]).toEqual([made, 1])
})
