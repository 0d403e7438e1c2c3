import { it } from 'vitest'
import { datagramsOnBoth, streamsOnBoth } from '../src/simulation/both-kernels'
import { runCampaign, type Subject } from '../src/simulation/campaign'

const runs = 600

async function compare<P>(subject: Subject<P>): Promise<void> {
  const { failure } = await runCampaign(subject, { seed: 1, runs, shrink: false })
  if (failure === undefined) return
  const again = `npm run simulate -- --linux --of ${subject.name} --seed ${failure.seed} --path ${failure.path}`
  throw new Error(`${again}\n${JSON.stringify(failure.program)}`, { cause: failure.error })
}

it(`${runs} random programs of streams see the same of Linux and of the simulation`, async () => {
  await compare(streamsOnBoth)
}, 600_000)

it(`${runs} random programs of datagrams see the same of Linux and of the simulation`, async () => {
  await compare(datagramsOnBoth)
}, 600_000)
