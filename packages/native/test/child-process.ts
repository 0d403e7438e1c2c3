import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface Outcome {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface ChildOptions {
  readonly arguments?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  /** A command that runs Node.js, with its arguments, in its place. */
  readonly through?: readonly string[]
}

/** Where a program for child processes and workers is. They load the package as built. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`fixtures/${name}`, import.meta.url))
}

/** Runs one of the fixtures in a Node.js process of its own, to its end. */
export function runFixture(name: string, options: ChildOptions = {}): Promise<Outcome> {
  return run([process.execPath, '--expose-gc', fixture(name), ...options.arguments ?? []], options)
}

/** Runs a module's text in a Node.js process of its own, to its end. */
export function runModule(text: string, options: ChildOptions = {}): Promise<Outcome> {
  return run([process.execPath, '--expose-gc', '--input-type=module', '--eval', text], options)
}

/** Runs any command in this package's folder, to its end. */
export function run(command: readonly string[], options: ChildOptions = {}): Promise<Outcome> {
  const { through = [], environment = {} } = options
  const [file = '', ...rest] = [...through, ...command]
  return new Promise((resolve, reject) => {
    const child = spawn(file, rest, {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => { stdout += text })
    child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text })
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
}

/** What a child that was to print one line of JSON and end well printed. Fails with what it said instead. */
export function report(outcome: Outcome): unknown {
  if (outcome.code !== 0) {
    throw new Error(`child ended with ${outcome.code ?? outcome.signal ?? ''}:\n${outcome.stdout}${outcome.stderr}`)
  }
  return JSON.parse(outcome.stdout)
}
