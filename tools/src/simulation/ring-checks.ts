import type { Ring } from '@sheaf/ring'
import { check } from './violation'

/** Checks that a ring that nobody uses has everything back. */
export function checkRing(ring: Ring): void {
  const { usage, pool, metrics, submissions } = ring
  check(metrics.staleCompletions === 0, 'no completion is stale', `${metrics.staleCompletions} were`)
  check(submissions.pending === 0, 'everything was submitted')
  check(usage.members === 0, 'no member is left', `${usage.members} are`)
  check(usage.operationSlots === 0, 'every slot is accounted for', `${usage.operationSlots} are in use`)
  check(usage.groups === 0, 'every group is accounted for', `${usage.groups} are leased`)
  check(usage.sendBlocks === 0, 'every send block is accounted for', `${usage.sendBlocks} are in use`)
  check(usage.receiveBuffersHeld === 0, 'every receive buffer is accounted for', `${usage.receiveBuffersHeld} are held`)
  check(pool.available === pool.buffers, 'every receive buffer is back with the kernel', () =>
    `${pool.available} of ${pool.buffers}`)
}
