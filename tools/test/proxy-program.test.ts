import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connectTo, receiveAll, seededRandom, sendRandomly, Target } from './traffic'

const proxy = fileURLToPath(new URL('../dist/proxy.js', import.meta.url))

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

interface Program {
  readonly child: ChildProcess
  /** What it has printed so far. */
  readonly said: { stdout: string, stderr: string }
  readonly ended: Promise<Ended>
}

/** Starts the proxy as it was built. */
function start(...words: string[]): Program {
  const child = spawn(process.execPath, [proxy, ...words], { stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => { child.kill('SIGKILL') })
  const said = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => { said.stdout += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => { said.stderr += chunk.toString() })
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, ...said }))
  return { child, said, ended }
}

/** Starts it, and waits until it listens. */
async function listening(...words: string[]) {
  const program = start('--listen', '127.0.0.1:0', ...words)
  const port = (): string | undefined => /listening on (\d+)/.exec(program.said.stderr)?.[1]
  await expect.poll(port, { timeout: 5000 }).toBeDefined()
  return { ...program, port: Number(port()) }
}

describe('a wrong command line is one line on stderr and exit code 2', () => {
  const to = ['--to', '127.0.0.1:9']
  it.each([
    ['no target', ['--listen', '8000'], '--to'],
    ['no port to listen on', to, '--listen'],
    ['a port that is none', ['--listen', '65536', ...to], '--listen'],
    ['a port that is no number', ['--listen', 'http', ...to], '--listen'],
    ['a target without a host', ['--listen', '0', '--to', '8000'], '--to'],
    ['a target at port 0', ['--listen', '0', '--to', 'localhost:0'], '--to'],
    ['an IPv6 address without brackets', ['--listen', '0', '--to', '::1:80'], '--to'],
    ['no buffers', ['--listen', '0', ...to, '--buffers', '0'], '--buffers'],
    ['more buffers than a ring has', ['--listen', '0', ...to, '--buffers', '32769'], '--buffers'],
    ['a buffer of no bytes', ['--listen', '0', ...to, '--buffer', '0'], '--buffer'],
    ['a size with a unit', ['--listen', '0', ...to, '--buffer', '4k'], '--buffer'],
    ['an unknown way to bundle', ['--listen', '0', ...to, '--bundle', 'all'], '--bundle'],
    ['an unknown flag', ['--listen', '0', ...to, '--fast'], '--fast'],
    ['a word too many', ['--listen', '0', ...to, 'extra'], 'arguments'],
  ])('%s', async (_what, words, named) => {
    const { code, stdout, stderr } = await start(...words).ended
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^proxy: [^\n]+\n$/)
    expect(stderr).toContain(named)
  })
})

it('an address in use is one line on stderr and exit code 1', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  onTestFinished(() => { other.close() })
  const { port } = other.address() as { port: number }
  const { code, stderr } = await start('--listen', `127.0.0.1:${port}`, '--to', '127.0.0.1:9').ended
  expect(code).toBe(1)
  expect(stderr).toMatch(/^proxy: [^\n]*EADDRINUSE[^\n]*\n$/)
})

it('--help explains itself and succeeds', async () => {
  const { code, stdout } = await start('--help').ended
  expect(code).toBe(0)
  expect(stdout).toContain('--bundle <which>')
})

describe.each(['SIGINT', 'SIGTERM'] as const)('%s', (signal) => {
  it('ends it in order, with a summary of what it did', async () => {
    const target = await Target.open()
    onTestFinished(() => { target.close() })
    const program = await listening('--to', `127.0.0.1:${target.port}`, '--stats')
    const client = await connectTo(program.port)
    const server = await target.accepted(0)
    const [sent, arrived] = await Promise.all([
      sendRandomly(client, seededRandom(1), 200_000, 10_000),
      receiveAll(server),
    ])
    expect(arrived.hash).toBe(sent)
    program.child.kill(signal)
    const { code, stdout } = await program.ended
    expect(code).toBe(0)
    const summary = JSON.parse(stdout) as Record<string, number>
    expect(summary).toMatchObject({ bytes: 200_000 })
    expect(summary.cpuSeconds).toBeGreaterThan(0)
    expect(summary.receives).toBeGreaterThan(0)
    expect(summary.buffersReceived).toBeGreaterThanOrEqual(49)
    expect(summary.buffersSent).toBeGreaterThan(0)
  })

  it('ends it also with connections open and bytes under way', async () => {
    const target = await Target.open()
    onTestFinished(() => { target.close() })
    const program = await listening('--to', `127.0.0.1:${target.port}`, '--bidirectional')
    const client = await connectTo(program.port)
    ;(await target.accepted(0)).pause()
    client.write(Buffer.alloc(32 * 2 ** 20))
    program.child.kill(signal)
    const { code, stdout } = await program.ended
    expect(code).toBe(0)
    expect(stdout).toBe('')
    client.destroy()
  })
})
