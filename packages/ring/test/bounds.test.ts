import { expect, it } from 'vitest'
import { limits, type Ring } from '../src/index'
import { GroupPool } from '../src/memory/group-pool'
import { localMessages, MessageShare } from '../src/message/share'
import { type SendBlock, SendMemory } from '../src/memory/send-memory'
import { Kernel, watchRegions } from './kernel'

it('send memory ends at its bound, and who has some of it leaves a quarter to those who have none', () => {
  const blocksMax = 2 * limits.sendBlocksPerRegion + 8
  const memory = new SendMemory(new Kernel().native, {
    blockBytes: limits.sendBlockBytes, blocksPerRegion: limits.sendBlocksPerRegion, blocksMax,
  })
  const blocks: SendBlock[] = []
  const acquire = (holder = { blocks: 0 }): boolean => {
    const block = memory.acquire(holder)
    if (block !== undefined) blocks.push(block)
    return block !== undefined
  }
  const first = { blocks: 0 }
  while (acquire(first));
  expect([first.blocks, memory.used]).toEqual([blocksMax * 3 / 4, blocksMax * 3 / 4])
  while (acquire());
  expect(memory.used).toBe(blocksMax)
  const ends = blocks.map(({ address }) => address).sort((one, other) => one - other)
  expect(ends.every((address, at) => at === 0 || address - ends[at - 1] >= limits.sendBlockBytes)).toBe(true)
  const { scratch } = memory
  expect(scratch?.bytes.byteLength).toBe(limits.sendBlockBytes)
  expect([memory.scratch === scratch, blocks.includes(scratch as SendBlock)]).toEqual([true, false])
  memory.release(blocks[0])
  expect([acquire(first), acquire()]).toEqual([false, true])
  for (const block of blocks.slice(1)) memory.release(block)
  expect([memory.used, first.blocks]).toEqual([0, 0])
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
  const share = new MessageShare(native, { metrics } as unknown as Ring, undefined as never, localMessages)
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
