import { inspect } from 'node:util'
import { Command, InvalidArgumentError } from 'commander'
import { runCampaign, type Failure } from './campaign'
import { Operations } from './operations'
import { programStepsMax, streams } from './subjects'

interface Options {
  readonly seed: number
  readonly steps: number
  readonly path?: string
}

function integer(value: string): number {
  const parsed = Number(value)
  if (!Number.isSafeInteger(parsed)) throw new InvalidArgumentError('must be an integer')
  return parsed
}

/** A program as the code that runs it. */
function asCode(name: string, program: unknown): string {
  const shown = inspect(program, { depth: null, breakLength: 110, maxArrayLength: null })
  return `await ${name}.run(${shown})`
}

function report(name: string, failure: Failure<unknown>): void {
  const { program, error, seed, path } = failure
  console.log(`\nFAILED: ${error instanceof Error ? error.message : String(error)}\n`)
  console.log(asCode(name, program))
  console.log(`\nAgain: npm run simulate -- --seed ${seed} --path ${path}\n`)
  if (error instanceof Error) console.log(error.stack)
}

async function main({ seed, steps, path }: Options): Promise<void> {
  const start = performance.now()
  const operations = new Operations()
  const runs = Math.ceil(steps / programStepsMax)
  const result = await runCampaign(streams, { seed, runs, ...(path !== undefined && { path }) })
  operations.add(result.operations)
  const seconds = (performance.now() - start) / 1000
  const rate = Math.round(operations.total / seconds)
  console.log(`${result.runs} programs of ${streams.name} from seed ${seed}: ${operations.total} operations`
    + ` (${operations.calls} calls, ${operations.submissions} submissions, ${operations.completions} completions)`
    + ` in ${seconds.toFixed(1)} s: ${rate} a second`)
  if (result.failure === undefined) return
  report(streams.name, result.failure)
  process.exitCode = 1
}

const command = new Command('simulate')
  .description('Runs random programs against a simulated kernel. A seed always runs the same; a failure is shortened'
    + ' and printed as code.')
  .option('--seed <number>', 'what everything random comes from', integer, 1)
  .option('--steps <number>', 'steps of programs to run', integer, 100_000)
  .option('--path <path>', 'begin with the shortened program of a failure, as its report says')

command.parse()
await main(command.opts<Options>())
