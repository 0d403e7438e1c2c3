import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** A package registry on loopback that knows only what is published to it. */
export interface Registry {
  readonly url: string
  close(): Promise<void>
}

const configuration = `
storage: ./storage
auth:
  htpasswd:
    file: ./htpasswd
    max_users: -1
uplinks: {}
packages:
  '**':
    access: $all
    publish: $all
max_body_size: 200mb
web:
  enable: false
log: { type: file, path: ./verdaccio.log, level: warn }
`

/** @param directory where everything published is kept; made here, and the caller's to remove. */
export async function openRegistry(directory: string, signal: AbortSignal): Promise<Registry> {
  await mkdir(directory)
  const port = await freePort()
  const url = `http://127.0.0.1:${port}/`
  await writeFile(join(directory, 'config.yaml'), configuration)
  const program = createRequire(import.meta.url).resolve('verdaccio/bin/verdaccio')
  const child = fork(program, ['--config', 'config.yaml', '--listen', `127.0.0.1:${port}`], {
    cwd: directory,
    // It warns that it runs as root, if it does.
    execArgv: ['--no-warnings'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  try {
    await answering(child, url, signal)
  } catch (error) {
    await end(child)
    throw error
  }
  return { url, close: () => end(child) }
}

/** A port that nobody listened on a moment ago: verdaccio can't tell which one it was given. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('a TCP server without a port')
  return address.port
}

async function answering(child: ChildProcess, url: string, signal: AbortSignal): Promise<void> {
  const deadlineMs = Date.now() + 30_000
  while (Date.now() < deadlineMs) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error('verdaccio ended at once')
    const answer = await fetch(`${url}-/ping`, { signal }).catch(() => undefined)
    if (answer?.ok) return
    await delay(100, undefined, { signal })
  }
  throw new Error('verdaccio did not answer within 30 s')
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}
