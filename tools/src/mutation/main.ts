import { availableParallelism } from 'node:os'
import Table from 'cli-table3'
import { Command } from 'commander'
import { mutate, tryMutant } from './mutant'
import { type Mutation, mutations } from './mutations'
import type { Verdict } from './trial'
import { positive } from '../integer'
import { named } from '../named'

interface Options {
  readonly runs: number
  readonly only?: string
}

async function main(chosen: readonly Mutation[], runs: number): Promise<void> {
  // The table must fit the sources, whatever is tried of it.
  for (const mutation of mutations) await mutate(mutation)
  const whole = await tryMutant(undefined, 0, runs)
  if (whole.check !== undefined) throw new Error(`without a mutation: ${whole.check} (${whole.program ?? ''})`)
  const verdicts = new Map<Mutation, Verdict>()
  const left = [...chosen.entries()]
  const worker = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const [index, mutation] = next
      verdicts.set(mutation, await tryMutant(mutation, index + 1, runs))
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, worker))

  const table = new Table({ head: ['mutation', 'file', 'caught by', 'in'], style: { head: [], border: [] } })
  for (const mutation of chosen) {
    const { check = 'NOTHING', program = '' } = verdicts.get(mutation) ?? {}
    table.push([mutation.name, mutation.file.replace('/src', ''), check, program])
  }
  console.log(table.toString())
  const caught = [...verdicts.values()].filter(({ check }) => check !== undefined).length
  console.log(`${caught} of ${chosen.length} mutations caught`)
  if (caught !== chosen.length) process.exitCode = 1
}

const command = new Command('mutate')
  .description('Puts faults into Sheaf\'s code, one at a time, and runs the property tests against each: all must be'
    + ' caught.')
  .option('--runs <number>', 'random programs to try each mutation with', positive, 4000)
  .option('--only <text>', 'only mutations whose name has it')

command.parse()
const { runs, only } = command.opts<Options>()
await main(named(command, mutations, only === undefined ? [] : [only]), runs)
