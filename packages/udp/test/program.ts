import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'

export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly output: string
  readonly errors: string
}

/** Runs a program that has `bind`, `connect` and `port`; by way of `wrapper` if there is one. */
export function run(program: string, port = 0, wrapper: readonly string[] = []): Promise<Ended> {
  const source = `import { bind, connect } from '@sheaf/udp'\nconst port = Number(process.argv[1])\n${program}`
  return ended([...wrapper, process.execPath, '--input-type=module', '-e', source, String(port)])
}

/** Runs a CommonJS program, with further arguments of Node's and further environment. */
export function runScript(
  program: string,
  nodeArguments: readonly string[] = [],
  environment: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  return ended([process.execPath, ...nodeArguments, '-e', program], environment)
}

/** Runs a file, as {@link runScript} does a text. */
export function runFile(
  path: string,
  nodeArguments: readonly string[] = [],
  environment: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  return ended([process.execPath, ...nodeArguments, path], environment)
}

async function ended([command, ...args]: string[], environment: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const child = spawn(command, args, { stdio: 'pipe', env: { ...process.env, ...environment } })
  // One that does not end by itself ends with the test.
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  let output = ''
  let errors = ''
  child.stdout.on('data', (chunk: Buffer) => { output += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => { errors += chunk.toString() })
  const [code, signal] = await once(child, 'close') as [number | null, string | null]
  return { code, signal, output, errors }
}
