import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { connectTo, receiveAll, seededRandom, sendRandomly, Target } from './traffic'

const sources = fileURLToPath(new URL('../reference', import.meta.url))
let output = ''

beforeAll(() => {
  output = mkdtempSync(join(tmpdir(), 'sheaf-reference-'))
  execFileSync('make', ['--silent', '-C', sources, `OUT=${output}`, 'CFLAGS=-O2 -Werror'], { stdio: 'pipe' })
})

afterAll(() => {
  rmSync(output, { recursive: true })
})

/** The yardstick must do the same work: whatever it moves has to arrive whole. */
it.each([
  ['off', []],
  ['recv', []],
  ['send', []],
  ['both', []],
  ['recv', ['--send', 'sendmsg']],
  ['send', ['--recv', 'recvmsg']],
])('the C program with --bundle %s %j keeps every byte in order, both ways', async (bundle, flags) => {
  const target = await Target.open()
  const words = ['--listen', '127.0.0.1:0', '--to', `127.0.0.1:${target.port}`, '--bidirectional', '--bundle', bundle]
  const small = ['--buffer', '700', '--buffers', '64']
  const child = spawn(join(output, 'reference-proxy'), [...words, ...small, ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => {
    child.kill('SIGKILL')
    target.close()
  })
  const [said] = await once(child.stderr, 'data') as [Buffer]
  const port = Number(/listening on (\d+)/.exec(said.toString())?.[1])
  for (let index = 0; index < 8; index++) {
    const client = await connectTo(port)
    const server = await target.accepted(index)
    const [up, down, atServer, atClient] = await Promise.all([
      sendRandomly(client, seededRandom(index), 500_000, 100_000),
      sendRandomly(server, seededRandom(-index), 500_000, 100_000),
      receiveAll(server),
      receiveAll(client),
    ])
    expect(atServer.hash).toBe(up)
    expect(atClient.hash).toBe(down)
  }
  child.kill('SIGTERM')
  const [summary] = await once(child.stdout, 'data') as [Buffer]
  const { bytes, buffersReceived, buffersSent } = JSON.parse(summary.toString()) as Record<string, number>
  expect(bytes).toBe(8_000_000)
  expect(buffersSent).toBe(buffersReceived)
})
