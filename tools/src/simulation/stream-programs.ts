import fc from 'fast-check'
import type { StreamProgram, StreamReaction, StreamStep } from './program'
import {
  receiveInterrupted, ringOptions, sendBlocksMax, sendBytesPerTurn, temperaments, throwsEvery, withInterruptions,
  withSendBlocks, withTurns,
} from './worlds'

const at = fc.nat({ max: 15 })

/** Mostly small, now and then more than a block, a pool or a socket buffer holds. */
const sizeBytes = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 200 }) },
  { weight: 3, arbitrary: fc.integer({ min: 200, max: 6000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 6000, max: 60_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 60_000, max: 200_000 }) },
)

const times = fc.oneof(
  { weight: 4, arbitrary: fc.constant(1) },
  { weight: 1, arbitrary: fc.integer({ min: 2, max: 20 }) },
)

function action<D extends 'pause' | 'resume' | 'flush' | 'end' | 'destroy' | 'reset' | 'cancel'>(...names: D[]) {
  return fc.record({ do: fc.constantFrom(...names), at })
}

const step: fc.Arbitrary<StreamStep> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('open' as const), ring: fc.nat({ max: 3 }), pair: fc.boolean() }),
  },
  { weight: 12, arbitrary: fc.record({ do: fc.constant('write' as const), at, sizeBytes, times }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('proxy' as const), at, to: at }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forward' as const), at, to: at }) },
  { weight: 5, arbitrary: action('pause', 'resume', 'resume', 'flush') },
  { weight: 1, arbitrary: action('end') },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('listenAnew' as const), ring: fc.nat({ max: 1 }) }) },
  { weight: 1, arbitrary: action('destroy', 'reset', 'cancel') },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('run' as const), iterations: fc.integer({ min: 1, max: 6 }) }) },
)

const reaction: fc.Arbitrary<StreamReaction> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('write' as const), at, sizeBytes, times }) },
  { weight: 6, arbitrary: action('pause', 'resume', 'flush') },
  { weight: 1, arbitrary: action('end', 'destroy', 'reset') },
)

/** Programs over connections of one family, in every kind of world. @param stepsMax of one program. */
export function streamPrograms(stepsMax: number): fc.Arbitrary<StreamProgram> {
  const opened: StreamStep[] = [
    { do: 'open', ring: 0, pair: false }, { do: 'open', ring: 0, pair: true }, { do: 'run', iterations: 6 },
  ]
  return fc.record({
    family: fc.constantFrom('tcp' as const, 'unix' as const),
    seed: fc.noShrink(fc.nat()),
    temperament: temperaments,
    ring: ringOptions,
    writableHighWaterMark: fc.constantFrom(1, 1000, 65_536),
    allowHalfOpen: fc.boolean(),
    // The least has room for both listeners and one connection.
    descriptorsMax: fc.constantFrom(1000, 1000, 1000, 9, 4),
    pausesEvery: fc.constantFrom(0, 0, 1, 5),
    resumes: fc.boolean(),
    rests: fc.constant(false),
    steps: fc.array(step, { maxLength: stepsMax, size: 'max' }).map((steps) => [...opened, ...steps]),
    // Last, as each draw changes those that come after it.
    reactsEvery: fc.constantFrom(0, 0, 1, 5),
    reactions: fc.array(reaction, { minLength: 1, maxLength: 12 }),
    throwsEvery,
    receiveInterrupted,
    sendBlocksMax,
    sendBytesPerTurn,
  }).map(withInterruptions).map(withSendBlocks).map(withTurns)
}
