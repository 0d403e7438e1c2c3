import { lockedMemory, Program } from '@sheaf/ring/testing'
import { describe, expect, it } from 'vitest'
import { runFile, runScript } from '../program'

const registered = ['--import', '@sheaf/udp/register']

/** Prints, at the end, what went through the ring. */
const countThrough = `
const { defaultRing } = require('@sheaf/udp')
process.on('exit', () => {
  const { messagesWritten, messagesRead } = defaultRing().metrics
  console.log(JSON.stringify({ messagesWritten, messagesRead }))
})`

describe('programs under @sheaf/udp/register', () => {
  it.each(['--import', '-r'])('use Sheaf for node:dgram, by %s, and Node when it is taken back', async (how) => {
    const { code, output, errors } = await runScript(`
      const dgram = require('dgram')
      const sheaf = require('@sheaf/udp/dgram')
      const { unregister, register } = require('@sheaf/udp/register')
      const same = () => dgram.createSocket === sheaf.createSocket && dgram.Socket === sheaf.Socket
      import('node:dgram').then((esm) => {
        console.log(same(), esm.createSocket === sheaf.createSocket, esm.default === dgram)
        unregister()
        console.log(same(), esm.createSocket === sheaf.createSocket)
        console.log(register(), same())
      })
    `, [how, '@sheaf/udp/register'], { SHEAF_LOG: '1' })
    expect(output).toBe('true true true\nfalse false\ntrue true\n')
    expect(errors.split('\n')[0]).toMatch(/^sheaf: @sheaf\/udp stands in for node:dgram, on io_uring of Linux /)
    expect(code).toBe(0)
  })

  it('use Node where there is no io_uring, and are told why', async () => {
    const { output, errors } = await runScript(`
      const dgram = require('dgram')
      const sheaf = require('@sheaf/udp/dgram')
      console.log(sheaf.createSocket === dgram.createSocket, sheaf.Socket === dgram.Socket, sheaf.default === dgram)
      const socket = dgram.createSocket('udp4', (message) => { console.log(String(message)); socket.close() })
      socket.bind(0, () => socket.send('by node', socket.address().port))
    `, registered, { SHEAF_DISABLE: '1', SHEAF_LOG: '1' })
    expect(output).toBe('true true true\nby node\n')
    expect(errors).toBe('sheaf: @sheaf/udp leaves node:dgram as it is: '
      + 'io_uring is switched off by SHEAF_DISABLE in the environment.\n')
  })

  it('are unmodified: node-statsd counts', async () => {
    const { code, output, errors } = await runScript(`${countThrough}
      const dgram = require('dgram')
      const StatsD = require('node-statsd')
      const lines = []
      const server = dgram.createSocket('udp4', (message) => {
        lines.push(String(message))
        if (lines.length < 100) return
        console.log(lines.every((line, index) => line === 'app.requests:' + (index + 1) + '|c'), lines.length)
        server.close()
        client.close()
      })
      let client
      server.bind(0, '127.0.0.1', () => {
        client = new StatsD({ host: '127.0.0.1', port: server.address().port, prefix: 'app.' })
        for (let index = 0; index < 100; index++) client.increment('requests', index + 1)
      })
    `, registered)
    expect(errors).toBe('')
    expect(output).toBe(`true 100\n${JSON.stringify({ messagesWritten: 100, messagesRead: 100 })}\n`)
    expect(code).toBe(0)
  })

  it('are unmodified: multicast-dns asks and answers', async () => {
    const { code, output, errors } = await runScript(`${countThrough}
      const multicastDns = require('multicast-dns')
      const options = { interface: '127.0.0.1', bind: '0.0.0.0', port: 15353 }
      const responder = multicastDns(options)
      const asker = multicastDns(options)
      responder.on('query', (query) => {
        if (query.questions[0]?.name !== 'sheaf.local') return
        responder.respond({ answers: [{ name: 'sheaf.local', type: 'A', ttl: 1, data: '192.0.2.7' }] })
      })
      asker.on('response', ({ answers }) => {
        console.log(answers[0].name, answers[0].data)
        asker.destroy()
        responder.destroy()
      })
      responder.on('ready', () => asker.query('sheaf.local', 'A'))
    `, registered)
    expect(errors).toBe('')
    const [answer, counted] = output.split('\n')
    expect(answer).toBe('sheaf.local 192.0.2.7')
    const { messagesWritten, messagesRead } = JSON.parse(counted) as Record<string, number>
    expect(messagesWritten).toBeGreaterThanOrEqual(2)
    expect(messagesRead).toBeGreaterThanOrEqual(2)
    expect(code).toBe(0)
  })

  it('end as they do with Node: an unbound or unreferenced socket keeps nothing alive', async () => {
    const { code, output } = await runScript(`
      const dgram = require('dgram')
      dgram.createSocket('udp4')
      const socket = dgram.createSocket('udp4')
      socket.bind(0, () => {
        socket.unref()
        socket.send('x', socket.address().port, (error, bytes) => console.log('sent', bytes))
      })
    `, registered)
    expect(output).toBe('sent 1\n')
    expect(code).toBe(0)
  })

  it('work in worker threads', async () => {
    const { output, code } = await runScript(`
      const { Worker } = require('worker_threads')
      const worker = new Worker(\`
        const dgram = require('dgram')
        const { parentPort } = require('worker_threads')
        const socket = dgram.createSocket('udp4', (message, from) => socket.send(message, from.port, from.address))
        socket.bind(0, '127.0.0.1', () => parentPort.postMessage(socket.address().port))
      \`, { eval: true })
      worker.on('message', (port) => {
        const client = require('dgram').createSocket('udp4', (message) => {
          console.log(String(message))
          client.close()
          worker.terminate()
        })
        client.send('to a worker and back', port, '127.0.0.1')
      })
    `, registered)
    expect(output).toBe('to a worker and back\n')
    expect(code).toBe(0)
  })

  it('share a port in a cluster, and close with it', async () => {
    const { output, errors, code } = await runFile('test/fixtures/cluster.cjs', registered)
    expect(errors).toBe('')
    expect(output).toBe('1 2 true,true\n')
    expect(code).toBe(0)
  })
})

const ways: [string, string[]][] = [['node:dgram', []], ['@sheaf/udp/dgram', registered]]
describe.each(ways)('in a worker of a cluster a socket of %s', (_name, flags) => {
  it('is told that the primary could not bind', async () => {
    const { output, errors } = await runFile('test/fixtures/cluster-worker.cjs', [...flags], { HOW: 'taken' })
    expect(errors).toBe('')
    expect(output).toBe('EADDRINUSE bind\nexit 0\n')
  })

  it('may be closed when it is bound', async () => {
    const { output, errors } = await runFile('test/fixtures/cluster-worker.cjs', [...flags], { HOW: 'closed' })
    expect(errors).toBe('')
    expect(output).toBe('close\nexit 0\n')
  })

  it.each([['by that', ''], ['by itself', '1']])('that is closed %s says so before the worker is disconnected', async (
    _how, closes,
  ) => {
    const { output, errors } = await runFile('test/fixtures/cluster-closing.cjs', [...flags], { CLOSES: closes })
    expect(errors).toBe('')
    expect(output).toBe('bound\nclosed\nexit 0\n')
  })

  it('that is member of a group before it is bound leaves no descriptor', async () => {
    const { output, errors } = await runFile('test/fixtures/cluster-membership.cjs', [...flags])
    expect(errors).toBe('')
    expect(output).toBe('0\n')
  })
})

it.each(ways)('a child that is given sockets has them with %s, and leaves no descriptor', async (_name, flags) => {
  const { output, errors } = await runFile('test/fixtures/given-sockets.cjs', [], { FLAGS: JSON.stringify(flags) })
  expect(errors).toBe('')
  expect(output.split('\n')).toEqual([...[0, 1, 2, 3, 4].map((count) => `datagram ${count}`), '0', ''])
})

it('errors of listeners and callbacks are reported in the async context that they are in', async () => {
  const { output } = await runScript(`
    const { AsyncLocalStorage } = require('node:async_hooks')
    const storage = new AsyncLocalStorage()
    process.on('uncaughtException', (error) => console.log(error.message, 'in', storage.getStore()))
    const fail = (what) => { throw new Error(what) }
    async function lines(dgram) {
      const socket = storage.run('socket', () => dgram.createSocket('udp4'))
      await new Promise((done) => socket.bind(0, '127.0.0.1', done))
      await new Promise((done) => {
        socket.once('message', () => {
          setImmediate(done)
          fail('message')
        })
        socket.send('datagram', socket.address().port, '127.0.0.1')
      })
      await new Promise((done) => storage.run('send', () => {
        socket.send('datagram', socket.address().port, '127.0.0.1', () => {
          setImmediate(done)
          fail('sent')
        })
      }))
      const closed = new Promise((done) => { process.once('uncaughtException', done) })
      socket.on('close', () => fail('close')).close()
      await closed
      console.log('---')
    }
    lines(require('node:dgram')).then(() => lines(require('@sheaf/udp/dgram')))`)
  const [expected, actual] = output.split('---').map((part) => part.trim())
  expect(expected).toContain('message in socket')
  expect(actual).toBe(expected)
})

it.each([0, 16, 64, 128, 192, 1024])('works with %i KB of locked memory, on whatever sockets', async (limitKb) => {
  const program = new Program(`
    import dgram from '@sheaf/udp/dgram'
    const socket = dgram.createSocket('udp4', (message) => {
      console.log(String(message))
      socket.close()
    }).bind(0, '127.0.0.1', () => socket.send('echo', socket.address().port, '127.0.0.1'))
  `, { through: lockedMemory(limitKb) })
  expect(await program.line()).toBe('echo')
  expect(await program.ended).toMatchObject({ code: 0, errors: '' })
})
