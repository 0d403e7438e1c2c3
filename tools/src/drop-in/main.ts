/**
 * The same application on Node's own sockets and, registered, on Sheaf's: the two take turns, and the medians are
 * printed. `http` is loaded by wrk (Debian's package of that name), `http2` by h2load (nghttp2-client).
 */
import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Command } from 'commander'
import { requireRing } from '../bench/require-ring'
import { positive } from '../integer'
import { cpuSeconds } from '../lab/cpu-time'
import { named } from '../named'
import { Comparison, type Kind, type Round } from './comparison'

const run = promisify(execFile)

interface Scenario {
  readonly name: string
  readonly application: 'http' | 'https' | 'http2' | 'files' | 'echo' | 'unix' | 'tls' | 'stream' | 'sink'
  readonly connections: number
  /** Messages that a connection has under way; streams of HTTP/2. */
  readonly pipelined: number
  /** Of a message written, a file, or an HTTP answer's body; 32, and a short greeting, if absent. */
  readonly sizeBytes?: number
  /** Each connection is closed when it has been answered. */
  readonly once?: boolean
}

const kib = 1024

const scenarios: readonly Scenario[] = [
  { name: 'http, 1 connection', application: 'http', connections: 1, pipelined: 1 },
  { name: 'http, 2 connections', application: 'http', connections: 2, pipelined: 1 },
  { name: 'http, 4 connections', application: 'http', connections: 4, pipelined: 1 },
  { name: 'http, 64 connections', application: 'http', connections: 64, pipelined: 1 },
  { name: 'http, 512 connections', application: 'http', connections: 512, pipelined: 1 },
  { name: 'http, 64 at a time, each asked once', application: 'http', connections: 64, pipelined: 1, once: true },
  {
    name: 'http, answers of 256 KB, 64 connections',
    application: 'http',
    connections: 64,
    pipelined: 1,
    sizeBytes: 256 * kib,
  },
  { name: 'files of 1 MB, 32 connections', application: 'files', connections: 32, pipelined: 1, sizeBytes: kib * kib },
  { name: 'files of 1 MB, 1 connection', application: 'files', connections: 1, pipelined: 1, sizeBytes: kib * kib },
  { name: 'https, 1 connection', application: 'https', connections: 1, pipelined: 1 },
  { name: 'https, 2 connections', application: 'https', connections: 2, pipelined: 1 },
  { name: 'https, 64 connections', application: 'https', connections: 64, pipelined: 1 },
  {
    name: 'https, answers of 16 KB, 64 connections',
    application: 'https',
    connections: 64,
    pipelined: 1,
    sizeBytes: 16 * kib,
  },
  { name: 'HTTP/2, 1 connection, 1 stream', application: 'http2', connections: 1, pipelined: 1 },
  { name: 'HTTP/2, 1 connection, 100 streams', application: 'http2', connections: 1, pipelined: 100 },
  { name: 'HTTP/2, 64 connections, 10 streams', application: 'http2', connections: 64, pipelined: 10 },
  { name: 'TLS echo of 32 bytes, 64 connections', application: 'tls', connections: 64, pipelined: 1 },
  { name: 'echo of 32 bytes, 1 connection', application: 'echo', connections: 1, pipelined: 1 },
  { name: 'echo of 32 bytes, 2 connections', application: 'echo', connections: 2, pipelined: 1 },
  { name: 'echo of 32 bytes, 64 connections', application: 'echo', connections: 64, pipelined: 1 },
  { name: 'Unix echo of 32 bytes, 1 connection', application: 'unix', connections: 1, pipelined: 1 },
  { name: 'Unix echo of 32 bytes, 4 connections', application: 'unix', connections: 4, pipelined: 1 },
  { name: 'echo of pipelines of 100, 8 connections', application: 'echo', connections: 8, pipelined: 100 },
  { name: 'writes of 32 bytes, 1 connection', application: 'stream', connections: 1, pipelined: 1 },
  {
    name: 'writes of 64 KB, 8 connections',
    application: 'stream',
    connections: 8,
    pipelined: 1,
    sizeBytes: 64 * kib,
  },
  {
    name: 'writes of 256 KB, 8 connections',
    application: 'stream',
    connections: 8,
    pipelined: 1,
    sizeBytes: 256 * kib,
  },
  { name: 'input of 64 KB, 1 connection', application: 'sink', connections: 1, pipelined: 1, sizeBytes: 64 * kib },
  { name: 'input of 64 KB, 32 connections', application: 'sink', connections: 32, pipelined: 1, sizeBytes: 64 * kib },
  { name: 'input of 64 KB, 256 connections', application: 'sink', connections: 256, pipelined: 1, sizeBytes: 64 * kib },
]

interface Flags {
  readonly seconds: number
  readonly rounds: number
}

const command = new Command('drop-in')
  .description('Applications on stock sockets and on Sheaf, alternating: messages per second, and server CPU for each.')
  .argument(
    '[names...]',
    'parts of the names of what to measure: http, https, HTTP/2, files, TLS, echo, Unix, writes, input',
    ['http'],
  )
  .option('--seconds <s>', 'length of one measurement', positive, 1)
  .option('--rounds <n>', 'measurements of each', positive, 15)
  .parse()
const flags = command.opts<Flags>()
const chosen = named(command, scenarios, command.args)
requireRing(command)

/**
 * The compiler takes so long: in its second second a server of HTTP takes 1.5 to 2 times as long for a request as in
 * its fourth. One of files has a tenth of the requests.
 */
const warmUpSeconds = ({ application }: Scenario): number => application === 'files' ? 12 : 4

/**
 * glibc keeps what buffers of files and input took, as it would if the heap happened to lie so. Else it gives it back
 * to the system in some processes of either kind and not in others: up to 44 page faults a request, and half the
 * requests.
 */
const keepsMemory = { MALLOC_TRIM_THRESHOLD_: String(2 ** 30) }

const program = (name: string): string => fileURLToPath(new URL(`${name}.js`, import.meta.url))
const register = import.meta.resolve('@sheaf/tcp/register')
/** What is measured has a CPU of its own. */
const onCpu = (cpu: number, words: readonly string[]): readonly string[] => ['-c', String(cpu), ...words]

/**
 * The application on sockets of one kind, running and compiled. It has collected all garbage once: some go on slower
 * afterwards, as V8 keeps more of what is young, and the first time comes in some processes and not in others.
 */
interface Application {
  readonly server: ChildProcessByStdio<Writable, Readable, null>
  /** Its port, or the path of its socket. */
  readonly address: string
}

async function start(kind: Kind, scenario: Scenario): Promise<Application> {
  const flag = kind === 'sheaf' ? ['--import', register] : []
  const { application, sizeBytes = 0 } = scenario
  const parameters = [application, directory, String(sizeBytes)]
  const words = [process.execPath, '--expose-gc', ...flag, program('drop-in-server'), ...parameters]
  const takesMuch = application === 'files' || application === 'sink'
  const env = takesMuch ? { ...process.env, ...keepsMemory } : process.env
  const server = spawn('taskset', onCpu(1, words), { env, stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface(server.stdout)
  const [address] = await once(lines, 'line') as [string]
  await load(scenario, address, warmUpSeconds(scenario))
  const collected = once(lines, 'line')
  server.stdin.write('collect\n')
  await collected
  return { server, address }
}

async function measure({ server, address }: Application, scenario: Scenario): Promise<Round> {
  const processId = server.pid ?? 0
  const { seconds } = flags
  const before = cpuSeconds(processId)
  const perSecond = await load(scenario, address, seconds)
  const cpu = cpuSeconds(processId) - before
  return { perSecond, cpuMicroseconds: cpu / (perSecond * seconds) * 1e6 }
}

async function stop({ server }: Application): Promise<void> {
  server.stdin.end()
  await once(server, 'close')
}

/** Both run from the beginning to the end, so that a short round of one is measured right beside one of the other. */
async function compare(scenario: Scenario): Promise<void> {
  const node = await start('node', scenario)
  const sheaf = await start('sheaf', scenario)
  const applications = { node, sheaf }
  try {
    await comparison.add(scenario.name, (kind) => measure(applications[kind], scenario))
  } finally {
    await Promise.all(Object.values(applications).map(stop))
  }
}

/** Loads a server for so many seconds. @returns messages per second. */
type Load = (scenario: Scenario, address: string, seconds: number) => Promise<number>

const load: Load = (scenario, ...rest) => {
  const { application } = scenario
  if (application === 'http2') return loadStreams(scenario, ...rest)
  const isHttp = ['http', 'https', 'files'].includes(application)
  return isHttp ? loadRequests(scenario, ...rest) : loadMessages(scenario, ...rest)
}

const loadMessages: Load = async ({ application, connections, pipelined, sizeBytes = 0 }, address, seconds) => {
  const words = [application, address, String(connections), String(seconds), String(pipelined), String(sizeBytes)]
  const { stdout } = await run('taskset', onCpu(0, [process.execPath, program('drop-in-load'), ...words]))
  return Number(stdout)
}

const loadRequests: Load = async ({ application, connections, once: asksOnce = false }, port, seconds) => {
  // Some of many connections to Node's sockets wait for two seconds, at which wrk would give them up.
  const words = [
    'wrk', '-t1', '--timeout', '10s', `-c${connections}`, `-d${seconds}s`,
    ...(asksOnce ? ['-H', 'Connection: close'] : []),
    `${application === 'https' ? 'https' : 'http'}://127.0.0.1:${port}/`,
  ]
  const { stdout } = await run('taskset', onCpu(0, words))
  const errors = /Socket errors.*|Non-2xx.*/.exec(stdout)
  if (errors !== null) throw new Error(`wrk: ${errors[0]}`)
  return Number(/Requests\/sec:\s*([\d.]+)/.exec(stdout)?.[1])
}

const loadStreams: Load = async ({ connections, pipelined }, port, seconds) => {
  const words = ['h2load', '-t1', `-c${connections}`, `-m${pipelined}`, `-D${seconds}`, `http://127.0.0.1:${port}/`]
  const { stdout } = await run('taskset', onCpu(0, words))
  const finished = /finished in .*, ([\d.]+) req\/s/.exec(stdout)
  if (finished === null || !stdout.includes(' 0 failed, 0 errored, 0 timeout')) throw new Error(`h2load: ${stdout}`)
  return Number(finished[1])
}

/** What the server serves as `identity.pem`. */
async function makeCertificate(): Promise<void> {
  const [key, certificate, identity] = ['key', 'certificate', 'identity'].map((name) => join(directory, `${name}.pem`))
  await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
    '-subj', '/CN=localhost', '-days', '1', '-keyout', key, '-out', certificate])
  writeFileSync(identity, readFileSync(key, 'utf8') + readFileSync(certificate, 'utf8'))
}

const comparison = new Comparison(flags.rounds)
const directory = mkdtempSync(join(tmpdir(), 'sheaf-drop-in-'))
try {
  await makeCertificate()
  for (const scenario of chosen) await compare(scenario)
} finally {
  rmSync(directory, { recursive: true, force: true })
}
console.log(comparison.toString())
console.log(`medians of ${flags.rounds}, alternating, ${flags.seconds} s each, the server on a CPU of its own`)
