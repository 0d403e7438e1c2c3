import { afterEach, describe, expect, it, vi } from 'vitest'
import { type BufferWaiter, BufferWaiters } from '../src/memory/buffer-waiters'
import type { ReceivePool } from '../src/memory/receive-pool'
import { Metrics } from '../src/metrics'

interface Socket extends BufferWaiter {
  starving: boolean
}

/** A pool at its bound, of which others hold all but the reserve. */
const pool = { available: 0, buffers: 1024, reserve: 64, grow: () => false }
const stalled = (): Socket => ({ parked: false, starving: false })
const fast = (): Socket => ({ parked: false, starving: true })

let waiters: BufferWaiters<Socket>

/** One turn. @returns those that were let go. */
function turn(available: number): readonly Socket[] {
  pool.available = available
  const released = waiters.release()
  waiters.settle(false)
  return released
}

function make(...sockets: Socket[]): void {
  waiters = new BufferWaiters<Socket>(pool as unknown as ReceivePool, new Metrics(), () => undefined)
  for (const socket of sockets) waiters.park(socket)
}

const open = (): Promise<boolean> => vi.waitUntil(() => waiters.reserveOpen, { interval: 1, timeout: 60_000 })

afterEach(() => { waiters.close() })

describe('a pool that others hold and that cannot grow', () => {
  it('has nobody who holds nothing wait, until much of it is free again', async () => {
    const sockets = [stalled(), fast(), stalled(), fast()]
    make(...sockets)
    expect(turn(64)).toEqual([])
    await open()
    expect(turn(0)).toEqual([sockets[1], sockets[3]])
    waiters.park(sockets[1])
    // In every turn.
    expect(turn(64)).toEqual([sockets[1]])
    // What one who held some has given back does not last.
    expect(turn(100)).toEqual([sockets[0], sockets[2]])
    expect(waiters.reserveOpen).toBe(true)
    turn(800)
    expect(waiters.reserveOpen).toBe(false)
  })

  it('is told from one that is merely busy, by those who wait and not by what others get', async () => {
    const socket = fast()
    make(...Array.from({ length: 10_000 }, stalled), socket)
    turn(64)
    const refills = setInterval(() => {
      for (const released of turn(65)) waiters.park(released)
      turn(64)
    }, 1)
    await open()
    clearInterval(refills)
    turn(64)
    expect(socket.parked).toBe(false)
  })

  it('leaves a reserve to others while those who hold nothing get some in time', async () => {
    const socket = fast()
    make(socket)
    turn(64)
    expect(turn(65)).toEqual([socket])
    waiters.park(stalled())
    turn(64)
    // Longer than somebody who had waited since the beginning.
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(waiters.reserveOpen).toBe(false)
  })
})
