import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build, type BuildOptions } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const node = promisify(execFile)
const here = fileURLToPath(new URL('.', import.meta.url))

const program = `
  import net from '@sheaf/tcp/net'
  import { openDefaultRing } from '@sheaf/ring'
  import '@sheaf/tcp/register'
  import http from 'node:http'
  const server = http.createServer((request, response) => response.end('answer')).listen(0, '127.0.0.1', () => {
    const socket = net.connect(server.address().port, '127.0.0.1', () => {
      socket.end('GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n')
    })
    let answer = ''
    socket.on('data', (chunk) => { answer += chunk }).on('close', () => {
      server.close()
      new net.Socket().on('error', () => undefined).connect({ path: '/dev/null/nobody' })
      console.log(answer.endsWith('answer'), (openDefaultRing()?.metrics.bytesRead ?? 0) > answer.length)
    })
  })
`

let directory: string

beforeAll(() => {
  // Among the packages, or what is left out of a bundle is not found.
  directory = mkdtempSync(join(here, 'bundles-'))
})

afterAll(() => rmSync(directory, { recursive: true }))

async function runBundled(options: BuildOptions): Promise<{ stdout: string, stderr: string }> {
  const outfile = join(directory, options.format === 'esm' ? 'bundle.mjs' : 'bundle.cjs')
  await build({
    stdin: { contents: program, resolveDir: here }, bundle: true, platform: 'node', logLevel: 'error', outfile,
    ...options,
  })
  return await node(process.execPath, [outfile], { env: { ...process.env, SHEAF_LOG: '1' } })
}

describe.each(['esm', 'cjs'] as const)('an application in one file (%s)', (format) => {
  it('is on io_uring if @sheaf/native is left out', async () => {
    const { stdout, stderr } = await runBundled({ format, external: ['@sheaf/native'] })
    expect(stderr).toContain('stands in for node:net')
    expect(stderr).toContain('sheaf: Node\'s own sockets for paths: ')
    expect(stdout).toBe('true true\n')
  })

  it('is on Node\'s sockets if it is not, and says why', async () => {
    const { stdout, stderr } = await runBundled({ format })
    expect(stderr).toContain('a bundler must leave @sheaf/native out')
    expect(stdout).toBe('true false\n')
  })
})
