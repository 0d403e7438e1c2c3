/** Compares an echo server on Sheaf with one on `node:net`: the two take turns, and the medians are printed. */
import { Command } from 'commander'
import Table from 'cli-table3'
import { medianOf, start } from '../bench/program'
import { requireRing } from '../bench/require-ring'
import { positive } from '../integer'

interface Flags {
  readonly connections: number
  readonly size: number
  readonly seconds: number
  readonly rounds: number
}

interface Round {
  readonly perSecond: number
  readonly cpuMicroseconds: number
  readonly kernelShare: number
}

const kinds = ['sheaf', 'node'] as const
type Kind = typeof kinds[number]

const command = new Command('echo')
  .description('Echo servers on Sheaf and on node:net, alternating, loaded by one client process.')
  .option('--connections <n>', 'connections, each with one message under way', positive, 64)
  .option('--size <bytes>', 'message size', positive, 32)
  .option('--seconds <s>', 'length of one measurement', positive, 3)
  .option('--rounds <n>', 'measurements of each', positive, 5)
  .parse()
const flags = command.opts<Flags>()
requireRing(command)

async function measure(kind: Kind): Promise<Round> {
  const { connections, size, seconds } = flags
  const server = start('echo-server', [kind])
  const load = start('echo-load', [await server.line(), ...[connections, size, seconds].map(String)])
  const { echoes, elapsedSeconds } = JSON.parse(await load.line()) as { echoes: number, elapsedSeconds: number }
  server.child.stdin.end()
  const { userSeconds, systemSeconds } = JSON.parse(await server.line()) as Record<string, number>
  const cpuSeconds = userSeconds + systemSeconds
  return {
    perSecond: echoes / elapsedSeconds,
    cpuMicroseconds: cpuSeconds / echoes * 1e6,
    kernelShare: systemSeconds / cpuSeconds,
  }
}

const rounds: Record<Kind, Round[]> = { sheaf: [], node: [] }
for (let round = 0; round < flags.rounds; round++) {
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
