/** Compares UDP on Sheaf with `node:dgram`: the two take turns, and the medians are printed. */
import { once } from 'node:events'
import Table from 'cli-table3'
import { Command, Option } from 'commander'
import { factor, start } from '../bench/program'
import { requireRing } from '../bench/require-ring'
import { positive } from '../integer'
import { loopbackHosts } from '../lab/loopback'
import { namespaceHosts } from '../lab/namespaces'
import { median } from '../median'
import { named } from '../named'

interface Flags {
  readonly seconds: number
  readonly rounds: number
  readonly receiver: string
  readonly only?: string
  readonly namespaces?: true
}

/** Who is compared is at one end; at the other is always Sheaf. */
interface Scenario {
  readonly name: string
  readonly measured: 'sender' | 'receiver'
  readonly kinds: readonly string[]
  readonly connection: 'connected' | 'unconnected'
  readonly sizeBytes: number
  readonly burst: number
  readonly destinations: number
  readonly task: 'receive' | 'echo'
}

interface Count {
  readonly messages: number
  readonly cpuMicroseconds: number
}

function sending(
  name: string, connection: Scenario['connection'], sizeBytes: number, burst: number, destinations: number,
): Scenario {
  const kinds = ['sheaf', 'node']
  return { name, measured: 'sender', kinds, connection, sizeBytes, burst, destinations, task: 'receive' }
}

function receiving(name: string, sizeBytes: number, kind: string, task: Scenario['task']): Scenario {
  const kinds = [kind, 'node']
  return { name, measured: 'receiver', kinds, connection: 'connected', sizeBytes, burst: 64, destinations: 1, task }
}

const scenarios: readonly Scenario[] = [
  ...[32, 1200].flatMap((size) => [
    sending(`send 64 to one, connected, ${size} B`, 'connected', size, 64, 1),
    sending(`send 64 to one, ${size} B`, 'unconnected', size, 64, 1),
    sending(`send 16 to each of 64, ${size} B`, 'unconnected', size, 16, 64),
    sending(`send 1 to each of 64, ${size} B`, 'unconnected', size, 1, 64),
    receiving(`receive, coalesced, ${size} B`, size, 'sheaf', 'receive'),
    receiving(`receive, one by one, ${size} B`, size, 'sheaf-single', 'receive'),
    receiving(`echo, ${size} B`, size, 'sheaf', 'echo'),
    receiving(`echo by @sheaf/udp/dgram, ${size} B`, size, 'drop-in', 'echo'),
  ]),
]

const command = new Command('datagram')
  .description('UDP on Sheaf and on node:dgram, alternating: CPU time per datagram at the end measured.')
  .option('--seconds <s>', 'length of one measurement', positive, 1)
  .option('--rounds <n>', 'measurements of each', positive, 5)
  .addOption(new Option('--receiver <kind>', 'what senders send to; sheaf coalesces')
    .choices(['sheaf', 'sheaf-single', 'node']).default('sheaf-single'))
  .option('--only <text>', 'comparisons whose names have it')
  .option('--namespaces', 'between two network namespaces joined by a veth pair (as root), not on loopback')
  .parse()
const flags = command.opts<Flags>()
const chosen = named(command, scenarios, flags.only === undefined ? [] : [flags.only])
requireRing(command)

const hosts = flags.namespaces === true ? namespaceHosts() : loopbackHosts('without --namespaces')
process.on('exit', () => hosts.remove())
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))

/** @returns CPU time per datagram at the end that is measured, in microseconds. */
async function measure(scenario: Scenario, kind: string): Promise<number> {
  const { measured, connection, sizeBytes, burst, destinations, task } = scenario
  // On loopback a receiver that coalesces spares the sender the segmenting.
  const receiverKind = measured === 'receiver' ? kind : flags.receiver
  const receiver = start(
    'datagram-receiver', [receiverKind, task, hosts.proxyAddress, String(destinations)], hosts.proxy,
  )
  const ports = (await receiver.line()).split(' ')
  const senderKind = measured === 'sender' ? kind : 'sheaf'
  const sender = start(
    'datagram-sender',
    [senderKind, connection, String(sizeBytes), String(burst), String(flags.seconds), hosts.proxyAddress, ...ports],
    hosts.source,
  )
  const sent = JSON.parse(await sender.line()) as Count
  const ended = once(receiver.child, 'exit')
  receiver.child.stdin.end()
  const received = JSON.parse(await receiver.line()) as Count
  await ended
  const { cpuMicroseconds, messages } = measured === 'sender' ? sent : received
  return cpuMicroseconds / messages
}

const table = new Table({
  head: ['CPU µs per datagram', '@sheaf/udp', 'node:dgram', 'factor'],
  colAligns: ['left', 'right', 'right', 'right'],
  style: { head: [], border: [], compact: true },
})
for (const scenario of chosen) {
  const figures: [number[], number[]] = [[], []]
  for (let round = 0; round < flags.rounds; round++) {
    for (const [index, kind] of scenario.kinds.entries()) figures[index].push(await measure(scenario, kind))
  }
  const [ours, theirs] = figures.map(median)
  table.push([scenario.name, ours.toFixed(2), theirs.toFixed(2), factor(...figures)])
  process.stderr.write(`${scenario.name}: ${ours.toFixed(2)} / ${theirs.toFixed(2)}\n`)
}
console.log(`${table.toString()}\n${hosts.description}`)
