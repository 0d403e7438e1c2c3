/**
 * Applications as they are, on Node's own sockets and, registered, on Sheaf's: the two take turns, and the medians are
 * printed. `http`, TLS and streams are measured by `npm run bench:http`.
 */
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { requireRing } from '../src/bench/require-ring'
import { Comparison, type Kind, type Round } from '../src/drop-in/comparison'
import { positive } from '../src/integer'
import { cpuSeconds } from '../src/lab/cpu-time'
import { named } from '../src/named'
import { Application, type Traffic } from './application'
import { startMariadb } from './servers/mariadb'
import { startMemcached } from './servers/memcached'
import { startMosquitto } from './servers/mosquitto'
import { startNats } from './servers/nats'
import { startPostgres } from './servers/postgres'
import { startNginxAlone } from './servers/proxies'
import { startRedis } from './servers/redis'
import type { Running } from './servers/server'

interface Flags {
  readonly seconds: number
  readonly rounds: number
}

interface Scenario {
  readonly name: string
  /** What puts it on Sheaf, if not `@sheaf/tcp/register`. */
  readonly register?: string
  /** What the application is a client of. */
  readonly start?: () => Promise<Running>
  /** The application that is measured: with `load`, a server. */
  readonly application: string
  readonly load?: string
}

const scenarios: readonly Scenario[] = [
  {
    name: 'ioredis: commands in pipelines of 100',
    start: startRedis,
    application: 'bench-ioredis-pipelines.mjs',
  },
  {
    name: 'ioredis: 64 commands under way',
    start: startRedis,
    application: 'bench-ioredis.mjs',
  },
  {
    name: 'node-redis: 64 commands under way',
    start: startRedis,
    application: 'bench-node-redis.mjs',
  },
  {
    name: 'memjs: 64 commands under way',
    start: startMemcached,
    application: 'bench-memjs.mjs',
  },
  {
    name: 'pg: simple queries, 32 connections',
    start: startPostgres,
    application: 'bench-pg.mjs',
  },
  {
    name: 'mysql2: simple queries, 32 connections',
    start: startMariadb,
    application: 'bench-mysql2.mjs',
  },
  {
    name: 'nats: 64 requests under way',
    start: startNats,
    application: 'bench-nats.mjs',
  },
  {
    name: 'mqtt: 64 messages under way',
    start: startMosquitto,
    application: 'bench-mqtt.mjs',
  },
  {
    name: 'http.Agent: 64 connections',
    start: startNginxAlone,
    application: 'bench-http-client.mjs',
  },
  {
    name: 'undici: 64 connections',
    start: startNginxAlone,
    application: 'bench-undici.mjs',
  },
  {
    name: 'grpc-js: server of unary calls, 64 connections',
    application: 'grpc-server.mjs',
    load: 'bench-grpc-load.mjs',
  },
  {
    name: 'ws: server of echoes, 64 connections',
    application: 'ws-server.mjs',
    load: 'bench-ws-load.mjs',
  },
  {
    name: 'dgram: echo of 64 bytes, 16 clients',
    register: '@sheaf/udp/register',
    application: 'bench-dgram-server.mjs',
    load: 'bench-dgram-load.mjs',
  },
]

const command = new Command('applications')
  .description('Applications on stock sockets and on Sheaf, alternating: operations per second, and CPU time for each.')
  .argument('[names...]', 'parts of the names of what to measure: ioredis, pg, nats, grpc …; default: all')
  .option('--seconds <s>', 'length of one measurement', positive, 3)
  .option('--rounds <n>', 'measurements of each', positive, 5)
  .parse()
const flags = command.opts<Flags>()
const chosen = named(command, scenarios, command.args)
requireRing(command)

/**
 * The first full collection changes how fast some go on, and comes in some processes and not in others: all have it
 * when they have warmed up.
 */
const collectable = ['--expose-gc']

const programs = fileURLToPath(new URL('../applications/programs/', import.meta.url))

/** @param port of what the application is a client of. */
async function measure(kind: Kind, scenario: Scenario, port: number): Promise<Round> {
  const { application, load, register = '@sheaf/tcp/register' } = scenario
  const onSheaf = kind === 'sheaf' ? ['--import', register] : []
  const parameters = load === undefined ? [port, flags.seconds] : []
  const measured = new Application(programs, application, parameters, [...collectable, ...onSheaf])
  const loads: Application[] = []
  try {
    if (load !== undefined) {
      loads.push(new Application(programs, load, [await measured.port(), flags.seconds], collectable))
    }
    const [working] = [...loads, measured]
    await working.line()
    // The one that works is the last: it goes on at once.
    for (const each of [measured, ...loads]) await each.collect()
    const before = cpuSeconds(measured.processId)
    const { operations, seconds } = JSON.parse(await working.line()) as { operations: number, seconds: number }
    const cpu = cpuSeconds(measured.processId) - before
    for (const other of loads) await other.stop()
    assertWay(kind, await measured.stop())
    return { perSecond: operations / seconds, cpuMicroseconds: cpu / operations * 1e6 }
  } finally {
    for (const started of [measured, ...loads]) started.kill()
  }
}

/** What is measured as Sheaf went through Sheaf, and nothing else did. */
function assertWay(kind: Kind, traffic: Traffic): void {
  const way: Kind = traffic.bytesRead + traffic.messagesRead > 0 ? 'sheaf' : 'node'
  if (way !== kind) throw new Error(`what should have gone by ${kind} went by ${way}`)
}

const comparison = new Comparison(flags.rounds)
for (const scenario of chosen) {
  const server = await scenario.start?.()
  try {
    await comparison.add(scenario.name, (kind) => measure(kind, scenario, server?.port ?? 0))
  } finally {
    await server?.stop()
  }
}
console.log(comparison.toString())
console.log(`medians of ${flags.rounds}, alternating, ${flags.seconds} s each; CPU time is that of the application`)
