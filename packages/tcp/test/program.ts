import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'

export interface Ended {
  readonly code: number | null
  readonly output: string
  readonly errors: string
}

/** Runs JavaScript in a process of its own, for a test: one that does not end by itself ends with that. */
export async function run(
  source: string, flags: readonly string[] = [], environment: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  const env = { ...process.env, ...environment }
  const child = spawn(process.execPath, [...flags, '-e', source], { stdio: 'pipe', env })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  let output = ''
  let errors = ''
  child.stdout.on('data', (chunk: Buffer) => { output += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => { errors += chunk.toString() })
  const [code] = await once(child, 'close') as [number | null]
  return { code, output, errors }
}
