import { limits } from '@sheaf/ring'
import fc from 'fast-check'
import type { DatagramProgram, DatagramReaction, DatagramStep } from './program'
import {
  receiveInterrupted, ringOptions, sendBlocksMax, temperaments, throwsEvery, withInterruptions, withSendBlocks,
} from './worlds'

const at = fc.nat({ max: 15 })
const coalesce = fc.boolean()
const ring = fc.nat({ max: 1 })
const descriptors = fc.constantFrom(0, 0, 0, 1, 3)

/** Few different sizes, so that neighbours are often alike; now and then more than a block or a packet holds. */
const sizeBytes = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(0, 1, 32, 100, 100, 100, 1400) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 20_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(65_507) },
)

const times = fc.oneof(
  { weight: 2, arbitrary: fc.constant(1) },
  { weight: 2, arbitrary: fc.integer({ min: 2, max: 30 }) },
  { weight: 1, arbitrary: fc.integer({ min: 60, max: 200 }) },
)

function sending(times: fc.Arbitrary<number>) {
  return fc.record({
    do: fc.constant('send' as const), at, to: at, sizeBytes, times, together: fc.boolean(), descriptors,
  })
}

const setting = fc.record({ do: fc.constantFrom('pause' as const, 'resume' as const, 'flush' as const), at })

const step: fc.Arbitrary<DatagramStep> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant('bind' as const), ring, coalesce }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('connect' as const), ring, to: at, coalesce }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pair' as const), ring, coalesce }) },
  { weight: 12, arbitrary: sending(times) },
  { weight: 2, arbitrary: setting },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('run' as const), iterations: fc.integer({ min: 1, max: 4 }) }) },
)

const closing: fc.Arbitrary<DatagramReaction>
  = fc.record({ do: fc.constantFrom('close' as const, 'destroy' as const, 'end' as const), at })

const reaction: fc.Arbitrary<DatagramReaction> = fc.oneof(
  { weight: 6, arbitrary: sending(fc.constantFrom(1, 1, 2)) }, { weight: 4, arbitrary: setting },
)

/**
 * Programs over sockets that keep message boundaries, half of them without anybody who closes one. @param stepsMax of
 * one program.
 */
export function datagramPrograms(stepsMax: number): fc.Arbitrary<DatagramProgram> {
  const opened: DatagramStep[] = [
    { do: 'bind', ring: 0, coalesce: true }, { do: 'bind', ring: 1, coalesce: false }, { do: 'run', iterations: 2 },
    { do: 'connect', ring: 0, to: 1, coalesce: true }, { do: 'run', iterations: 2 },
  ]
  const anyStep = fc.oneof({ weight: 20, arbitrary: step }, { weight: 1, arbitrary: closing })
  const steps = fc.oneof(
    fc.array(step, { maxLength: stepsMax, size: 'max' }), fc.array(anyStep, { maxLength: stepsMax, size: 'max' }),
  )
  return fc.record({
    family: fc.constantFrom('udp' as const, 'datagram' as const, 'seqpacket' as const),
    receiveDescriptors: fc.boolean(),
    seed: fc.noShrink(fc.nat()),
    temperament: temperaments,
    ring: ringOptions,
    writableHighWaterMark: fc.constantFrom(1, 5000, 262_144),
    rests: fc.constant(false),
    steps: steps.map((more) => [...opened, ...more]),
    // Last, as each draw changes those that come after it.
    reactsEvery: fc.constantFrom(0, 0, 1, 5),
    reactions: fc.oneof(fc.array(reaction, { minLength: 1, maxLength: 12 }), fc.array(
      fc.oneof({ weight: 10, arbitrary: reaction }, { weight: 1, arbitrary: closing }), { minLength: 1, maxLength: 12 },
    )),
    throwsEvery,
    receiveInterrupted,
    // With less than enough, sending may fail in the end, and less can be said of the rest.
    sendBlocksMax: fc.oneof({ weight: 5, arbitrary: fc.constant(limits.sendBlocksMax) }, sendBlocksMax),
  }).map(withInterruptions).map(withSendBlocks)
}
