import { runCampaign, type Subject } from '../simulation/campaign'
import { slots } from '../simulation/slots'
import { datagrams, streams } from '../simulation/subjects'
import { Violation } from '../simulation/violation'

/** What a trial of a mutant says, as one line of JSON. */
export interface Verdict {
  /** Which property did not hold; absent if all did. */
  readonly check?: string
  readonly program?: string
}

const seed = 1

function say(verdict: Verdict): void {
  process.stdout.write(`${JSON.stringify(verdict)}\n`, () => process.exit())
}

function nameOf(error: unknown): string {
  if (error instanceof Violation) return error.check
  return error instanceof Error ? `${error.name}: ${error.message.split('\n', 1)[0]}` : String(error)
}

/** @returns whether a property failed. */
async function tried<P>(subject: Subject<P>, runs: number): Promise<boolean> {
  const { failure, runs: run } = await runCampaign(subject, { seed, runs, shrink: false })
  if (failure === undefined) return false
  say({ check: nameOf(failure.error), program: `${subject.name}, program ${run}` })
  return true
}

process.on('uncaughtException', (error) => {
  say({ check: nameOf(error), program: 'uncaught' })
})

const runs = Number(process.argv[2])
const found = await tried(slots, 50) || await tried(streams, runs) || await tried(datagrams, Math.ceil(runs / 4))
if (!found) say({})
