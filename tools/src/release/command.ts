import { spawn } from 'node:child_process'

export interface CommandOptions {
  readonly cwd: string
  readonly env?: NodeJS.ProcessEnv
  readonly timeoutMs?: number
  /** Ends the program, and the promise with it. */
  readonly signal: AbortSignal
}

/**
 * Runs a program to its end, without a shell and without input.
 * @returns what it wrote to its standard output.
 * @throws Error with both outputs when it ends with anything but 0, or not within `timeoutMs` (2 minutes).
 */
export async function run(command: string, parameters: readonly string[], options: CommandOptions): Promise<string> {
  const child = spawn(command, parameters, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: options.timeoutMs ?? 120_000,
    signal: options.signal,
    killSignal: 'SIGKILL',
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => { stdout += text })
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text })
  const ending = await new Promise<string>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => { resolve(signal ?? String(code)) })
  })
  if (ending !== '0') {
    throw new Error(`${command} ${parameters.join(' ')} ended with ${ending}\n${stdout}${stderr}`)
  }
  return stdout
}
