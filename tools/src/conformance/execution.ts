import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TestFile } from './tree'

/** On what a test runs: Node's modules as they are, or with Sheaf's registered beneath. */
export type Subject = 'stock' | 'sheaf'

export interface Execution {
  readonly status: 'passed' | 'failed' | 'skipped'
  /** Why it was skipped, or the line of its output that says best why it failed. */
  readonly reason?: string
  /** The end of what a failed test printed. */
  readonly output?: string
  /** Requests that the test, and its children and workers, made to io_uring. */
  readonly submissions: number
  readonly milliseconds: number
}

export interface ExecutionOptions {
  /** The Node to test with. */
  readonly node: string
  readonly tree: string
  readonly timeoutMs: number
}

/** The first port of a test's own: those that run at the same time must not meet. */
const firstPort = 12_346
const portsPerSlot = 100

/** What would change a test's behaviour, or what it prints. */
const unwanted = /^(node_|npm_|force_color$|no_color$|(https?|no|all)_proxy$|ssl_cert_)/i

/** From where this is built to. */
const preload = fileURLToPath(new URL('../src/conformance/preload.cjs', import.meta.url))

function environment(test: TestFile, subject: Subject, slot: number, directory: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !unwanted.test(name))
  return {
    ...Object.fromEntries(kept),
    ...test.name.startsWith('parallel/') ? { TEST_PARALLEL: '1' } : {},
    ...subject === 'sheaf'
      ? { NODE_OPTIONS: `--require ${preload}`, SHEAF_CONFORMANCE_MARKS: join(directory, 'marks') }
      : {},
    NODE_TEST_DIR: join(directory, 'files'),
    NODE_COMMON_PORT: String(firstPort + portsPerSlot * slot),
    // The flags are given below; the test must not start itself again with them.
    NODE_SKIP_FLAG_CHECK: '1',
    TEST_THREAD_ID: String(slot),
    TEST_SERIAL_ID: String(slot),
    ...test.environment,
  }
}

/**
 * Runs one file in a process group of its own, which is gone afterwards; whoever has left it (`detached`) is not.
 * @param slot less than the number of tests that run at the same time, and different for each of them.
 */
export async function execute(
  test: TestFile, subject: Subject, slot: number, options: ExecutionOptions,
): Promise<Execution> {
  const directory = await mkdtemp(join(tmpdir(), 'sheaf-conformance-'))
  try {
    for (const name of ['files', 'marks']) mkdirSync(join(directory, name))
    const started = performance.now()
    const ending = await run(test, environment(test, subject, slot, directory), directory, options)
    const milliseconds = Math.round(performance.now() - started)
    const stdout = readFileSync(join(directory, 'stdout'), 'utf8')
    const stderr = readFileSync(join(directory, 'stderr'), 'utf8')
    const submissions = countSubmissions(join(directory, 'marks'))
    if (ending === 'exit 0') {
      const skipped = /^1\.\.0 # Skipped:?\s*(.*)$/m.exec(stdout)
      return skipped === null
        ? { status: 'passed', submissions, milliseconds }
        : { status: 'skipped', reason: skipped[1], submissions, milliseconds }
    }
    const output = `${stdout.slice(-2_000)}\n${stderr.slice(-6_000)}`.trim()
    return { status: 'failed', reason: diagnosis(ending, output), output, submissions, milliseconds }
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 3 })
  }
}

/** @returns how it ended: `exit` and the status, a signal's name, or that it took too long. */
function run(
  test: TestFile, env: NodeJS.ProcessEnv, directory: string, { node, tree, timeoutMs }: ExecutionOptions,
): Promise<string> {
  const outputs = ['stdout', 'stderr'].map((name) => openSync(join(directory, name), 'w'))
  // As Node's own runner does it: into files, from the tree's root. A group of its own, for tests that start others.
  const child = spawn(node, [...test.flags, join(tree, 'test', test.name)], {
    cwd: tree,
    env,
    stdio: ['ignore', ...outputs],
    detached: true,
  })
  for (const output of outputs) closeSync(output)
  const endGroup = (): void => {
    if (child.pid === undefined) return
    try {
      process.kill(-child.pid, 'SIGKILL')
    } catch {
      // Nobody is left in it.
    }
  }
  return new Promise((resolve, reject) => {
    let late = false
    const timer = setTimeout(() => {
      late = true
      endGroup()
    }, timeoutMs)
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      clearTimeout(timer)
      endGroup()
      if (late) resolve(`not ended after ${timeoutMs / 1000} s`)
      else resolve(code === null ? String(signal) : `exit ${code}`)
    })
  })
}

function countSubmissions(directory: string): number {
  return readdirSync(directory).reduce((sum, name) => sum + Number(readFileSync(join(directory, name), 'utf8')), 0)
}

function diagnosis(ending: string, output: string): string {
  const lines = output.split('\n').map((line) => line.trim())
  const line = lines.find((text) => /^(Uncaught )?\w*Error\b|^AssertionError|^Mismatched .* function calls/.test(text))
    ?? lines.find((text) => /error|assert/i.test(text)) ?? lines.at(-1) ?? ''
  return (ending === 'exit 1' ? line : `${ending}; ${line}`).slice(0, 200)
}
