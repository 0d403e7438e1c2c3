import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { Host } from './hosts'
import type { FromProgram, ToProgram } from './messages'

const startTimeoutMs = 10_000
const stopTimeoutMs = 5_000

/** Which CPUs a program may use: what is measured has one of its own, the source and the sink share the others. */
export type Place = 'measured' | 'load'

function hasProgram(name: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

const pinning = availableParallelism() > 1 && hasProgram('taskset')

/** For the reader of the results. */
export const pinningDescription = pinning
  ? 'the proxy on a CPU of its own, source and sink on the rest'
  : 'source, proxy and sink share all CPUs'

function pinned(place: Place, command: readonly string[]): readonly string[] {
  if (!pinning) return command
  const last = availableParallelism() - 1
  return ['taskset', '-c', place === 'measured' ? `${last}` : `0-${last - 1}`, ...command]
}

type Stdio = ('ignore' | 'inherit' | 'pipe' | 'ipc')[]

/** The programs that the lab has started and that have not ended. */
export class Processes {
  readonly #running = new Set<ChildProcess>()

  /** Starts a program that is driven by messages, and waits until it is ready. */
  async startDriven(host: Host, place: Place, command: readonly string[]): Promise<DrivenProgram> {
    const child = this.#spawn(host, place, command, ['ignore', 'inherit', 'inherit', 'ipc'])
    const program = new DrivenProgram(child)
    program.port = (await program.next('ready')).port ?? 0
    return program
  }

  /** Starts a proxy, and waits until it listens. */
  async startProxy(host: Host, command: readonly string[]): Promise<ProxyProgram> {
    const child = this.#spawn(host, 'measured', command, ['ignore', 'pipe', 'pipe'])
    return new ProxyProgram(child, await listeningPort(child, command))
  }

  /** Kills what is left. Synchronous, for a process that is about to exit. */
  killAll(): void {
    for (const child of this.#running) child.kill('SIGKILL')
    this.#running.clear()
  }

  #spawn(host: Host, place: Place, command: readonly string[], stdio: Stdio): ChildProcess {
    const [program = '', ...words] = host.on(pinned(place, command))
    const child = spawn(program, words, { stdio })
    this.#running.add(child)
    const gone = (): void => { this.#running.delete(child) }
    child.once('exit', gone)
    child.once('error', gone)
    return child
  }
}

/** Source or sink. */
export class DrivenProgram {
  /** Where it listens, if it does. */
  port = 0
  readonly #child: ChildProcess
  readonly #received: FromProgram[] = []
  #arrived: () => void = () => undefined

  constructor(child: ChildProcess) {
    this.#child = child
    child.on('message', (message: FromProgram) => {
      this.#received.push(message)
      this.#arrived()
    })
    child.once('exit', () => { this.#arrived() })
    child.once('error', () => { this.#arrived() })
  }

  send(message: ToProgram): void {
    this.#child.send(message)
  }

  /** The next message of a kind; others before it are dropped. @throws Error when the program ends instead. */
  async next<K extends FromProgram['kind']>(kind: K): Promise<Extract<FromProgram, { kind: K }>> {
    for (;;) {
      const message = this.#received.shift()
      if (message?.kind === kind) return message as Extract<FromProgram, { kind: K }>
      if (message !== undefined) continue
      if (this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined) {
        throw new Error(`${this.#child.spawnargs.join(' ')} ended (${this.#child.signalCode ?? this.#child.exitCode})`)
      }
      await new Promise<void>((resolve) => { this.#arrived = resolve })
    }
  }
}

/** A proxy under measurement. */
export class ProxyProgram {
  readonly #child: ChildProcess
  readonly port: number
  #printed = ''

  constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
    child.stdout?.on('data', (chunk: Buffer) => { this.#printed += chunk.toString() })
    // Nobody wants its statistics line by line; a full pipe would stop it.
    child.stderr?.resume()
  }

  get processId(): number {
    return this.#child.pid ?? 0
  }

  /** Ends it as a service manager would. @returns what it printed on stdout. */
  async stop(): Promise<string> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return this.#printed
    const ended = once(this.#child, 'close')
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), stopTimeoutMs)
    await ended
    clearTimeout(timer)
    return this.#printed
  }
}

async function listeningPort(child: ChildProcess, command: readonly string[]): Promise<number> {
  const { stderr } = child
  if (stderr === null) throw new Error('a proxy without stderr')
  let said = ''
  return new Promise((resolve, reject) => {
    const fail = (what: string): void => {
      clearTimeout(timer)
      reject(new Error(`${command.join(' ')}: ${what} ${said.trim()}`))
    }
    const timer = setTimeout(fail, startTimeoutMs, 'did not say that it listens:')
    stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      const port = /^listening on (\d+)$/m.exec(said)?.[1]
      if (port === undefined) return
      clearTimeout(timer)
      resolve(Number(port))
    })
    child.once('close', () => { fail('ended:') })
    child.once('error', (error) => { fail(error.message) })
  })
}
