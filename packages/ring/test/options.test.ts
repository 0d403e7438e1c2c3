import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, expect, it, vi } from 'vitest'
import { createRing, limits } from '../src/index'
import { resolveRingOptions } from '../src/options'

afterEach(() => vi.unstubAllEnvs())

it.each([
  [undefined, limits.busyPollMicroseconds], ['off', 0], ['0', 0], ['50', 50], ['5000', 1000], ['-1', 0], ['', 0],
])('SHEAF_BUSY_POLL=%s is the default of busyPollMicroseconds', (value, microseconds) => {
  vi.stubEnv('SHEAF_BUSY_POLL', value)
  expect(resolveRingOptions().busyPollMicroseconds).toBe(microseconds)
  expect(resolveRingOptions({ busyPollMicroseconds: 7 }).busyPollMicroseconds).toBe(7)
})

it.each([[0, false], [1000, true]])('a ring with busyPollMicroseconds %i looks before it blocks: %s', async (
  busyPollMicroseconds, looks,
) => {
  const ring = createRing({ busyPollMicroseconds })
  const pair = new Int32Array(2)
  ring.sockets.socketpair(1, 1, pair)
  const block = ring.sendMemory.acquire({ blocks: 0 })
  const slot = ring.operations.allocate({ complete: () => undefined })
  try {
    for (let times = 0; times < 300; times++) {
      // Not if nothing has been sent, which nobody can answer.
      if (times === 100) expect(ring.counters.busyPolls).toBe(0)
      if (times >= 100) {
        ring.submissions.send(slot, pair[0], block?.address ?? 0, 1)
        ring.turn.wake()
      }
      await delay(1)
    }
    expect(ring.counters.busyPolls > 0).toBe(looks)
  } finally {
    ring.close()
    for (const fd of pair) ring.sockets.close(fd)
  }
})
