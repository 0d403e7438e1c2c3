import { inspect } from 'node:util'
import { Command, InvalidArgumentError, Option } from 'commander'
import { datagramsOnBoth, streamsOnBoth } from './both-kernels'
import { type Failure, runCampaign, type Subject } from './campaign'
import { positive } from '../integer'
import { datagrams, programStepsMax, streams } from './subjects'

interface Options {
  readonly seed: number
  readonly steps: number
  readonly of?: 'streams' | 'datagrams'
  readonly path?: string
  readonly linux?: boolean
}

/** fast-check's may be negative. */
function seed(value: string): number {
  const parsed = Number(value)
  if (!Number.isSafeInteger(parsed)) throw new InvalidArgumentError('It must be a whole number.')
  return parsed
}

/** A program as the code that runs it. */
function asCode(name: string, program: unknown): string {
  const shown = inspect(program, { depth: null, breakLength: 110, maxArrayLength: null })
  return `await ${name}.run(${shown})`
}

function report(name: string, failure: Failure<unknown>, linux: boolean): void {
  const { program, error, seed, path } = failure
  console.log(`\nFAILED: ${error instanceof Error ? error.message : String(error)}\n`)
  console.log(asCode(name, program))
  console.log(`\nAgain: npm run simulate -- ${linux ? '--linux ' : ''}--of ${name} --seed ${seed} --path ${path}\n`)
  if (error instanceof Error) console.log(error.stack)
}

async function run<P>(subject: Subject<P>, { seed, steps, path, linux = false }: Options): Promise<void> {
  const start = performance.now()
  const runs = Math.ceil(steps / programStepsMax)
  const result = await runCampaign(subject, { seed, runs, ...(path !== undefined && { path }) })
  const seconds = (performance.now() - start) / 1000
  const { total, calls, submissions, completions } = result.operations
  console.log(`${result.runs} programs of ${subject.name} from seed ${seed}: ${total} operations (${calls} calls,`
    + ` ${submissions} submissions, ${completions} completions) in ${seconds.toFixed(1)} s:`
    + ` ${Math.round(total / seconds * 60)} a minute`)
  if (result.failure === undefined) return
  report(subject.name, result.failure, linux)
  process.exitCode = 1
}

const command = new Command('simulate')
  .description('Runs random programs against a simulated kernel. A seed always runs the same; a failure is shortened'
    + ' and printed as code.')
  .option('--linux', 'run each program on this machine\'s kernel, too, and compare what can be seen')
  .option('--seed <number>', 'what everything random comes from', seed, 1)
  .option('--steps <number>', 'steps of programs to run, of each kind', positive, 100_000)
  .addOption(new Option('--of <kind>', 'only programs of this kind').choices(['streams', 'datagrams']))
  .option('--path <path>', 'begin with the shortened program of a failure, as its report says')

command.parse()
const options = command.opts<Options>()
const linux = options.linux === true
if (options.of !== 'datagrams') await run(linux ? streamsOnBoth : streams, options)
if (options.of !== 'streams') await run(linux ? datagramsOnBoth : datagrams, options)
