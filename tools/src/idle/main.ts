/**
 * What a connection that is idle takes of a server's memory, on stock sockets and on Sheaf's: many that have been
 * answered once, alternating, medians.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import Table from 'cli-table3'
import { Command } from 'commander'
import { requireRing } from '../bench/require-ring'
import { positive } from '../integer'
import { median } from '../median'

interface Flags {
  readonly connections: number
  readonly rounds: number
}

const requests = { http: 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n', echo: 'sheaf'.repeat(20) }
type Application = keyof typeof requests
const kinds = ['node', 'sheaf'] as const
type Kind = typeof kinds[number]

const command = new Command('idle')
  .description('Resident bytes of a server for each connection that is idle, on stock sockets and on Sheaf.')
  .option('--connections <n>', 'how many are idle', positive, 8000)
  .option('--rounds <n>', 'measurements of each', positive, 3)
  .parse()
const flags = command.opts<Flags>()
requireRing(command)

/** The first connections have the server load and compile what it needs. */
const warmUpConnections = 50
/** As many connect at a time: less than a listener's backlog. */
const atOnce = 50

const program = fileURLToPath(new URL('idle-server.js', import.meta.url))
const register = import.meta.resolve('@sheaf/tcp/register')

/** @returns resident bytes of one connection. */
async function measure(application: Application, kind: Kind): Promise<number> {
  const words = ['--expose-gc', ...kind === 'sheaf' ? ['--import', register] : [], program, application]
  const server = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface(server.stdout)[Symbol.asyncIterator]()
  const answer = async (): Promise<number> => Number((await lines.next()).value)
  const residentBytes = (): Promise<number> => {
    server.stdin.write('measure\n')
    return answer()
  }
  const sockets: Socket[] = []
  try {
    const port = await answer()
    await open(sockets, port, application, warmUpConnections)
    const before = await residentBytes()
    await open(sockets, port, application, flags.connections)
    return (await residentBytes() - before) / flags.connections
  } finally {
    for (const socket of sockets) socket.destroy()
    server.stdin.end()
    await once(server, 'close')
  }
}

async function open(sockets: Socket[], port: number, application: Application, connections: number): Promise<void> {
  for (let opened = 0; opened < connections; opened += atOnce) {
    const now = Math.min(atOnce, connections - opened)
    const made = await Promise.all(Array.from({ length: now }, () => openOne(port, application)))
    sockets.push(...made)
  }
}

async function openOne(port: number, application: Application): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.write(requests[application])
  await once(socket, 'data')
  return socket
}

const table = new Table({
  head: ['application', 'node, bytes', 'Sheaf', '×'],
  colAligns: ['left', 'right', 'right', 'right'],
  style: { head: [], border: [], compact: true },
})
for (const application of ['echo', 'http'] as const) {
  const measured: Record<Kind, number[]> = { node: [], sheaf: [] }
  for (let round = 0; round < flags.rounds; round++) {
    for (const kind of kinds) measured[kind].push(await measure(application, kind))
  }
  const [node, sheaf] = kinds.map((kind) => median(measured[kind]))
  const [nodeBytes, sheafBytes] = [node, sheaf].map((bytes) => Math.round(bytes).toLocaleString('en'))
  table.push([application, nodeBytes, sheafBytes, (sheaf / node).toFixed(2)])
}
console.log(table.toString())
console.log(`${flags.connections} connections, medians of ${flags.rounds}, alternating`)
