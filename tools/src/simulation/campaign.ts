import fc from 'fast-check'
import { Operations } from './operations'

/** A kind of program that a campaign runs, and how it is run. */
export interface Subject<P> {
  readonly name: string
  readonly programs: fc.Arbitrary<P>
  run(program: P): Promise<Operations>
}

/** Where a campaign begins, and how long it goes on. */
export interface CampaignOptions {
  readonly seed: number
  readonly runs: number
  /** Of a failure: the run and the shrinking that led to it, to begin with the shrunk program. */
  readonly path?: string
  /** Give up at the first failure as it is, without looking for a shorter one. */
  readonly shrink?: boolean
}

export interface Failure<P> {
  readonly program: P
  readonly error: unknown
  readonly seed: number
  readonly path: string
}

export interface CampaignResult<P> {
  readonly operations: Operations
  readonly runs: number
  readonly failure: Failure<P> | undefined
}

/** Runs random programs; one that fails is made as short as it still fails. The same seed always does the same. */
export async function runCampaign<P>(subject: Subject<P>, options: CampaignOptions): Promise<CampaignResult<P>> {
  const operations = new Operations()
  const property = fc.asyncProperty(subject.programs, async (program) => {
    operations.add(await subject.run(program))
  })
  const { seed, runs, path, shrink = true } = options
  const replay = path === undefined ? {} : { path }
  const details = await fc.check(property, { seed, numRuns: runs, endOnFailure: !shrink, ...replay })
  if (!details.failed) return { operations, runs: details.numRuns, failure: undefined }
  const failure: Failure<P> = {
    program: (details.counterexample as [P])[0],
    error: details.errorInstance,
    seed: details.seed,
    path: details.counterexamplePath ?? '',
  }
  return { operations, runs: details.numRuns, failure }
}
