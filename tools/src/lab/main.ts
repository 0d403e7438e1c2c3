/** `npm start`: the proxy between three hosts, measured. See `--help`. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, release } from 'node:os'
import { join, relative } from 'node:path'
import { CommanderError } from 'commander'
import { SingleBar } from 'cli-progress'
import { bench, referenceRatios } from './bench'
import type { Hosts } from './hosts'
import { linkFills } from './link'
import { loopbackHosts } from './loopback'
import { namespaceHosts } from './namespaces'
import { type LabOptions, parseLabOptions } from './options'
import { resultsPage } from './page'
import { type Plan, quickPlan, wholePlan } from './plan'
import { pinningDescription, Processes } from './processes'
import { buildReferenceProgram } from './reference-program'
import type { LabResults } from './results'
import { fillsTable, referenceTable, resultsTable } from './table'
import { variantsWith } from './variants'

/** What a shell reports for a program that a signal has ended. */
const signalExitCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

/** Whatever ends this process goes through its `exit` event: the end, an exception, a signal. */
function cleanUpAtExit(cleanUp: () => void): void {
  process.on('exit', cleanUp)
  for (const [signal, code] of Object.entries(signalExitCodes)) process.on(signal, () => process.exit(code))
}

function readOptions(): LabOptions {
  try {
    return parseLabOptions(process.argv.slice(2))
  } catch (error) {
    if (error instanceof CommanderError) process.exit(error.exitCode)
    throw error
  }
}

function planOf({ quick, rounds }: LabOptions): Plan {
  const plan = quick ? quickPlan : wholePlan
  return rounds === undefined ? plan : { ...plan, rounds }
}

function openHosts(options: LabOptions): Hosts {
  if (process.getuid?.() === 0) return namespaceHosts(options.link)
  if (options.link !== undefined) throw new Error('--link needs root: only links between namespaces can be limited')
  return loopbackHosts('not root')
}

async function run(options: LabOptions, hosts: Hosts, processes: Processes): Promise<LabResults> {
  const plan = planOf(options)
  const variants = variantsWith(options.reference)
  const referenceProgram = options.reference ? buildReferenceProgram() : undefined
  const progress = new SingleBar({
    format: '{bar} {percentage} % | {what}',
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
    clearOnComplete: true,
    noTTYOutput: false,
  })
  progress.start(plan.bufferSizesBytes.length * variants.length * plan.rounds, 0, { what: 'starting' })
  let begun = 0
  try {
    const results = await bench(hosts, processes, {
      plan,
      variants,
      connections: options.connections,
      referenceProgram,
      onMeasurement: (variant, bufferBytes) => {
        progress.update(begun++, { what: `${bufferBytes} bytes, ${variant.name}` })
      },
    })
    const { link } = options
    return {
      takenAt: new Date().toISOString(),
      machine: {
        kernel: release(),
        node: process.version,
        cpu: cpus()[0]?.model.trim() ?? 'unknown CPU',
        cpus: availableParallelism(),
      },
      method: {
        hosts: hosts.description,
        congestionControl: hosts.congestionControl,
        placement: pinningDescription,
        rounds: plan.rounds,
        windowMs: plan.windowMs,
        connections: options.connections,
        ...link !== undefined && { link },
      },
      variants,
      results,
      ...link !== undefined && { fills: linkFills(link, variants.map(({ name }) => name), results) },
      ...options.reference && { referenceRatios: referenceRatios(results) },
    }
  } finally {
    progress.stop()
  }
}

function save(results: LabResults, folder: string): void {
  mkdirSync(folder, { recursive: true })
  const data = join(folder, 'results.json')
  const page = join(folder, 'results.html')
  writeFileSync(data, `${JSON.stringify(results, undefined, 2)}\n`)
  writeFileSync(page, resultsPage(results))
  console.log(`Chart: ${relative('', page)}   data: ${relative('', data)}`)
}

async function main(): Promise<void> {
  const options = readOptions()
  const processes = new Processes()
  // Nothing can come between the two: making the hosts is synchronous, and takes away what it made if it fails.
  const hosts = openHosts(options)
  cleanUpAtExit(() => {
    processes.killAll()
    hosts.remove()
  })
  console.log(`source → proxy → sink on ${hosts.description}; ${pinningDescription}`)
  const results = await run(options, hosts, processes)
  console.log(resultsTable(results))
  if (results.fills !== undefined) console.log(fillsTable(results))
  if (results.referenceRatios !== undefined) console.log(referenceTable(results))
  save(results, options.output)
  // The programs still run; leaving ends them.
  process.exit()
}

main().catch((error: unknown) => {
  console.error(`lab: ${error instanceof Error ? error.message : String(error)}`)
  process.exit(1)
})
