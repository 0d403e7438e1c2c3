/** Compares an echo server on Sheaf with one on `node:net`: the two take turns, and the medians are printed. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import Table from 'cli-table3'
import { medianOf } from '../bench/program'

interface Flags {
  readonly connections: string
  readonly size: string
  readonly seconds: string
  readonly rounds: string
}

interface Round {
  readonly perSecond: number
  readonly cpuMicroseconds: number
  readonly kernelShare: number
}

const kinds = ['sheaf', 'node'] as const
type Kind = typeof kinds[number]

const flags = new Command('echo')
  .description('Echo servers on Sheaf and on node:net, alternating, loaded by one client process.')
  .option('--connections <n>', 'connections, each with one message under way', '64')
  .option('--size <bytes>', 'message size', '32')
  .option('--seconds <s>', 'length of one measurement', '3')
  .option('--rounds <n>', 'measurements of each', '5')
  .parse()
  .opts<Flags>()

function program(name: string): string {
  return fileURLToPath(new URL(`${name}.js`, import.meta.url))
}

async function measure(kind: Kind): Promise<Round> {
  const server = spawn(process.execPath, [program('echo-server'), kind], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface(server.stdout)[Symbol.asyncIterator]()
  const line = async (): Promise<string> => String((await lines.next()).value)
  const load = spawn(
    process.execPath,
    [program('echo-load'), await line(), flags.connections, flags.size, flags.seconds],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const [output] = await once(load.stdout, 'data') as [Buffer]
  server.stdin.end()
  const { echoes, elapsedSeconds } = JSON.parse(output.toString()) as { echoes: number, elapsedSeconds: number }
  const { userSeconds, systemSeconds } = JSON.parse(await line()) as { userSeconds: number, systemSeconds: number }
  const cpuSeconds = userSeconds + systemSeconds
  return {
    perSecond: echoes / elapsedSeconds,
    cpuMicroseconds: cpuSeconds / echoes * 1e6,
    kernelShare: systemSeconds / cpuSeconds,
  }
}

const rounds: Record<Kind, Round[]> = { sheaf: [], node: [] }
for (let round = 0; round < Number(flags.rounds); round++) {
  for (const kind of kinds) rounds[kind].push(await measure(kind))
}
const table = new Table({
  head: ['server', 'echoes/s', 'CPU µs/echo', 'of it kernel'],
  colAligns: ['left', 'right', 'right', 'right'],
  style: { head: [], border: [], compact: true },
})
for (const kind of kinds) {
  table.push([
    kind === 'sheaf' ? '@sheaf/tcp' : 'node:net',
    Math.round(medianOf(rounds[kind], 'perSecond')).toLocaleString('en'),
    medianOf(rounds[kind], 'cpuMicroseconds').toFixed(2),
    `${(medianOf(rounds[kind], 'kernelShare') * 100).toFixed(0)} %`,
  ])
}
console.log(table.toString())

function ratio(figure: keyof Round): string {
  return (medianOf(rounds.sheaf, figure) / medianOf(rounds.node, figure)).toFixed(2)
}

console.log(`${flags.connections} connections, ${flags.size} bytes: ${ratio('perSecond')} x the echoes at ${
  ratio('cpuMicroseconds')} x the CPU each (medians of ${flags.rounds}, alternating)`)
