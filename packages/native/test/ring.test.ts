import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fixture, report, runFixture, runModule } from './child-process.js'
import {
  asyncFlag, getEvents, linkFlag, Opcode, openRegion, openRing, Queue, Setup, socketPair, usualFlags,
} from './fixtures/queue.mjs'
import { namedPipe } from './named-pipe.js'
import { collect, openFds } from './resources.js'
import { theBinding } from './the-binding.js'

const binding = theBinding()
const { EACCES, ECANCELED, EBADF, EEXIST, EFAULT, EINVAL, ENOENT, ETIME, EINTR } = constants.errno
/** An interrupted splice lets the kernel's inner `-ERESTARTSYS` through (6.18). */
const restartSystemCall = -512

describe('setting up a ring', () => {
  it('has the sizes and flags that were asked for', () => {
    const ring = openRing(binding, { submissionEntries: 32, completionEntries: 128 })
    expect(ring).toMatchObject({ submissionEntries: 32, completionEntries: 128 })
    expect(ring.setupFlags).toBe(usualFlags | Setup.cqSize)
    expect(ring.submissions.byteLength).toBe(32 * 64)
    expect(ring.rings.byteLength).toBeGreaterThanOrEqual(ring.offsets.completions + 128 * 16)
    expect(ring.wanted.byteLength).toBe(10 * 4)
    ring.close()
  })

  it('keeps the flags that do not depend on a missing one', () => {
    const { deferTaskrun, taskrunFlag, noSqArray, submitAll } = Setup
    const ring = openRing(binding, { optionalFlags: deferTaskrun | taskrunFlag | noSqArray | submitAll })
    // Without SINGLE_ISSUER the kernel refuses DEFER_TASKRUN, and without that TASKRUN_FLAG.
    expect(ring.setupFlags).toBe(noSqArray | submitAll | Setup.cqSize)
    ring.close()
  })

  it('keeps what the largest ring needs', () => {
    const ring = openRing(binding, { submissionEntries: 32768, completionEntries: 65536 })
    expect(ring.completionEntries).toBe(65536)
    ring.close()
  })
})

describe('a restricted ring', () => {
  const restrictions = { opcodes: Uint8Array.of(Opcode.nop, Opcode.recv), entryFlags: asyncFlag }

  it('refuses every other opcode and flag, and does what it may', () => {
    const ring = openRing(binding, { restrictions })
    expect(ring).toMatchObject({ restrictionsError: 0, setupFlags: usualFlags | Setup.cqSize })
    const queue = new Queue(ring)
    const opcodes = binding.probe().opcodes.length
    for (let opcode = 0; opcode < opcodes; opcode++) {
      if (opcode !== Opcode.recv) queue.push({ opcode, userData: opcode })
      if (queue.unsubmitted === 32) ring.enter(0, getEvents)
    }
    queue.push({ opcode: Opcode.nop, userData: 1000, flags: asyncFlag })
    queue.push({ opcode: Opcode.nop, userData: 1001, flags: linkFlag })
    ring.enter(opcodes - 1 + 2, getEvents)
    const results = new Map(queue.reap().map(({ userData, result }) => [userData, result]))
    expect(results.get(Opcode.nop)).toBe(0)
    expect(results.get(1000)).toBe(0)
    expect(results.get(1001)).toBe(-EACCES)
    expect(results.get(Opcode.openAt)).toBe(-EACCES)
    const others = [...results].filter(([opcode]) => opcode !== Opcode.nop && opcode < 1000)
    expect(others).toHaveLength(opcodes - 2)
    expect(others.every(([, result]) => result === -EACCES)).toBe(true)
    ring.close()
  })

  it('registers buffer rings, cancels and closes like another', () => {
    const ring = openRing(binding, { restrictions })
    const region = openRegion(ring)
    const [one, other] = socketPair(binding)
    expect(ring.registerBufferRing(region.address, 8, 1, 0)).toBe(0)
    expect(ring.bufferRingHead(1)).toBe(0)
    const queue = new Queue(ring)
    queue.push({ opcode: Opcode.recv, userData: 1, fd: one, address: region.address, length: 1 })
    ring.enter(0, 0)
    expect(ring.cancelAll(1000)).toBe(0)
    ring.enter(0, getEvents)
    expect(queue.reap()).toEqual([{ userData: 1, result: -ECANCELED }])
    expect(ring.unregisterBufferRing(1)).toBe(0)
    ring.close()
    for (const fd of [one, other]) binding.sockets.close(fd)
  })

  it('may be allowed nothing', () => {
    const ring = openRing(binding, { restrictions: { opcodes: new Uint8Array(), entryFlags: 0 } })
    const queue = new Queue(ring)
    queue.nop(1)
    ring.enter(1, getEvents)
    expect(queue.reap()).toEqual([{ userData: 1, result: -EACCES }])
    ring.close()
  })
})

describe('on an older kernel', () => {
  let folder = ''
  let shim = ''

  /** A sanitizer's library, if these tests run under one, has to stay first. */
  function preload(): string {
    return process.env.LD_PRELOAD === undefined ? shim : `${process.env.LD_PRELOAD}:${shim}`
  }

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sheaf-native-'))
    shim = join(folder, 'older-kernel.so')
    execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', shim, fixture('older-kernel.c'), '-ldl'],
      { env: { PATH: process.env.PATH } })
  })

  afterAll(() => rmSync(folder, { recursive: true }))

  it.each([
    ['NO_SQARRAY', Setup.noSqArray, usualFlags & ~Setup.noSqArray],
    ['DEFER_TASKRUN', Setup.deferTaskrun, Setup.submitAll | Setup.singleIssuer | Setup.noSqArray],
    ['SINGLE_ISSUER', Setup.singleIssuer, Setup.submitAll | Setup.noSqArray],
    ['TASKRUN_FLAG', Setup.taskrunFlag, usualFlags & ~Setup.taskrunFlag],
    ['SUBMIT_ALL', Setup.submitAll, usualFlags & ~Setup.submitAll],
    ['flags later than 5.4', 0x1ffff, 0],
  ])('without %s the rest is in force, and the loop works', async (_case, unknown, inForce) => {
    const answer = report(await runFixture('echo.mjs', {
      environment: { LD_PRELOAD: preload(), SHEAF_TEST_UNKNOWN_FLAGS: String(unknown) },
    }))
    const cqSize = unknown === 0x1ffff ? 0 : Setup.cqSize
    expect(answer).toEqual({ setupFlags: inForce | cqSize, received: 200 })
  })

  it.each([
    ['the flag', { SHEAF_TEST_UNKNOWN_FLAGS: String(1 << 6) }],
    ['registering them', { SHEAF_TEST_UNKNOWN_OPERATIONS: String(1 << 11) }],
    ['enabling the ring', { SHEAF_TEST_UNKNOWN_OPERATIONS: String(1 << 12) }],
  ])('restrictions are given up if %s is refused, and nothing else is', async (_case, unknown) => {
    const answer = report(await runModule(`
      import { readdirSync } from 'node:fs'
      import { getEvents, openRing, Queue } from './test/fixtures/queue.mjs'
      import { binding } from '@sheaf/native'
      const before = readdirSync('/proc/self/fd').length
      const ring = openRing(binding, { restrictions: { opcodes: new Uint8Array(), entryFlags: 0 } })
      const { restrictionsError, setupFlags } = ring
      const queue = new Queue(ring)
      queue.nop(1)
      ring.enter(1, getEvents)
      const rings = readdirSync('/proc/self/fd').length - before
      console.log(JSON.stringify({ restrictionsError, setupFlags, rings, reaped: queue.reap() }))
    `, { environment: { LD_PRELOAD: preload(), ...unknown } }))
    expect(answer).toEqual({
      restrictionsError: -EINVAL, setupFlags: usualFlags | Setup.cqSize, rings: 1, reaped: [{ userData: 1, result: 0 }],
    })
  })

  it.each([
    ['without SYNC_CANCEL', { SHEAF_TEST_UNKNOWN_OPERATIONS: String(2 ** 24) }, 'socket', -EINVAL, true],
    ['without cancelling by opcode, and threads of the kernel at work',
      { SHEAF_TEST_UNKNOWN_CANCELLATIONS: '0x20' }, 'thread', -ETIME, true],
    ['without cancelling by opcode, and none', { SHEAF_TEST_UNKNOWN_CANCELLATIONS: '0x20' }, 'socket', 0, false],
    ['with both', {}, 'thread', 0, false],
  ])('%s, memory is given back if all is known to have ended', async (_case, unknown, where, result, kept) => {
    const answer = report(await runFixture('lost-region.mjs', {
      arguments: [where, namedPipe()], environment: { LD_PRELOAD: preload(), ...unknown },
    }))
    expect(answer).toEqual({ cancelled: result, mappedAfterClose: kept, fdsLeft: 0 })
  })
})

describe('entering', () => {
  it('takes submissions in order and posts their completions', () => {
    const ring = openRing(binding)
    const queue = new Queue(ring)
    for (let userData = 1; userData <= 64; userData++) queue.nop(userData)
    expect(ring.enter(64, getEvents)).toBe(64)
    expect(queue.reap()).toEqual(Array.from({ length: 64 }, (_, index) => ({ userData: index + 1, result: 0 })))
    expect(ring.counters()).toEqual({
      enters: 1, submitted: 64, turns: 0, wakeups: 0, busyPolls: 0, busyPollsFound: 0, busyPollMs: 0,
    })
    ring.close()
  })

  it('goes round the queues many times', () => {
    const ring = openRing(binding, { submissionEntries: 8, completionEntries: 16 })
    const queue = new Queue(ring)
    const seen: number[] = []
    for (let userData = 0; userData < 1000; userData++) {
      queue.nop(userData)
      if (queue.unsubmitted < 5) continue
      expect(ring.enter(5, getEvents)).toBe(5)
      seen.push(...queue.reap().map((completion) => completion.userData))
    }
    expect(seen).toEqual(Array.from({ length: 1000 }, (_, index) => index))
    ring.close()
  })

  it('keeps completions that overflow their queue', () => {
    const ring = openRing(binding, { submissionEntries: 16, completionEntries: 32 })
    const queue = new Queue(ring)
    for (let userData = 0; userData < 96; userData++) {
      queue.nop(userData)
      if (queue.unsubmitted === 16) ring.enter(0, getEvents)
    }
    const seen: number[] = []
    for (let round = 0; round < 5; round++) {
      seen.push(...queue.reap().map((completion) => completion.userData))
      ring.enter(0, getEvents)
    }
    expect(seen).toEqual(Array.from({ length: 96 }, (_, index) => index))
    ring.close()
  })
})

describe('reading descriptors', () => {
  it('marks what a completion brought, and counts it as read', () => {
    const ring = openRing(binding)
    const queue = new Queue(ring)
    const owned = new Uint8Array(ring.descriptors)
    for (const userData of [1n, 2n, 2n ** 63n + 3n]) queue.push({ opcode: Opcode.socket, fd: 2, offset: 1, userData })
    ring.enter(3, getEvents)
    const fds = Array.from({ length: 3 }, (_, index) => queue.completions.getInt32(index * 16 + 8, true))
    const isOwned = (fd: number) => (owned[fd >> 3] & (1 << (fd & 7))) !== 0
    expect(Math.min(...fds)).toBeGreaterThan(2)
    expect(fds.map(isOwned)).toEqual([false, false, false])
    // Without the top bit of the user data it is a number like another.
    ring.readDescriptors(1)
    expect(fds.map(isOwned)).toEqual([false, false, false])
    expect(queue.word('completionHead')).toBe(2)
    ring.readDescriptors(2)
    expect(fds.map(isOwned)).toEqual([false, false, true])
    expect(queue.hasCompletions).toBe(false)
    for (const fd of fds) expect(binding.sockets.close(fd)).toBe(0)
    expect(fds.map(isOwned)).toEqual([false, false, false])
    expect(() => { ring.readDescriptors(-1) }).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
    ring.close()
  })
})

describe('buffer rings', () => {
  it('are registered, asked for their head, and unregistered', () => {
    const ring = openRing(binding)
    const region = openRegion(ring, 4096)
    expect(ring.registerBufferRing(region.address, 256, 7, 0)).toBe(0)
    expect(ring.registerBufferRing(region.address, 256, 7, 0)).toBe(-EEXIST)
    expect(ring.bufferRingHead(7)).toBe(0)
    expect(ring.bufferRingHead(8)).toBe(-ENOENT)
    expect(ring.unregisterBufferRing(7)).toBe(0)
    expect(ring.unregisterBufferRing(7)).toBe(-ENOENT)
    expect(ring.registerBufferRing(region.address + 1, 256, 7, 0)).toBe(-EINVAL)
    expect(ring.registerBufferRing(0x10000, 256, 7, 0)).toBe(-EFAULT)
    ring.close()
  })
})

describe('cancelling everything', () => {
  it('ends requests that wait, and leaves their completions to be reaped', () => {
    const ring = openRing(binding)
    const queue = new Queue(ring)
    const region = openRegion(ring)
    const [a, b] = socketPair(binding)
    const timespec = new BigInt64Array(region.buffer, 2048, 2)
    timespec[0] = 1000n
    queue.push({ opcode: Opcode.recv, fd: a, address: region.address, length: 64, userData: 1 })
    queue.push({ opcode: Opcode.pollAdd, fd: b, opFlags: 1, userData: 2 })
    queue.push({ opcode: Opcode.timeout, address: region.address + 2048, length: 1, userData: 3 })
    expect(ring.enter(0, getEvents)).toBe(3)
    expect(queue.reap()).toEqual([])
    expect(ring.cancelAll(1000)).toBe(0)
    const ended = queue.reap().sort((one, other) => one.userData - other.userData)
    expect(ended).toEqual([1, 2, 3].map((userData) => ({ userData, result: -ECANCELED })))
    for (const fd of [a, b]) binding.sockets.close(fd)
    ring.close()
  })

  it('waits for those that threads of the kernel are executing, however far those are', () => {
    const ring = openRing(binding)
    const queue = new Queue(ring)
    const pipe = openSync(namedPipe(), 'r+')
    const [a, b] = socketPair(binding)
    for (let round = 0; round < 200; round++) {
      for (let userData = 0; userData < 8; userData++) queue.block(userData, pipe, a)
      expect(ring.enter(0, 0)).toBe(8)
      // From not yet begun to surely blocked.
      const until = performance.now() + (round % 20) * 0.02
      while (performance.now() < until);
      expect(ring.cancelAll(5000)).toBe(0)
      const ended = queue.reap()
      expect(ended.map((completion) => completion.userData).sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
      for (const { result } of ended) expect([-ECANCELED, -EINTR, restartSystemCall]).toContain(result)
    }
    for (const fd of [a, b]) binding.sockets.close(fd)
    closeSync(pipe)
    ring.close()
  })

  // The kernel shows deferred work after adding it. A worker thread that was held up in between left the sign behind
  // when the work had been run: nothing took it back, and cancelling waited for it until its time was over.
  it('does not wait for deferred work that is shown but not there', () => {
    const ring = openRing(binding)
    const queue = new Queue(ring)
    queue.showTaskWork()
    expect(ring.cancelAll(10_000)).toBe(0)
    expect(queue.showsTaskWork).toBe(false)
    ring.close()
  })

  it('keeps more completions than their queue has room for', () => {
    const ring = openRing(binding, { submissionEntries: 8, completionEntries: 16 })
    const queue = new Queue(ring)
    const region = openRegion(ring)
    const [a, b] = socketPair(binding)
    for (let userData = 0; userData < 64; userData++) {
      queue.push({ opcode: Opcode.recv, fd: a, address: region.address, length: 1, userData })
      ring.enter(0, getEvents)
    }
    expect(ring.cancelAll(1000)).toBe(0)
    const ended = new Set<number>()
    for (let round = 0; round < 8; round++) {
      for (const { userData, result } of queue.reap()) {
        expect(result).toBe(-ECANCELED)
        ended.add(userData)
      }
      ring.enter(0, getEvents)
    }
    expect(ended.size).toBe(64)
    for (const fd of [a, b]) binding.sockets.close(fd)
    ring.close()
  })

  it('ends more requests than the kernel runs the deferred work of at once', () => {
    const ring = openRing(binding, { submissionEntries: 256, completionEntries: 512 })
    const queue = new Queue(ring)
    const region = openRegion(ring)
    const [a, b] = socketPair(binding)
    for (let userData = 0; userData < 256; userData++) {
      queue.push({ opcode: Opcode.recv, fd: a, address: region.address, length: 1, userData })
    }
    ring.enter(0, getEvents)
    expect(ring.cancelAll(1000)).toBe(0)
    expect(queue.reap().length).toBe(256)
    for (const fd of [a, b]) binding.sockets.close(fd)
    ring.close()
  })

  it('does nothing to what is still in the submission queue', () => {
    const ring = openRing(binding)
    const queue = new Queue(ring)
    queue.nop(1)
    expect(ring.cancelAll(100)).toBe(0)
    expect(queue.unsubmitted).toBe(1)
    expect(ring.enter(1, getEvents)).toBe(1)
    expect(queue.reap()).toEqual([{ userData: 1, result: 0 }])
    ring.close()
  })

  it('of a ring that is idle ends at once', () => {
    const ring = openRing(binding)
    const started = performance.now()
    expect(ring.cancelAll(5000)).toBe(0)
    expect(performance.now() - started).toBeLessThan(1000)
    expect(ring.cancelAll(0)).not.toBe(-ETIME)
    ring.close()
  })
})

describe('closing', () => {
  it('detaches everything shared, closes the descriptor, and is harmless when repeated', () => {
    const before = openFds()
    const ring = openRing(binding)
    expect(openFds().length).toBe(before.length + 1)
    const views = [new Uint32Array(ring.rings), new Uint8Array(ring.submissions), new Uint32Array(ring.wanted)]
    ring.close()
    ring.close()
    expect(openFds()).toEqual(before)
    for (const view of views) expect(view.byteLength).toBe(0)
  })

  it('leaves every method callable', () => {
    const ring = openRing(binding)
    const queue = new Queue(ring)
    queue.nop(1)
    ring.enter(0, 0)
    ring.close()
    expect(ring.enter(0, 0)).toBe(-EBADF)
    expect(ring.registerBufferRing(0, 1, 0, 0)).toBe(-EBADF)
    expect(ring.unregisterBufferRing(0)).toBe(-EBADF)
    expect(ring.bufferRingHead(0)).toBe(-EBADF)
    expect(ring.cancelAll(0)).toBe(-EBADF)
    expect(() => ring.attach(() => undefined, 1, 0)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_STATE' }))
    ring.readDescriptors(0)
    ring.ref()
    ring.unref()
    expect(ring.counters()).toMatchObject({ submitted: 1 })
  })

  it('with requests in flight ends them', () => {
    const before = openFds()
    const ring = openRing(binding)
    const queue = new Queue(ring)
    const region = openRegion(ring)
    const [a, b] = socketPair(binding)
    for (const flags of [0, asyncFlag]) {
      queue.push({ opcode: Opcode.recv, fd: a, address: region.address, length: 64, flags, userData: 1 })
    }
    expect(ring.enter(0, 0)).toBe(2)
    ring.close()
    // Nobody reads any more: what is sent now stays in the socket.
    expect(binding.sockets.shutdown(b, 1)).toBe(0)
    for (const fd of [a, b]) binding.sockets.close(fd)
    expect(openFds()).toEqual(before)
  })

  it('is done when a ring that was never attached is collected; views of its queues stay valid', async () => {
    const before = openFds()
    const views: Uint32Array[] = []
    for (let index = 0; index < 20; index++) views.push(new Uint32Array(openRing(binding).rings))
    expect(openFds().length).toBe(before.length + 20)
    await collect()
    expect(openFds()).toEqual(before)
    expect(views.every((view) => view.length > 0 && view.every((word) => word >= 0))).toBe(true)
  })

  it('a thousand times leaves nothing behind', async () => {
    const before = openFds()
    for (let count = 0; count < 1000; count++) openRing(binding, { submissionEntries: 4, completionEntries: 8 }).close()
    await collect()
    expect(openFds()).toEqual(before)
  })
})
