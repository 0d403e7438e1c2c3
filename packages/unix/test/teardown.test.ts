import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { until } from '@sheaf/ring/testing'
import { expect, it, onTestFinished } from 'vitest'
import { directory } from './support'

interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly errors: string
}

/** Runs a program, which uses what was built, with `path` set to its argument. */
async function run(program: string, path: string): Promise<Ended> {
  const source = `import { connect, listen, socketpair } from '@sheaf/unix'\nconst path = process.argv[1]\n${program}`
  const child = spawn(process.execPath, ['--input-type=module', '-e', source, path], { stdio: 'pipe' })
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => { errors += chunk.toString() })
  const [code, signal] = await once(child, 'close') as [number | null, string | null]
  return { code, signal, errors }
}

it('a process that exits right after write loses nothing of it', async () => {
  const path = join(directory(), 's')
  let bytes = 0
  let closed = false
  const sink = createServer((socket) => {
    socket.on('data', (chunk: Buffer) => { bytes += chunk.byteLength })
    socket.on('close', () => { closed = true })
  }).listen(path)
  await once(sink, 'listening')
  onTestFinished(() => void sink.close())
  const ended = await run(`
    const connection = await connect({ path }, {})
    connection.write('x'.repeat(10_000))
    process.exit(7)
  `, path)
  expect(ended).toEqual({ code: 7, signal: null, errors: '' })
  await until(() => closed, 'the close')
  expect(bytes).toBe(10_000)
})

it.each(['listen({ path }, {})', 'datagram.bind({ path }, {})', 'listen({ path }, {}).then((made) => made.close())'])(
  'a worker that is terminated takes its file along, and no other that is in its place: %s', async (make) => {
    const place = directory()
    for (const name of ['its', 'replaced']) {
      const path = join(place, name)
      const worker = new Worker(`
        const { parentPort, workerData: path } = require('node:worker_threads')
        const { listen, datagram } = require('@sheaf/unix')
        ${make}.then(() => parentPort.postMessage('made'))
        setInterval(() => undefined, 1000)
      `, { eval: true, execArgv: [], workerData: path })
      await once(worker, 'message')
      if (name === 'replaced') {
        rmSync(path, { force: true })
        writeFileSync(path, '')
      }
      await worker.terminate()
      expect(existsSync(path)).toBe(name === 'replaced')
    }
  },
)

it('a process that ends with traffic in flight, or by an uncaught exception, takes its file along', async () => {
  const path = join(directory(), 's')
  const busy = `
    await listen({ path }, { open: (c) => { c.pause(); c.write(Buffer.alloc(5_000_000)) } })
    const open = { open: (c) => { c.pause(); c.write(Buffer.alloc(5_000_000)) } }
    for (let i = 0; i < 10; i++) await connect({ path }, open)
    socketpair({}, open)
  `
  expect(await run(`${busy}; setTimeout(() => process.exit(3), 20)`, path)).toEqual({
    code: 3, signal: null, errors: '',
  })
  expect(existsSync(path)).toBe(false)
  const thrown = await run(`${busy}; setTimeout(() => { throw new Error('mine') }, 20)`, path)
  expect(thrown).toMatchObject({ code: 1, signal: null })
  expect(thrown.errors).toContain('Error: mine')
  expect(existsSync(path)).toBe(false)
})

it('a worker terminated with traffic in flight leaves no descriptor', async () => {
  const path = join(directory(), 's')
  const program = `
    const { parentPort, workerData } = require('node:worker_threads')
    const { connect, listen } = require('@sheaf/unix')
    const large = Buffer.alloc(1_000_000)
    const pump = (c) => { while (c.write(large)); }
    listen({ path: workerData, removeStale: true }, { data: (c, chunk) => void c.write(chunk) }).then(() => {
      let open = 0
      for (let i = 0; i < 10; i++) {
        connect({ path: workerData }, {
          open(c) { if (i % 3 === 0) c.pause(); pump(c); if (++open === 10) parentPort.postMessage('busy') },
          drain: pump,
        })
      }
    })
    parentPort.on('message', () => process.exit())
  `
  const cycle = async (end: (worker: Worker) => unknown): Promise<void> => {
    const worker = new Worker(program, { eval: true, workerData: path, execArgv: [] })
    await once(worker, 'message')
    const exited = once(worker, 'exit')
    await end(worker)
    await exited
  }
  await cycle((worker) => worker.terminate())
  const before = readdirSync('/proc/self/fd').length
  for (let round = 0; round < 10; round++) {
    await cycle((worker) => round % 2 === 0 ? worker.terminate() : worker.postMessage('exit'))
  }
  expect(readdirSync('/proc/self/fd').length).toBe(before)
})
