/** Servers of others, from Debian's packages: each on loopback, with its data in a directory that goes when it ends. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, chownSync, constants, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import { tmpdir } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'

const startTimeoutMs = 60_000
const stopTimeoutMs = 10_000
const pollMs = 20

/** Of what a server said, as much as an error message should show. */
const saidBytesMax = 4000

export interface Running {
  readonly port: number
  readonly processId: number
  /** Ends it and removes its data. Harmless when repeated. */
  stop(): Promise<void>
}

export interface Account {
  readonly uid: number
  readonly gid: number
}

export interface Start {
  readonly command: string
  readonly parameters: readonly string[]
  readonly port: number
  /** Its data; removed when it has ended. */
  readonly directory: string
  /** Whom it runs as, if not as we do. */
  readonly account?: Account | undefined
  /** What it says when it is ready; if nothing, it is when it accepts connections. */
  readonly ready?: RegExp
}

/** Where a program is, also if it is one of the administrator's. */
export function findProgram(name: string, ...directories: string[]): string | undefined {
  const places = [...directories, ...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return places.map((directory) => join(directory, name)).find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** @throws Error when it is not installed; tests ask {@link findProgram} first. */
export function program(name: string, ...directories: string[]): string {
  const path = findProgram(name, ...directories)
  if (path === undefined) throw new Error(`${name} is not installed (.ci/install-servers)`)
  return path
}

/** Somebody else for servers that refuse to run as root; nobody else when we are not root. */
export function unprivileged(name: string): Account | undefined {
  if (process.getuid?.() !== 0) return undefined
  const line = readFileSync('/etc/passwd', 'utf8').split('\n').find((entry) => entry.startsWith(`${name}:`))
  if (line === undefined) throw new Error(`no account ${name} on this machine`)
  const [, , uid, gid] = line.split(':').map(Number)
  return { uid, gid }
}

export function temporaryDirectory(account?: Account): string {
  const directory = mkdtempSync(join(tmpdir(), 'sheaf-'))
  if (account !== undefined) chownSync(directory, account.uid, account.gid)
  return directory
}

/** Below the ports that Linux gives to clients (32768 and up), lest one of them takes it before the server does. */
const firstPort = 20_000
const portCount = 12_000

/** A port of loopback that nobody listens on. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = firstPort + Math.floor(Math.random() * portCount)
    const server = createServer()
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => { resolve(false) })
      server.listen(port, '127.0.0.1', () => { resolve(true) })
    })
    if (!free) continue
    server.close()
    await once(server, 'close')
    return port
  }
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const accepted = await new Promise<boolean>((resolve) => {
    socket.once('connect', () => { resolve(true) })
    socket.once('error', () => { resolve(false) })
  })
  socket.destroy()
  return accepted
}

/** Runs a program to its end. @throws Error when it fails. */
export async function run(command: string, parameters: readonly string[], account?: Account): Promise<void> {
  const child = spawn(command, parameters, { ...account, stdio: ['ignore', 'pipe', 'pipe'] })
  const said = collect(child)
  const [code] = await once(child, 'close') as [number | null]
  if (code !== 0) throw new Error(`${command} ${parameters.join(' ')} ended (${code}): ${said()}`)
}

/** @returns the last of what a process has said. */
function collect(child: ChildProcess): () => string {
  let said = ''
  const add = (chunk: Buffer): void => { said = (said + chunk.toString()).slice(-saidBytesMax) }
  child.stdout?.on('data', add)
  child.stderr?.on('data', add)
  return () => said
}

/** Starts a server, and waits until it is ready. */
export async function startServer(start: Start): Promise<Running> {
  const { command, parameters, port, directory, account, ready } = start
  const child = spawn(command, parameters, { ...account, cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] })
  const said = collect(child)
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => { resolve() })
    child.once('error', () => { resolve() })
  })
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null || child.pid === undefined
  const kill = (): void => { child.kill('SIGKILL') }
  // Whoever started it may end before it asks for that.
  process.once('exit', kill)
  const stop = async (): Promise<void> => {
    if (!isOver()) {
      child.kill('SIGTERM')
      const timer = setTimeout(kill, stopTimeoutMs)
      await ended
      clearTimeout(timer)
    }
    process.off('exit', kill)
    rmSync(directory, { recursive: true, force: true })
  }
  const deadline = Date.now() + startTimeoutMs
  while (!(ready === undefined ? await accepts(port) : ready.test(said()))) {
    if (isOver() || Date.now() > deadline) {
      await stop()
      throw new Error(`${command} ${isOver() ? 'ended' : 'is not ready'}: ${said()}`)
    }
    await delay(pollMs)
  }
  return { port, processId: child.pid ?? 0, stop }
}
