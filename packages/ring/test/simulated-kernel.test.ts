import fc from 'fast-check'
import { expect, it } from 'vitest'
import { bundlesWork } from '../src/self-test'
import { SimulatedKernel } from '../src/simulation/kernel'
import { binding } from './kernel'
import { RawRun, type RawStep } from './two-kernels'
import { type RawMessageFamily, RawMessageRun, type RawMessageStep } from './two-kernels-messages'

it('bundles pass their self-test on a simulated kernel', () => {
  const kernel = new SimulatedKernel()
  expect(bundlesWork(kernel.binding)).toBe(true)
  expect(kernel.descriptors.count).toBe(0)
  expect(kernel.violations).toEqual([])
})

const at = fc.constantFrom<0 | 1>(0, 1)
const step: fc.Arbitrary<RawStep> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('send' as const), at, sizeBytes: fc.integer({ min: 1, max: 900 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('bundle' as const),
      at,
      count: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 250, max: 510 })),
      sizeBytes: fc.integer({ min: 1, max: 20 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('receive' as const), at, bundle: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('provide' as const), count: fc.integer({ min: 1, max: 16 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('cancelReceive' as const, 'cancel' as const), at }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('shutdown' as const, 'close' as const), at }) },
)
const programs = fc.array(step, { maxLength: 25, size: 'max' })

it('five hundred random programs of requests complete on the simulated kernel as they do on the real one', () => {
  fc.assert(fc.property(programs, (steps) => {
    const real = new RawRun(binding, steps)
    const kernel = new SimulatedKernel()
    const simulated = new RawRun(kernel.binding, steps)
    kernel.dispose()
    expect(simulated.log).toEqual(real.log)
  }), { numRuns: 500, seed: 1 })
}, 300_000)

const messageStep: fc.Arbitrary<RawMessageStep> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('send' as const), at, sizeBytes: fc.constantFrom(0, 1, 100, 175, 176, 177, 300),
      descriptors: fc.constantFrom(0, 0, 1, 3, 12, 13),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('receive' as const), at }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('provide' as const), count: fc.integer({ min: 1, max: 16 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('cancel' as const, 'close' as const), at }) },
)
const ending = fc.record({ do: fc.constant('shutdown' as const), at })

/** As messages, with segments and with what is too long: 65 507 bytes are the most, 128 segments, and none empty. */
const datagramStep: fc.Arbitrary<RawMessageStep> = fc.oneof(
  { weight: 10, arbitrary: messageStep.filter(({ do: what }) => what !== 'send') },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('send' as const), at, sizeBytes: fc.constantFrom(0, 1, 100, 175, 176, 177, 300, 65_507, 65_508),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('send' as const), at, sizeBytes: fc.constantFrom(1, 100, 129, 300),
      segmentBytes: fc.constantFrom(1, 50, 100, 200),
    }),
  },
)

it.each<[RawMessageFamily, fc.Arbitrary<RawMessageStep>]>([
  ['datagram', messageStep],
  ['seqpacket', fc.oneof({ weight: 15, arbitrary: messageStep }, { weight: 1, arbitrary: ending })],
  ['udp', datagramStep],
])('five hundred random programs of messages complete as on the real one: %s', (family, step) => {
  fc.assert(fc.property(fc.array(step, { maxLength: 25, size: 'max' }), (steps) => {
    const kernel = new SimulatedKernel()
    const simulated = new RawMessageRun(kernel.binding, family, steps)
    kernel.dispose()
    const real = new RawMessageRun(binding, family, steps, simulated.lengths)
    expect(kernel.violations).toEqual([])
    expect(simulated.log).toEqual(real.log)
  }), { numRuns: 500, seed: 1 })
}, 300_000)
