import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import nodeNet from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultRing } from '@sheaf/ring'
import { runProgram, type SocketFamily, testSameAsNode, testSockets } from '@sheaf/ring/testing'
import { afterAll, describe, expect, it } from 'vitest'
import net from '../src/net'
import { fullSoon, kernelThreads } from './support'

const directory = mkdtempSync(join(tmpdir(), 'sheaf-'))
afterAll(() => rmSync(directory, { recursive: true }))
let servers = 0

const family: SocketFamily = { net, place: () => ({ path: join(directory, String(++servers)) }) }

testSockets('Unix', family, { describe, it })
testSameAsNode('Unix', family, { describe, it })

it('a server listens at a path that Node\'s permission model does not let it look at', async () => {
  const path = join(directory, 'unseen')
  const lines = await runProgram(`
    const { default: net } = await import('@sheaf/unix/net')
    const server = net.createServer((socket) => {
      socket.end('hello')
      server.close()
    }).on('error', console.log)
    server.listen(given, () => {
      net.connect(given).on('data', (data) => console.log(String(data))).on('error', (error) => console.log(error.code))
    })
  `, { given: path, flags: permission(process.cwd()) })
  expect(lines).toEqual(['hello'])
})

it('of workers that share a path, one that stands still keeps no connection from the others', async () => {
  const lines = await runProgram(`
    import cluster from 'node:cluster'
    import { readFileSync } from 'node:fs'
    import net from 'node:net'
    // The workers accept themselves.
    cluster.schedulingPolicy = cluster.SCHED_NONE
    cluster.setupPrimary({ execArgv: ['--import', '@sheaf/unix/register'], exec: given.worker })
    const workers = [cluster.fork({ WHERE: given.path }), cluster.fork({ WHERE: given.path })]
    await Promise.all(workers.map((worker) => new Promise((listening) => worker.once('listening', listening))))
    for (const { id, process: child } of workers) {
      child.kill('SIGSTOP')
      while (!readFileSync('/proc/' + child.pid + '/stat', 'latin1').includes(') T ')) await new Promise(setImmediate)
      for (let count = 0; count < 4; count++) {
        let answer = ''
        for await (const chunk of net.connect(given.path)) answer += String(chunk)
        console.log(answer !== '' && answer !== String(id))
      }
      child.kill('SIGCONT')
    }
    for (const worker of workers) worker.process.kill('SIGKILL')
  `, { given: { path: join(directory, 'shared'), worker: join(import.meta.dirname, 'fixtures/says-who.cjs') } })
  expect(lines).toEqual(Array.from({ length: 8 }, () => 'true'))
})

it('a full backlog is told as by node:net, and takes no thread', async () => {
  const path = join(directory, 'full')
  const { sockets } = defaultRing()
  const fd = fullSoon(defaultRing(), path, 1)
  const first = net.connect(path)
  await once(first, 'connect')
  const threads = kernelThreads()
  const errorOf = async ({ connect }: typeof nodeNet): Promise<unknown> => {
    const [error] = await once(connect(path).on('connect', () => expect.fail('connected')), 'error') as [Error]
    return { message: error.message, ...properties(error) }
  }
  const errors = await Promise.all(Array.from({ length: 20 }, () => errorOf(net)))
  const expected = await errorOf(nodeNet)
  expect(expected).toMatchObject({ code: 'EAGAIN', syscall: 'connect', address: path })
  for (const error of errors) expect(error).toEqual(expected)
  expect(kernelThreads()).toBeLessThanOrEqual(threads)
  first.destroy()
  sockets.close(fd)
})

/** What Node's errors carry besides the message. */
function properties(error: Error): object {
  return Object.fromEntries(Object.entries(error))
}

/** May read what there is to be loaded, and nothing else. */
function permission(folder: string): string[] {
  const [major] = process.versions.node.split('.').map(Number)
  const model = major < 24 ? '--experimental-permission' : '--permission'
  return [model, `--allow-fs-read=${join(folder, '../..')}/`, '--allow-addons', '--no-warnings']
}
