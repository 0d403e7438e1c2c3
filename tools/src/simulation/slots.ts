import type { Ring } from '@sheaf/ring'
import { createRingOn, SimulatedKernel } from '@sheaf/ring/testing'
import fc from 'fast-check'
import type { Subject } from './campaign'
import { Operations } from './operations'
import { check } from './violation'

/** What happens to the operation slots of a ring: an owner comes, one goes, and its last completion comes late. */
export type SlotStep = 'allocate' | 'release' | 'late'

/** Operations have the lowest bits of the user data; any will do here. */
const slotBits = 4

/** Runs steps against the operation table of a ring. No kernel is known to send a completion late: the table minds. */
function runSlots(ring: Ring, steps: readonly SlotStep[]): void {
  const { operations } = ring
  // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- it is the ring's own, and any will do
  const operation: Parameters<typeof operations.begin>[1] = 0
  const owners: { slot: number, told: number }[] = []
  const gone: { low: number, high: number }[] = []
  for (const step of steps) {
    if (step === 'allocate') {
      const owner = { slot: 0, told: 0, complete: () => { owner.told++ } }
      owner.slot = operations.allocate(owner)
      owners.push(owner)
    } else if (step === 'release') {
      const owner = owners.shift()
      if (owner === undefined) continue
      const low = operations.begin(owner.slot, operation)
      const high = operations.userDataHigh(owner.slot, operation)
      check(low >>> slotBits === owner.slot, 'user data names the slot')
      operations.complete(low, high, 0, 0)
      check(owner.told === 1, 'a completion reaches its owner')
      operations.release(owner.slot)
      gone.push({ low, high })
    } else {
      const before = ring.metrics.staleCompletions
      const late = gone.at(-1)
      if (late === undefined) continue
      operations.complete(late.low, late.high, 0, 0)
      check(owners.every(({ told }) => told === 0), 'a late completion reaches nobody')
      check(ring.metrics.staleCompletions === before + 1, 'a late completion is counted')
    }
  }
}

export const slots: Subject<readonly SlotStep[]> = {
  name: 'slots',
  programs: fc.array(fc.constantFrom<SlotStep>('allocate', 'allocate', 'release', 'late'), { maxLength: 30 }),
  run(steps) {
    const kernel = new SimulatedKernel()
    const ring = createRingOn(kernel.binding, { receiveBuffers: 1, receiveBuffersMax: 1, receiveBufferBytes: 16 })
    const operations = new Operations()
    operations.calls = steps.length
    try {
      runSlots(ring, steps)
    } finally {
      ring.close()
      kernel.dispose()
    }
    return Promise.resolve(operations)
  },
}
