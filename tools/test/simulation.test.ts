import { describe, expect, it } from 'vitest'
import { runCampaign, type Subject } from '../src/simulation/campaign'
import { streams } from '../src/simulation/subjects'

/** So many that a slow machine has time for them in one test. */
const runsPerTest = 1000

function runs<P>(subject: Subject<P>, tests: number): void {
  const seeds = Array.from({ length: tests }, (_, index) => index + 1)
  it.each(seeds)(`${runsPerTest} random programs, from seed %i`, async (seed) => {
    const { failure } = await runCampaign(subject, { seed, runs: runsPerTest })
    if (failure !== undefined) {
      const cause = failure.error
      const program = JSON.stringify(failure.program)
      throw new Error(`npm run simulate -- --seed ${failure.seed} --path ${failure.path}\n${program}`, { cause })
    }
  }, 120_000)
}

describe('streams on a simulated kernel', () => {
  runs(streams, 7)

  it('run the same whenever they run from the same seed', async () => {
    const [first, second] = [
      await runCampaign(streams, { seed: 99, runs: 50 }), await runCampaign(streams, { seed: 99, runs: 50 }),
    ]
    expect(first.operations).toEqual(second.operations)
  })

  it('meet everything that seldom happens', async () => {
    const { operations } = await runCampaign(streams, { seed: 5, runs: 500 })
    const seldom = [
      'submissionQueueFull', 'completionOverflows', 'poolExhausted', 'parks', 'poolGrowths', 'chainedBundles',
      'shortSends', 'groupResets', 'backPressure', 'spilledBytes', 'forwardPauses',
    ]
    const counts = Object.fromEntries(seldom.map((name) => [name, operations.metrics.get(name) ?? 0]))
    for (const name of seldom) expect(counts).toHaveProperty(name, expect.toSatisfy((count: number) => count > 0))
  })
})
