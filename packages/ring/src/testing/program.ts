import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** How a process ended. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** What it wrote to its standard error. */
  readonly errors: string
}

export interface ProgramOptions {
  /** `given` in the program: anything that JSON can say. */
  readonly given?: unknown
  /** Flags for Node.js. */
  readonly flags?: readonly string[]
  /** A command, with its arguments, that runs the one that follows. */
  readonly through?: readonly string[]
}

/** A Node.js process of its own that runs a module's text, and says what it has to say line by line. */
export class Program {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  /** What it has printed, in lines. */
  readonly lines: string[] = []
  #told = 0
  readonly #waiting: ((line: string) => void)[] = []

  /** @param text a module's, found in the working directory, that has `given`. */
  constructor(text: string, options: ProgramOptions = {}) {
    const { given = null, flags = [], through = [] } = options
    const source = `const given = JSON.parse(process.argv[1])\n${text}`
    const node = [process.execPath, ...flags, '--input-type=module', '--eval', source, JSON.stringify(given)]
    const [command, ...args] = [...through, ...node]
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.child = child
    let errors = ''
    child.stderr.setEncoding('utf8').on('data', (data: string) => { errors += data })
    createInterface(child.stdout).on('line', (line) => {
      this.lines.push(line)
      const waiting = this.#waiting.shift()
      if (waiting !== undefined) waiting(this.lines[this.#told++])
    })
    this.ended = once(child, 'close').then(([code, signal]) =>
      ({ code: code as number | null, signal: signal as NodeJS.Signals | null, errors }))
  }

  /** The next line that it prints. @throws Error with what it said instead, if it ends first. */
  line(): Promise<string> {
    if (this.#told < this.lines.length) return Promise.resolve(this.lines[this.#told++])
    return new Promise((resolve, reject) => {
      this.#waiting.push(resolve)
      void this.ended.then((ended) => reject(new Error(`the program ended: ${JSON.stringify(ended)}`)))
    })
  }

  /** Sends a signal; to end it at once unless another is named. */
  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.child.kill(signal)
  }
}

/** Runs a program to its end. @returns all that it printed, in lines. @throws Error with what it said, if it failed. */
export async function runProgram(text: string, options: ProgramOptions = {}): Promise<string[]> {
  const program = new Program(text, options)
  const { code, signal, errors } = await program.ended
  if (code !== 0) throw new Error(`the program ended by ${signal ?? code ?? ''}: ${errors}`)
  return program.lines
}
