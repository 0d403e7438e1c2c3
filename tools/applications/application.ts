/**
 * Programs that know nothing of Sheaf, run on it by `--import @sheaf/tcp/register`. What went through Sheaf's ring is
 * reported by `programs/report.mjs` when they end.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'

const reportDescriptor = 3

/** What the ring of a program says in the end. */
export interface Traffic {
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly messagesRead: number
  readonly messagesWritten: number
  readonly accepted: number
  readonly connected: number
}

/** A program that is running. */
export class Application {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #name: string
  readonly #ended: Promise<unknown>
  readonly #reports: AsyncIterator<string>
  #errors = ''

  /**
   * @param directory where the programs are.
   * @param flags of Node's: what makes it use Sheaf.
   */
  constructor(directory: string, name: string, parameters: readonly (string | number)[], flags: readonly string[]) {
    this.#name = name
    this.#child = spawn(
      process.execPath,
      [...flags, '--import', './report.mjs', name, ...parameters.map(String)],
      { cwd: directory, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] },
    )
    const { stdout, stderr, stdio } = this.#child
    if (stdout === null || stderr === null) throw new Error('pipes were asked for')
    this.#lines = createInterface(stdout)[Symbol.asyncIterator]()
    stderr.on('data', (chunk: Buffer) => { this.#errors += chunk.toString() })
    this.#reports = createInterface(stdio[reportDescriptor] as Readable)[Symbol.asyncIterator]()
    this.#ended = once(this.#child, 'close')
  }

  get processId(): number {
    return this.#child.pid ?? 0
  }

  /** The next line that it prints. @throws Error when it ends before. */
  line(): Promise<string> {
    return this.#next(this.#lines)
  }

  async #next(lines: AsyncIterator<string>): Promise<string> {
    const next = await lines.next()
    if (next.done !== true) return next.value
    await this.#ended
    throw this.#ending()
  }

  /** Has it collect all garbage. Wants `--expose-gc`. */
  async collect(): Promise<void> {
    this.#child.kill('SIGUSR2')
    await this.#next(this.#reports)
  }

  /** The port that a server says it listens on. */
  async port(): Promise<number> {
    const port = /^listening on (\d+)$/.exec(await this.line())?.[1]
    return Number(port)
  }

  /** Waits for the end. @throws Error when it failed, or complained. */
  async end(): Promise<Traffic> {
    await this.#ended
    if (this.#child.exitCode !== 0 || this.#errors !== '') throw this.#ending()
    return JSON.parse(await this.#next(this.#reports)) as Traffic
  }

  #ending(): Error {
    return new Error(`${this.#name} ended (${this.#child.signalCode ?? this.#child.exitCode}): ${this.#errors}`)
  }

  /** Asks a server to end, as a service manager does. */
  async stop(): Promise<Traffic> {
    this.#child.kill('SIGTERM')
    return this.end()
  }

  /** For whoever may have to give up before the end. Harmless then. */
  kill(): void {
    this.#child.kill('SIGKILL')
  }
}
