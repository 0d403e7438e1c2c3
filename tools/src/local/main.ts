/** Compares Unix sockets on Sheaf with `node:net` and the npm package `unix-dgram`, which take turns. */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Table from 'cli-table3'
import { Command } from 'commander'
import { factor, start } from '../bench/program'
import { requireRing } from '../bench/require-ring'
import { positive } from '../integer'
import { median } from '../median'

interface Flags {
  readonly seconds: number
  readonly rounds: number
  readonly unixDgram: string
}

/** Who is compared is at one end, or at both; at the other is Sheaf. */
interface Scenario {
  readonly name: string
  readonly peer: 'node' | 'unix-dgram'
  readonly transport: 'stream' | 'datagram' | 'paced'
  readonly measured: 'sender' | 'receiver'
  readonly bothEnds: boolean
  readonly echo?: true
}

interface Count {
  readonly messages: number
  readonly cpuMicroseconds: number
  readonly elapsedSeconds?: number
}

const stream = { peer: 'node', transport: 'stream' } as const
const messages = { peer: 'unix-dgram', transport: 'datagram' } as const
const paced = { peer: 'unix-dgram', transport: 'paced' } as const
const scenarios: readonly Scenario[] = [
  { ...stream, name: 'stream, sender, both ends alike', measured: 'sender', bothEnds: true },
  { ...stream, name: 'stream, receiver, both ends alike', measured: 'receiver', bothEnds: true },
  { ...stream, name: 'stream, sender, into Sheaf', measured: 'sender', bothEnds: false },
  { ...stream, name: 'echo, 64 connections', measured: 'receiver', bothEnds: false, echo: true },
  { ...messages, name: 'datagrams, sender, both ends alike', measured: 'sender', bothEnds: true },
  { ...messages, name: 'datagrams, receiver, both ends alike', measured: 'receiver', bothEnds: true },
  { ...messages, name: 'datagrams, sender, into Sheaf', measured: 'sender', bothEnds: false },
  { ...messages, name: 'datagrams, receiver, from Sheaf', measured: 'receiver', bothEnds: false },
  { ...paced, name: '16 datagrams a millisecond, sender', measured: 'sender', bothEnds: true },
  { ...paced, name: '16 datagrams a millisecond, receiver', measured: 'receiver', bothEnds: true },
]

const command = new Command('local')
  .description('Unix sockets on Sheaf and its peers, alternating: CPU time per 32-byte message at the end measured.')
  .option('--seconds <s>', 'length of one measurement', positive, 1)
  .option('--rounds <n>', 'measurements of each', positive, 5)
  .option('--unix-dgram <folder>', 'where the npm package unix-dgram is installed and built', 'unix-dgram')
  .parse()
const flags = command.opts<Flags>()
requireRing(command)

const directory = mkdtempSync(join(tmpdir(), 'sheaf-bench-'))
process.on('exit', () => rmSync(directory, { recursive: true }))
let paths = 0

interface Figures {
  readonly perSecond: number
  readonly microseconds: number
}

const cost = ({ microseconds }: Figures): number => microseconds

async function measure(scenario: Scenario, kind: string): Promise<Figures> {
  const { bothEnds, echo, measured, transport } = scenario
  const socketType = transport === 'stream' ? 'stream' : 'datagram'
  const path = join(directory, String(++paths))
  const kindOf = (end: Scenario['measured']): string => bothEnds || measured === end ? kind : 'sheaf'
  const task = echo === true ? 'echo' : 'receive'
  const receiver = start('local-receiver', [kindOf('receiver'), socketType, task, path, flags.unixDgram])
  await receiver.line()
  const sending = echo === true ? 'load' : transport
  const sender = start('local-sender', [kindOf('sender'), sending, String(flags.seconds), path, flags.unixDgram])
  const sent = JSON.parse(await sender.line()) as Count
  const ended = once(receiver.child, 'exit')
  receiver.child.stdin.end()
  const received = JSON.parse(await receiver.line()) as Count
  await ended
  const { cpuMicroseconds, messages } = measured === 'sender' ? sent : received
  return { perSecond: sent.messages / (sent.elapsedSeconds ?? NaN), microseconds: cpuMicroseconds / messages }
}

/** @returns why `unix-dgram` can't be compared with; undefined if it can. */
function missing(): string | undefined {
  try {
    createRequire(import.meta.url)(flags.unixDgram)
    return undefined
  } catch (error) {
    return (error as Error).message.split('\n')[0]
  }
}

const table = new Table({
  head: ['32-byte messages', 'CPU µs: Sheaf', 'peer', 'factor', 'messages/s: Sheaf', 'peer'],
  colAligns: ['left', 'right', 'right', 'right', 'right', 'right'],
  style: { head: [], border: [], compact: true },
})
const why = missing()
for (const scenario of scenarios) {
  if (scenario.peer === 'unix-dgram' && why !== undefined) {
    console.error(`${scenario.name}: not compared: ${why}`)
    continue
  }
  const figures: [Figures[], Figures[]] = [[], []]
  for (let round = 0; round < flags.rounds; round++) {
    for (const [index, kind] of ['sheaf', scenario.peer].entries()) figures[index].push(await measure(scenario, kind))
  }
  const costs: [number[], number[]] = [figures[0].map(cost), figures[1].map(cost)]
  const [ours, theirs] = costs.map(median)
  const [ourRate, theirRate] = figures.map((rounds) => Math.round(median(rounds.map((round) => round.perSecond))))
  table.push([
    `${scenario.name} (${scenario.peer})`, ours.toFixed(2), theirs.toFixed(2), factor(...costs),
    ourRate.toLocaleString('en'), theirRate.toLocaleString('en'),
  ])
}
console.log(table.toString())
console.log(`net.unix.max_dgram_qlen: ${readFileSync('/proc/sys/net/unix/max_dgram_qlen', 'utf8').trim()}`)
