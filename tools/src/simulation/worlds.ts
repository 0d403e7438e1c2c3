import { limits, type RingOptions } from '@sheaf/ring'
import type { Temperament } from '@sheaf/ring/testing'
import fc from 'fast-check'

/** How a simulated kernel behaves: from doing all at once to being as late, as tight and as disorderly as it may. */
export const temperaments: fc.Arbitrary<Partial<Temperament>> = fc.record({
  delay: fc.constantFrom(0, 0.2, 0.7),
  delivery: fc.constantFrom(1, 0.5, 0.1),
  shortSend: fc.constantFrom(0, 0, 0.1),
  cancelTooLate: fc.constantFrom(0, 0.5, 1),
  cancelMisses: fc.constantFrom(0, 0, 0.5),
  sendCapacityBytes: fc.constantFrom(64, 2000, 100_000),
  receiveCapacityBytes: fc.constantFrom(50, 3000, 100_000),
  datagramCapacityBytes: fc.constantFrom(2000, 200_000),
  localQueueMax: fc.constantFrom(0, 2, 10),
  datagramWait: fc.constantFrom(0, 0.3),
  resetLosesUnread: fc.constantFrom(0, 0.5),
  segments: fc.constantFrom(true, true, false),
  endNames: fc.constantFrom('nothing' as const, 'unused' as const, 'used' as const),
  bundles: fc.constantFrom(true, true, true, false),
  groupRefused: fc.constantFrom(0, 0, 0, 0.3),
})

interface PoolShape {
  readonly receiveBufferBytes: number
  readonly receiveBuffers: number
  readonly receiveBuffersMax: number
}

/** From a pool that is always empty to one that never is; tiny buffers, of which bundles have hundreds. */
const pools: fc.Arbitrary<PoolShape> = fc.constantFrom<PoolShape>(
  { receiveBufferBytes: 16, receiveBuffers: 600, receiveBuffersMax: 600 },
  { receiveBufferBytes: 33, receiveBuffers: 4, receiveBuffersMax: 32 },
  { receiveBufferBytes: 64, receiveBuffers: 2, receiveBuffersMax: 2 },
  { receiveBufferBytes: 256, receiveBuffers: 8, receiveBuffersMax: 16 },
  { receiveBufferBytes: 1000, receiveBuffers: 1, receiveBuffersMax: 3 },
  { receiveBufferBytes: 4096, receiveBuffers: 16, receiveBuffersMax: 64 },
  // A chunk that is as long as chunks may be ends within a buffer.
  { receiveBufferBytes: 9000, receiveBuffers: 32, receiveBuffersMax: 32 },
  { receiveBufferBytes: 50_000, receiveBuffers: 4, receiveBuffersMax: 16 },
)

/** How often handlers throw: most never do. */
export const throwsEvery = fc.constantFrom(0, 0, 0, 1, 4)

const queues = fc.constantFrom(
  { submissionEntries: 1, completionEntries: 2 },
  { submissionEntries: 4, completionEntries: 8 },
  { submissionEntries: 64, completionEntries: 256 },
)

const anyRing: fc.Arbitrary<RingOptions> = fc.record({
  pool: pools,
  queue: queues,
  groupEntries: fc.constantFrom(1, 2, 8, 512),
  mergeAdjacent: fc.boolean(),
  receiveReserveFraction: fc.constantFrom(1 / 16, 0.5),
  receiveMethod: fc.constantFrom('bundle' as const, 'bundle' as const, 'bundle' as const, 'single' as const,
    'recvmsg' as const),
  sendMethod: fc.constantFrom('bundle' as const, 'bundle' as const, 'bundle' as const, 'sendmsg' as const,
    'single' as const),
  roundsPerTurn: fc.constantFrom(1, 8),
}).map(({ pool, queue, ...others }) => ({ ...pool, ...queue, ...others }))

/** Bundles of hundreds of spans. */
const longBundles: RingOptions = {
  receiveBufferBytes: 16,
  receiveBuffers: 600,
  receiveBuffersMax: 600,
  groupEntries: 512,
  mergeAdjacent: false,
}

export const ringOptions: fc.Arbitrary<RingOptions> = fc.oneof(
  { weight: 5, arbitrary: anyRing },
  { weight: 1, arbitrary: fc.constant(longBundles) },
)

/** Drawn by itself: it came later, and each draw changes those that come after it. */
export const receiveInterrupted = fc.constantFrom(0, 0, 0.2)

/** From send memory that others nearly always have to enough of it. Drawn by itself, too. */
export const sendBlocksMax = fc.constantFrom(limits.sendBlocksMax, limits.sendBlocksMax, 1, 4, 12)

/** From so little that each must wait for a turn of its own to all that is written. Drawn by itself, too. */
export const sendBytesPerTurn = fc.constantFrom(limits.sendBytesPerTurn, limits.sendBytesPerTurn, 1, 20_000)

/** Puts what was drawn by itself where it belongs. */
export function withInterruptions<P extends { readonly temperament: Partial<Temperament> }>(
  { receiveInterrupted, ...program }: P & { readonly receiveInterrupted: number },
): Omit<P, 'receiveInterrupted'> & { readonly temperament: Partial<Temperament> } {
  return { ...program, temperament: { ...program.temperament, receiveInterrupted } }
}

/** As {@link withInterruptions}. */
export function withSendBlocks<P extends { readonly ring: RingOptions }>(
  { sendBlocksMax, ...program }: P & { readonly sendBlocksMax: number },
): Omit<P, 'sendBlocksMax'> & { readonly ring: RingOptions } {
  return { ...program, ring: { ...program.ring, sendBlocksMax } }
}

/** As {@link withInterruptions}. */
export function withTurns<P extends { readonly ring: RingOptions }>(
  { sendBytesPerTurn, ...program }: P & { readonly sendBytesPerTurn: number },
): Omit<P, 'sendBytesPerTurn'> & { readonly ring: RingOptions } {
  return { ...program, ring: { ...program.ring, sendBytesPerTurn } }
}
