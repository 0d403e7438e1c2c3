import { spawn } from 'node:child_process'
import { once } from 'node:events'

export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly output: string
  readonly errors: string
}

/** Runs a program that has `bind`, `connect` and `port`; by way of `wrapper` if there is one. */
export async function run(program: string, port = 0, wrapper: readonly string[] = []): Promise<Ended> {
  const source = `import { bind, connect } from '@sheaf/udp'\nconst port = Number(process.argv[1])\n${program}`
  const [command, ...args] = [...wrapper, process.execPath, '--input-type=module', '-e', source, String(port)]
  const child = spawn(command, args, { stdio: 'pipe' })
  let output = ''
  let errors = ''
  child.stdout.on('data', (chunk: Buffer) => { output += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => { errors += chunk.toString() })
  const [code, signal] = await once(child, 'close') as [number | null, string | null]
  return { code, signal, output, errors }
}
