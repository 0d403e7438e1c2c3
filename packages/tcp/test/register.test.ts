import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EventLoopUtilization } from 'node:perf_hooks'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { lockedMemory, Program } from '@sheaf/ring/testing'
import { type Ended, run } from './program'

const asModule = ['--import', '@sheaf/tcp/register', '--input-type=module']
const asScript = ['--require', '@sheaf/tcp/register', '--input-type=commonjs']

let directory: string
let certificate: string

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'sheaf-register-'))
  certificate = join(directory, 'certificate.pem')
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
    '-subj', '/CN=localhost', '-days', '2', '-keyout', join(directory, 'key.pem'), '-out', certificate],
  { stdio: 'ignore' })
})

afterAll(() => rmSync(directory, { recursive: true }))

/** Ends a program with what the ring of its thread has carried. */
const report = `
  process.on('exit', () => {
    const metrics = require('@sheaf/ring').openDefaultRing()?.metrics
    const { bytesRead, bytesWritten } = metrics ?? { bytesRead: 0, bytesWritten: 0 }
    console.log(JSON.stringify({ result, bytesRead, bytesWritten }))
  })
`

interface Carried<T> {
  readonly result: T
  readonly bytesRead: number
  readonly bytesWritten: number
}

/** Runs an application that leaves its result in `result`. @returns that, and what went through Sheaf. */
async function carried<T>(
  application: string, flags = asScript, environment: NodeJS.ProcessEnv = {},
): Promise<Carried<T>> {
  const begin = flags.includes('--input-type=module')
    ? "import { createRequire } from 'node:module'; const require = createRequire(process.cwd() + '/'); let result;"
    : 'let result;'
  const ended = await run(`${begin}${report}${application}`, flags, environment)
  expect(ended).toMatchObject({ code: 0, errors: '' })
  return JSON.parse(ended.output) as Carried<T>
}

const tlsOptions = (): string => `{
  key: require('fs').readFileSync(${JSON.stringify(join(directory, 'key.pem'))}),
  cert: require('fs').readFileSync(${JSON.stringify(certificate)}),
}`

const http2Server = `
      const http2 = require('http2')
      const server = http2.createServer()
      server.on('stream', (stream) => {
        stream.respond({ ':status': 200 })
        stream.end('body')
      })`

describe('an application that is not changed, with @sheaf/tcp/register', () => {
  const answer = 'x'.repeat(100_000)
  const httpApplication = (load: string): string => `
    ${load}
    const server = http.createServer((request, response) => response.end('x'.repeat(100_000)))
    server.listen(0, '127.0.0.1', () => {
      http.get({ port: server.address().port, host: '127.0.0.1' }, async (response) => {
        result = ''
        for await (const chunk of response) result += chunk
        server.close()
        http.globalAgent.destroy()
      })
    })`

  it('has Node load nothing that is not needed for it', async () => {
    const without = 'console.log(process.moduleLoadList.some((name) => /webcrypto|undici/.test(name)))'
    expect(await run(without, asModule)).toEqual({ code: 0, errors: '', output: 'false\n' })
    const alone = 'import \'@sheaf/tcp/net\'; console.log(process.moduleLoadList.includes(\'NativeModule crypto\'))'
    expect(await run(alone, ['--input-type=module'])).toEqual({ code: 0, errors: '', output: 'false\n' })
  })

  it('tells the parts of an HTTP/2 answer one after the other, also if they come in one piece', async () => {
    const { result } = await carried<string[]>(`
      ${http2Server}
      server.listen(0, '127.0.0.1', () => {
        const session = http2.connect('http://127.0.0.1:' + server.address().port)
        const request = session.request({ ':path': '/' })
        result = []
        for (const event of ['response', 'data', 'end']) request.on(event, () => result.push(event))
        request.on('close', () => {
          session.close()
          server.close()
        })
      })`)
    expect(result).toEqual(['response', 'data', 'end'])
  })

  it.each([
    ['an ES module', "const { default: http } = await import('node:http')", asModule],
    ['names imported from an ES module', "import * as http from 'node:http'", asModule],
    ['a script', "const http = require('http')", asScript],
  ])('serves and requests http from %s', async (_kind, load, flags) => {
    const { result, bytesRead, bytesWritten } = await carried<string>(httpApplication(load), flags)
    expect(result).toBe(answer)
    expect(bytesRead).toBe(bytesWritten)
    expect(bytesWritten).toBeGreaterThan(answer.length)
  })

  it('goes on as it was where there is no io_uring', async () => {
    const { result, bytesWritten } = await carried<string>(
      httpApplication("const http = require('http')"), asScript, { SHEAF_DISABLE: '1' })
    expect(result).toBe(answer)
    expect(bytesWritten).toBe(0)
  })

  it('sends megabytes both ways through TLS, whole and in order', async () => {
    const { result, bytesRead } = await carried<string[]>(`
      const tls = require('tls')
      const { createHash, randomFillSync } = require('crypto')
      const data = randomFillSync(Buffer.alloc(20_000_000))
      const digest = (chunk) => createHash('sha256').update(chunk).digest('hex')
      const server = tls.createServer(${tlsOptions()}, (socket) => socket.pipe(socket))
      server.listen(0, '127.0.0.1', () => {
        const client = tls.connect({ port: server.address().port, host: '127.0.0.1', rejectUnauthorized: false })
        const chunks = []
        client.on('data', (chunk) => chunks.push(chunk))
        client.on('end', () => server.close())
        client.on('close', () => { result = [digest(data), digest(Buffer.concat(chunks))] })
        client.end(data)
      })`)
    expect(result[1]).toBe(result[0])
    expect(bytesRead).toBeGreaterThan(40_000_000)
  })

  it('says on a TLS socket which host it is for, and which addresses were tried', async () => {
    const { result } = await carried<unknown[]>(`
      const tls = require('tls')
      const lookup = (host, options, done) => setImmediate(done, null, [
        { address: '::1', family: 6 }, { address: '127.0.0.1', family: 4 },
      ])
      const server = tls.createServer(${tlsOptions()}, (socket) => socket.end())
      server.listen(0, '127.0.0.1', () => {
        const { port } = server.address()
        const options = { port, host: 'localhost', rejectUnauthorized: false, autoSelectFamily: true, lookup }
        const client = tls.connect(options, () => {
          const attempted = client.autoSelectFamilyAttemptedAddresses
          result = [client._host, ...attempted.map((address) => address.replace(':' + port, ''))]
          server.close()
        })
        client.resume()
      })`)
    expect(result).toEqual(['localhost', '::1', '127.0.0.1'])
  })

  it('gives the memory of what TLS has encrypted back as it is sent', async () => {
    const { result, bytesWritten } = await carried<number>(`
      const tls = require('tls')
      const { Worker } = require('worker_threads')
      const client = (port) => require('tls').connect({ port, host: '127.0.0.1', rejectUnauthorized: false }).resume()
      const server = tls.createServer(${tlsOptions()}, (socket) => {
        const data = Buffer.alloc(40_000)
        let left = 2000
        result = -process.memoryUsage().arrayBuffers
        let most = 0
        const write = () => {
          most = Math.max(most, process.memoryUsage().arrayBuffers)
          if (left-- > 0) socket.write(data, write)
          else socket.end()
        }
        write()
        socket.resume().on('close', () => { result += most; server.close() })
      })
      server.listen(0, '127.0.0.1', () => {
        new Worker('(' + client + ')(' + server.address().port + ')', { eval: true })
      })`)
    expect(bytesWritten).toBeGreaterThan(80_000_000)
    expect(result).toBeLessThan(2_000_000)
  })

  it('leaves with the peer what a slow reader of TLS has not read', async () => {
    const { result } = await carried<number>(`
      const tls = require('tls')
      const { metrics } = require('@sheaf/ring').defaultRing()
      const { Worker } = require('worker_threads')
      const client = (port) => {
        const socket = require('tls').connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
          socket.on('error', () => undefined).write(Buffer.alloc(64_000_000))
        })
      }
      result = 0
      const server = tls.createServer(${tlsOptions()}, (socket) => {
        socket.on('error', () => undefined).on('data', () => {
          socket.pause()
          result = Math.max(result, metrics.bytesRead - socket.bytesRead)
          if (socket.bytesRead > 4_000_000) process.exit()
          else setImmediate(() => socket.resume())
        })
      })
      server.listen(0, '127.0.0.1', () => {
        new Worker('(' + client + ')(' + server.address().port + ')', { eval: true })
      })`)
    expect(result).toBeGreaterThan(0)
    expect(result).toBeLessThan(2_000_000)
  })

  it.each([
    ['https', 'https', "get({ port, host: '127.0.0.1', rejectUnauthorized: false }, (response) => take(response))"],
    ['http2', 'http2', "connect('http://127.0.0.1:' + port).request({ ':path': '/' })"],
  ])('tells over %s who the peer is', async (_name, module, request) => {
    const { result, bytesRead } = await carried<string>(`
      const module = require('${module}')
      const options = ${module === 'https' ? tlsOptions() : '{}'}
      const server = module.createServer(options, (request, response) => response.end(request.socket.remoteAddress))
      const take = async (stream) => {
        result = ''
        for await (const chunk of stream) result += chunk
        process.exit()
      }
      server.listen(0, '127.0.0.1', () => {
        const { port } = server.address()
        const made = module.${request}
        if ('${module}' === 'http2') take(made)
      })`)
    expect(result).toBe('127.0.0.1')
    expect(bytesRead).toBeGreaterThan(0)
  })

  it('sends many streams of HTTP/2 side by side both ways, each whole and in order', async () => {
    const { result, bytesRead } = await carried<{ streams: number, wrong: number[], bytes: number }>(`
      const http2 = require('http2')
      const { randomFillSync } = require('crypto')
      // Writes of megabytes, more than the kernel has room for. With room for all streams at once a session has more in
      // memory than it may (maxSessionMemory), and stands still: on Node's own sockets, too.
      const window = 4 * 1024 * 1024
      const settings = { maxConcurrentStreams: 300, initialWindowSize: window }
      const server = http2.createServer({ settings })
      server.on('session', (session) => session.setLocalWindowSize(window))
      server.on('stream', (stream) => {
        stream.respond({ ':status': 200 })
        stream.pipe(stream)
      })
      server.listen(0, '127.0.0.1', () => {
        const session = http2.connect('http://127.0.0.1:' + server.address().port, { settings })
        session.on('connect', () => session.setLocalWindowSize(window))
        const sizes = Array.from({ length: 200 }, (_, index) => index % 20 === 19 ? index * 9001 : index * index % 977)
        result = { streams: 0, wrong: [], bytes: 0 }
        for (const [index, size] of sizes.entries()) {
          const body = randomFillSync(Buffer.alloc(size))
          const stream = session.request({ ':method': 'POST' })
          const chunks = []
          stream.on('data', (chunk) => chunks.push(chunk))
          stream.on('end', () => {
            if (!Buffer.concat(chunks).equals(body)) result.wrong.push(index)
            result.bytes += size
            if (++result.streams === sizes.length) session.close(() => server.close())
          })
          const piece = index % 40 === 39 ? size : 701
          for (let sent = 0; sent < size; sent += piece) stream.write(body.subarray(sent, Math.min(size, sent + piece)))
          stream.end()
        }
      })`)
    expect(result).toMatchObject({ streams: 200, wrong: [] })
    expect(bytesRead).toBeGreaterThan(2 * result.bytes)
  })

  const alwaysBusy = 'const next = () => { if (result === undefined) setImmediate(next) }; next()'

  it.for([
    ['an idle event loop', ''],
    ['one that always has immediates', alwaysBusy],
  ])('has an answer of http2 leave along with its end: %s', async ([, also]) => {
    const { result } = await carried<{ answers: string[], sends: number }>(`
      const http2 = require('http2')
      const { once } = require('events')
      const server = http2.createServer((request, response) => response.end('answer'))
      server.listen(0, '127.0.0.1', async () => {
        const session = http2.connect('http://127.0.0.1:' + server.address().port, { rejectUnauthorized: false })
        const ask = async () => {
          const request = session.request({ ':path': '/' })
          let text = ''
          for await (const chunk of request) text += chunk
          return text
        }
        await ask()
        ${also}
        const { metrics } = require('@sheaf/ring').defaultRing()
        const before = metrics.sends
        const answers = [await ask(), await ask(), await ask(), await ask(), await ask()]
        result = { answers, sends: metrics.sends - before }
        session.close()
        server.close()
      })`)
    expect(result.answers).toEqual(Array(5).fill('answer'))
    // A question and an answer each.
    expect(result.sends).toBeLessThanOrEqual(10)
  })

  it('says over http2 why a session is destroyed, and sends what was written to a stream before it is', async () => {
    const { result } = await carried<unknown[]>(`
      const http2 = require('http2')
      const { NGHTTP2_REFUSED_STREAM } = http2.constants
      result = []
      const server = http2.createServer()
      server.on('session', (session) => session.on('error', () => undefined))
      server.on('stream', (stream, headers) => {
        stream.on('error', () => undefined)
        if (headers[':path'] === '/session') {
          stream.session.destroy(NGHTTP2_REFUSED_STREAM)
          return
        }
        stream.write('written')
        stream.destroy(new Error('destroyed'))
      })
      server.listen(0, '127.0.0.1', async () => {
        const { once } = require('events')
        const session = http2.connect('http://127.0.0.1:' + server.address().port)
        session.on('error', (error) => result.push(error.message))
        const stream = session.request({ ':path': '/stream' })
        stream.on('data', (chunk) => result.push(String(chunk)))
        stream.on('error', ({ message }) => result.push(message))
        await new Promise((resolve) => stream.on('close', resolve))
        session.request({ ':path': '/session' }).on('error', ({ message }) => result.push(message))
        await new Promise((resolve) => session.on('close', resolve))
        server.close()
      })`)
    expect(result.sort()).toEqual([
      'Session closed with error code 7', 'Session closed with error code 7',
      'Stream closed with error code NGHTTP2_INTERNAL_ERROR', 'written',
    ])
  })

  it('has a stream of HTTP/2 read slowly to its end, whose peer closes the session gracefully', async () => {
    const { result } = await carried<string[]>(`
      const http2 = require('http2'), { setTimeout: sleep } = require('timers/promises')
      result = []
      const readSlowly = async (name, stream) => {
        let bytes = 0
        try {
          for await (const chunk of stream) {
            bytes += chunk.length
            await sleep(10)
          }
        } catch (error) {
          result.push(error.code)
        }
        result.push(name + ' ' + bytes)
        if (result.length >= 2) process.exit()
      }
      const server = http2.createServer().on('stream', (stream, { ':path': path }) => {
        stream.respond()
        if (path === '/download') {
          stream.end(Buffer.alloc(40_000))
          stream.session.close()
        } else {
          stream.end('an early answer')
          void readSlowly('upload', stream)
        }
      }).listen(0, '127.0.0.1', () => {
        for (const name of ['upload', 'download']) {
          const session = http2.connect('http://127.0.0.1:' + server.address().port)
          const request = session.request({ ':path': '/' + name, ':method': 'POST' })
          if (name === 'upload') {
            request.resume().on('end', () => session.close()).end(Buffer.alloc(40_000))
          } else {
            request.end()
            void readSlowly('download', request)
          }
        }
      })`)
    expect(result.sort()).toEqual(['download 40000', 'upload 40000'])
  })

  it('waits for the socket that an application connects for its HTTP/2 session', async () => {
    const { result } = await carried<unknown[]>(`
      const net = require('net')
      ${http2Server}
      server.listen(0, '127.0.0.1', () => {
        const { port } = server.address()
        const socket = net.connect(port, '127.0.0.1')
        function createConnection(authority, options) {
          result = [authority.port === String(port), this === options, options.given]
          return socket
        }
        const session = http2.connect('http://127.0.0.1:' + port, { createConnection, given: 'given' }, (made) => {
          result.push(made === session)
        })
        const request = session.request({ ':path': '/' })
        result.push(session.connecting, request.pending)
        for (const event of ['ready', 'response', 'data', 'end']) request.on(event, () => result.push(event))
        request.on('close', () => {
          session.close()
          server.close()
        })
      })`)
    expect(result).toEqual([true, true, 'given', true, true, true, 'ready', 'response', 'data', 'end'])
  })

  it('does not use a kept-alive connection again whose server was closed two immediates before', async () => {
    const { result } = await carried<string[]>(`
      const http = require('http'), { once } = require('events')
      const { setImmediate: immediate } = require('timers/promises')
      const agent = new http.Agent({ keepAlive: true })
      let port = 0
      result = []
      void (async () => {
        for (let round = 0; round < 4; round++) {
          const server = http.createServer((request, response) => response.end('served')).listen(port, '127.0.0.1')
          await once(server, 'listening')
          port = server.address().port
          await immediate()
          await immediate()
          const request = http.get({ port, host: '127.0.0.1', agent })
          const answered = once(request, 'response').then(([response]) => once(response.resume(), 'end'))
          result.push(await answered.then(() => 'answered', ({ code }) => code))
          server.closeAllConnections()
          await new Promise((closed) => server.close(closed))
        }
        agent.destroy()
      })()`)
    expect(result).toEqual(['answered', 'answered', 'answered', 'answered'])
  })

  it('gives its sockets and servers to the programs that it starts', async () => {
    const { result } = await carried<string[]>(`
      const net = require('net'), { spawn } = require('child_process'), { once } = require('events')
      const print = "process.stdout.write('child')"
      const serve = "require('net').createServer((socket) => socket.end('child'))"
        + ".listen({ fd: 3 }, () => process.stdout.write('ready'))"
      const answer = async (port) => {
        let text = ''
        for await (const chunk of net.connect(port, '127.0.0.1')) text += chunk
        return text
      }
      const server = net.createServer((socket) => {
        socket.write('parent, ')
        // What is a child's as well is not read by its parent until that says so.
        spawn(process.execPath, ['-e', print], { stdio: ['ignore', socket, 'inherit'] })
          .on('exit', () => socket.resume().end())
      })
      server.listen(0, '127.0.0.1', async () => {
        const { port } = server.address()
        result = [await answer(port)]
        const child = spawn(process.execPath, ['-e', serve], { stdio: ['ignore', 'pipe', 'inherit', server] })
        await once(child.stdout, 'data')
        server.close()
        await once(server, 'close')
        result.push(await answer(port))
        child.kill()
      })`)
    expect(result).toEqual(['parent, child', 'child'])
  })

  it.each(['process.nextTick', 'queueMicrotask'])('goes on when what %s runs after an event throws', async (later) => {
    const { result } = await carried<{ answers: number, thrown: string[] }>(`
      const net = require('net')
      result = { answers: 0, thrown: [] }
      process.on('uncaughtException', (error) => result.thrown.push(error.message))
      const server = net.createServer((socket) => socket.on('data', (chunk) => {
        socket.write(chunk)
        ${later}(() => { throw new Error('after an event') })
      }))
      server.listen(0, '127.0.0.1', () => {
        for (let index = 0; index < 3; index++) {
          const client = net.connect(server.address().port, '127.0.0.1', () => client.write('x'))
          client.on('data', () => { if (++result.answers === 3) setImmediate(() => process.exit()) })
        }
      })`)
    expect(result).toEqual({ answers: 3, thrown: Array.from({ length: 3 }, () => 'after an event') })
  })

  it('ends with the error itself when nobody listens for it', async () => {
    const { code, errors } = await run(`
      const net = require('net')
      const server = net.createServer((socket) => {
        process.nextTick(() => { throw new Error('after an event') })
      })
      server.listen(0, '127.0.0.1', () => net.connect(server.address().port, '127.0.0.1'))`, asScript)
    expect(code).toBe(1)
    expect(errors).toContain('Error: after an event')
  })

  it('goes on while a test has stopped the clock', async () => {
    // As `sinon.useFakeTimers()` does it.
    const { result } = await carried<string[]>(`
      const net = require('net'), timers = require('timers')
      const never = () => ({ ref() {}, unref() {} })
      for (const name of ['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask']) {
        globalThis[name] = never
        if (name in timers) timers[name] = never
      }
      result = []
      const server = net.createServer((socket) => {
        socket.once('data', () => socket.setTimeout(10, () => socket.end('late')))
      })
      server.listen(0, '127.0.0.1', () => {
        const socket = net.connect(server.address().port, '127.0.0.1', () => socket.write('question'))
        for (const name of ['data', 'end', 'close']) socket.on(name, () => result.push(name))
        socket.once('close', () => server.close(() => result.push('closed')))
      })`)
    expect(result).toEqual(['data', 'end', 'close', 'closed'])
  })

  it.each([
    [['--pending-deprecation', '--throw-deprecation']],
    [['--frozen-intrinsics', '--no-warnings']],
    [['--disable-proto=throw', '--disallow-code-generation-from-strings']],
  ])('runs with %s', async (flags) => {
    const { result, bytesRead } = await carried<number>(`
      const tls = require('tls')
      result = 0
      const server = tls.createServer(${tlsOptions()}, (socket) => socket.pipe(socket)).listen(0, '127.0.0.1', () => {
        const socket = tls.connect({ port: server.address().port, rejectUnauthorized: false })
        socket.on('data', (chunk) => { result += chunk.length }).on('end', () => server.close())
        socket.end(Buffer.alloc(100_000))
      })`, [...flags, ...asModule])
    expect(result).toBe(100_000)
    expect(bytesRead).toBeGreaterThan(2 * result)
  })

  it('shows in an error which async functions were waiting', async () => {
    const { result } = await carried<string>(`
      const net = require('net'), { once } = require('events')
      async function answer(socket) {
        await once(socket, 'data')
        throw new Error('on purpose')
      }
      async function ask(socket) {
        socket.write('question')
        return await answer(socket)
      }
      async function application(port) {
        await ask(net.connect(port, '127.0.0.1'))
      }
      const server = net.createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1', () => {
        application(server.address().port).catch(({ stack }) => {
          result = stack
          process.exit()
        })
      })`)
    expect(result).toMatch(/at answer .*at async ask .*at async application /s)
    const frames = result.split('\n').slice(1)
    const waiting = frames.findIndex((frame) => frame.includes('at async '))
    // What has thrown, what of Node runs after an event, and those of a turn.
    expect(waiting).toBeLessThanOrEqual(1 + 2 + 3)
  })

  it.each(['node:net', 'Sheaf'])('on %s comes back between parts of a request\'s body and its end', async (on) => {
    const { result } = await carried<string[]>(`
      const http = require('http')
      result = []
      const server = http.createServer((request, response) => {
        const { url } = request
        request.on('data', (chunk) => {
          result.push(url + ' ' + chunk)
          process.nextTick(() => result.push('tick ' + request.complete))
          Promise.resolve().then(() => result.push('promise ' + request.complete))
        })
        request.on('end', () => {
          result.push('end')
          response.end()
          if (url === '/2') process.exit()
        })
      })
      const post = (path) => 'POST ' + path + ' HTTP/1.1\\r\\nHost: here\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n'
        + '3\\r\\none\\r\\n3\\r\\ntwo\\r\\n0\\r\\n\\r\\n'
      server.listen(0, '127.0.0.1', () => {
        require('net').connect(server.address().port, '127.0.0.1').write(post('/1') + post('/2'))
      })`, on === 'Sheaf' ? asScript : [])
    const body = (path: string): string[] => ['one', 'two'].flatMap((part) =>
      [`${path} ${part}`, 'tick false', 'promise false'])
    expect(result).toEqual([...body('/1'), 'end', ...body('/2'), 'end'])
  })

  it('leaves what comes to a child that has the socket, too', async () => {
    const { result } = await carried<string[]>(`
      const net = require('net')
      const { spawn } = require('child_process')
      const use = \`
        const socket = new (require('net').Socket)({ fd: 3 })
        socket.write('from the child')
        socket.on('data', (data) => {
          console.log(String(data))
          process.exit()
        })\`
      const server = net.createServer((socket) => socket.on('data', (data) => socket.write('echo ' + data)))
      server.listen(0, '127.0.0.1', () => {
        const socket = net.connect(server.address().port, '127.0.0.1', () => {
          const child = spawn(process.execPath, ['-e', use], { stdio: ['ignore', 'pipe', 'inherit', socket] })
          socket.on('data', (data) => { result.push('parent: ' + data) })
          child.stdout.on('data', (data) => { result.push('child: ' + data) })
          child.on('close', () => process.exit())
        })
      })
      result = []`)
    expect(result).toEqual(['child: echo from the child\n'])
  })

  it('gives a connection what was asked of the TLS socket on it before it was there', async () => {
    const { result } = await carried<unknown[]>(`
      const tls = require('tls')
      const { execFileSync } = require('child_process')
      const { defaultRing } = require('@sheaf/tcp')
      const server = tls.createServer(${tlsOptions()}, (socket) => socket.resume()).listen(0, '127.0.0.1', () => {
        const { port } = server.address()
        const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
        socket.setNoDelay().setKeepAlive(true, 50_000)
        const early = [socket.localPort, Object.keys(socket.address())]
        socket.on('secureConnect', () => {
          const isIts = ({ localAddress }) => localAddress?.port === socket.localPort
          const { fd, ring } = [...defaultRing().members].find(isIts)
          const noDelay = new Uint8Array(4)
          ring.sockets.getsockopt(fd, 6, 1, noDelay)
          const timer = execFileSync('ss', ['-tnoH', 'sport', '=', ':' + socket.localPort], { encoding: 'utf8' })
          result = [early, socket.localPort === socket.address().port, noDelay[0], /keepalive,4[0-9]sec/.test(timer)]
          process.exit()
        })
      })`)
    expect(result).toEqual([[null, []], true, 1, true])
  })

  // urllib marks each error with the socket that it has destroyed, once.
  it('has a failed connection destroy the TLS socket on it, and nothing else by that error', async () => {
    const { result } = await carried<string[]>(`
      const tls = require('tls'), net = require('net'), { once } = require('events')
      const { setTimeout: wait } = require('timers/promises')
      const seen = []
      const { destroy } = net.Socket.prototype
      net.Socket.prototype.destroy = function (error) {
        if (error) seen.push(this.constructor.name + ' ' + error.code)
        return destroy.call(this, error)
      }
      const watch = (name, socket) => socket
        .on('error', ({ code }) => seen.push(name + ' ' + code + ' ' + socket.destroyed))
        .on('close', (failed) => seen.push(name + ' closed ' + failed)).resume()
      const told = () => seen.splice(0).join(', ')
      void (async () => {
        const results = []
        const refused = watch('refused', tls.connect(1, '127.0.0.1'))
        await once(refused, 'close').catch(() => once(refused, 'close'))
        results.push(told())
        const raws = []
        const server = tls.createServer(${tlsOptions()}, (socket) => socket.on('error', () => undefined))
        server.on('connection', (raw) => raws.push(raw)).listen(0, '127.0.0.1')
        await once(server, 'listening')
        const { port } = server.address()
        for (const how of ['own', 'given']) {
          const raw = how === 'given' ? watch('beneath', net.connect(port, '127.0.0.1')) : undefined
          const target = raw === undefined ? { port, host: '127.0.0.1' } : { socket: raw }
          const client = watch(how, tls.connect({ ...target, rejectUnauthorized: false }))
          await once(client, 'secureConnect')
          await wait(20)
          raws.pop().resetAndDestroy()
          await wait(50)
          results.push(told())
        }
        server.once('secureConnection', (socket) => watch('served', socket))
        const beneath = net.connect(port, '127.0.0.1')
        await once(tls.connect({ socket: beneath, rejectUnauthorized: false }), 'secureConnect')
        watch('beneath', raws[0])
        await wait(20)
        beneath.resetAndDestroy()
        await wait(50)
        results.push(told())
        result = results
        process.exit()
      })()`)
    expect(result).toEqual([
      'TLSSocket ECONNREFUSED, refused ECONNREFUSED true, refused closed true',
      'TLSSocket ECONNRESET, own ECONNRESET true, own closed true',
      'TLSSocket ECONNRESET, given ECONNRESET true, beneath closed false, given closed true',
      'TLSSocket ECONNRESET, served ECONNRESET true, beneath closed false, served closed true',
    ])
  })

  it.each(['accepted', 'connected'])('has it destroy the topmost of several, of those %s', async (told) => {
    const { result } = await carried<string[]>(`
      const tls = require('tls'), net = require('net')
      const secureContext = tls.createSecureContext(${tlsOptions()}), rejectUnauthorized = false
      result = []
      const sides = { accepted: {}, connected: {} }
      const put = (side, raw, top) => {
        let outer
        for (const name of ['outer', 'inner']) {
          const socket = top(outer ?? raw)
          outer ??= socket
          socket.on('error', ({ code }) => { if (side === '${told}') result.push(name + ' ' + code) })
          socket.on('close', (failed) => { if (side === '${told}') result.push(name + ' closed ' + failed) })
          sides[side] = { raw, inner: socket }
        }
      }
      const server = net.createServer((raw) => {
        put('accepted', raw, (beneath) => new tls.TLSSocket(beneath, { isServer: true, secureContext }))
        sides.accepted.inner.write('hello')
      }).listen(0, '127.0.0.1', () => {
        const raw = net.connect(server.address().port, '127.0.0.1')
        put('connected', raw, (socket) => tls.connect({ socket, rejectUnauthorized }))
        sides.connected.inner.on('data', () => setTimeout(() => {
          sides['${told === 'accepted' ? 'connected' : 'accepted'}'].raw.resetAndDestroy()
          setTimeout(process.exit, 50)
        }, 20))
      })`)
    expect(result).toEqual(['inner ECONNRESET', 'outer closed false', 'inner closed true'])
  })

  it('tells async_hooks whose a connection, or a listener, is', async () => {
    const { result } = await carried<Record<string, boolean>>(`
      const net = require('net'), resources = {}
      require('async_hooks').createHook({
        init(_id, type, _trigger, resource) { (resources[type] ??= []).push(resource) },
      }).enable()
      const server = net.createServer((served) => {
        const owners = resources.TCPWRAP.map(({ owner }) => owner)
        result = {
          server: resources.TCPSERVERWRAP[0].owner === server,
          both: owners.includes(served) && owners.includes(client),
        }
        process.exit()
      }).listen(0, '127.0.0.1', () => { client = net.connect(server.address().port, '127.0.0.1') })
      let client`)
    expect(result).toEqual({ server: true, both: true })
  })

  it('tells servers and writers in the async contexts that Node does', async () => {
    const application = `
      const http = require('http'), net = require('net'), { AsyncLocalStorage } = require('async_hooks')
      const who = new AsyncLocalStorage(), log = (what) => result.push([what, who.getStore()])
      result = []
      const served = (server, get) => new Promise((resolve) => {
        server.listen(0, '127.0.0.1', () => get(server.address().port)).on('close', resolve)
      })
      const large = Buffer.alloc(8e6)
      // The first that uses a socket in the process is somebody's.
      const first = who.run('the first', () => net.connect(1, '127.0.0.1'))
      first.on('error', () => who.exit(async () => {
        const server = net.createServer((socket) => {
          log('connection')
          for (const event of ['end', 'close']) socket.on(event, () => log(event))
          socket.once('data', () => log('data')).on('close', () => server.close())
        })
        await served(server, (port) => who.run('client', () => {
          const client = net.connect(port, '127.0.0.1', () => {
            client.on('drain', () => log('drain')).on('finish', () => log('finish'))
            who.run('writer', () => client.write(large, () => log('written')))
            who.run('ender', () => client.end(() => log('ended')))
          }).resume()
        }))
        let requests = 0
        const web = http.createServer((request, response) => who.run('request ' + ++requests, () => {
          for (const event of ['finish', 'close', 'drain']) response.on(event, () => log('response ' + event))
          response.write(large, () => log('answered'))
          response.end()
        }))
        await served(web, async (port) => {
          const agent = new http.Agent({ keepAlive: true })
          for (let request = 0; request < 2; request++) {
            await new Promise((resolve) => {
              http.get({ port, agent }, (response) => setTimeout(() => response.resume().on('end', resolve), 100))
            })
          }
          agent.destroy()
          web.close()
        })
        process.exit()
      }))`
    const byName = (events: [string, string][]): string[] => events.map((event) => event.join(': ')).sort()
    const nodes = await carried<[string, string][]>(application, ['--input-type=commonjs'])
    const { result } = await carried<[string, string][]>(application)
    expect(byName(result)).toEqual(byName(nodes.result))
    expect(result).toContainEqual(['answered', 'request 2'])
  })

  it('has async_hooks see each event begin and end once, whatever its listeners throw', async () => {
    const application = `
      const net = require('net'), entered = new Map(), types = new Map(), triggers = {}, wrong = []
      require('async_hooks').createHook({
        init(id, type, trigger) { types.set(id, type), (triggers[type] ??= []).push(types.get(trigger)) },
        before(id) { entered.set(id, (entered.get(id) ?? 0) + 1) },
        after(id) {
          const times = entered.get(id) ?? 0
          if (times === 0) wrong.push(types.get(id) ?? id)
          else entered.set(id, times - 1)
        },
        destroy(id) { types.delete(id) },
      }).enable()
      let thrown = 0
      const fail = () => { throw new Error('a listener fails') }
      process.on('uncaughtException', () => thrown++)
      const server = net.createServer((socket) => {
        socket.on('data', () => {
          setImmediate(() => socket.end())
          process.nextTick(fail)
          fail()
        })
        fail()
      }).listen(0, '127.0.0.1', () => {
        const client = net.connect(server.address().port, '127.0.0.1').on('close', () => server.close(() => {
          setTimeout(() => {
            const left = [...entered].filter(([id, times]) => times !== 0 && types.get(id) !== 'Timeout').length
            const open = [...types.values()].filter((type) => /^TCP(SERVER)?WRAP$/.test(type))
            result = { thrown, wrong, left, open, accepted: triggers.TCPWRAP.includes('TCPSERVERWRAP') }
          }, 50)
        })).resume()
        client.write('x')
      })`
    const nodes = await carried(application, ['--input-type=commonjs'])
    const { result } = await carried(application)
    expect(nodes.result).toEqual({ thrown: 3, wrong: [], left: 0, open: [], accepted: true })
    expect(result).toEqual(nodes.result)
  })

  it('hands its sockets to TLS later, as STARTTLS does', async () => {
    const { result } = await carried<string>(`
      const net = require('net'), tls = require('tls')
      const server = net.createServer((socket) => socket.once('data', () => {
        socket.write('go')
        const secure = new tls.TLSSocket(socket, { isServer: true, ...${tlsOptions()} })
        secure.pipe(secure)
      }))
      server.listen(0, '127.0.0.1', () => {
        const socket = net.connect(server.address().port, '127.0.0.1', () => socket.write('starttls'))
        socket.once('data', () => {
          const secure = tls.connect({ socket, rejectUnauthorized: false }, () => secure.write('secret'))
          secure.on('data', (chunk) => {
            result = secure.encrypted + ' ' + chunk
            process.exit()
          })
        })
      })`)
    expect(result).toBe('true secret')
  })

  it('sends what a TLS socket wrote before it was destroyed, though more came with its handshake', async () => {
    const { result } = await carried<string>(`
      const net = require('net'), tls = require('tls'), { Duplex } = require('stream')
      const server = tls.createServer(${tlsOptions()}, (socket) => socket.once('data', () => {
        socket.write('too large')
        socket.destroy()
      }))
      server.listen(0, '127.0.0.1', () => {
        const raw = net.connect(server.address().port, '127.0.0.1')
        let held = []
        const collecting = new Duplex({
          read() {},
          write(chunk, encoding, done) {
            if (held.push(chunk) === 1) setTimeout(() => {
              raw.write(Buffer.concat(held))
              held = []
            }, 100)
            done()
          },
        })
        raw.on('data', (chunk) => collecting.push(chunk)).on('error', () => undefined)
        raw.on('close', () => {
          server.close()
          setTimeout(() => client.destroy(), 200)
        })
        const client = tls.connect({ socket: collecting, rejectUnauthorized: false }, () => {
          client.write(Buffer.alloc(60_000))
        })
        result = ''
        client.on('data', (chunk) => { result += chunk }).on('error', () => undefined)
      })
    `)
    expect(result).toBe('too large')
  })

  it('finishes what TLS writes while it renegotiates', async () => {
    // Asked for while something is received, a write without bytes is still under way when the handshake has its own.
    const { result } = await carried<string[]>(`
      const tls = require('tls')
      const options = { maxVersion: 'TLSv1.2', ...${tlsOptions()} }
      const server = tls.createServer(options, (socket) => {
        socket.once('data', () => socket.end('end')).write('begin')
      })
      server.listen(0, '127.0.0.1', () => {
        const client = tls.connect({ port: server.address().port, host: '127.0.0.1', rejectUnauthorized: false })
        result = []
        client.once('data', () => {
          client.renegotiate({}, (error) => {
            result.push('renegotiated ' + error)
            client.write('text', () => result.push('written'))
          })
        })
        client.on('finish', () => result.push('finished'))
        client.on('close', () => server.close())
      })`)
    expect(result).toEqual(['renegotiated null', 'written', 'finished'])
  })

  it('makes sockets and subclasses of them in every way there is', async () => {
    const { result } = await carried<unknown[]>(`
      const net = require('net'), util = require('util')
      class Modern extends net.Socket {}
      function Old() { net.Socket.call(this) }
      util.inherits(Old, net.Socket)
      const sockets = [new net.Socket(), net.Socket(), new net.Stream(), new Modern(), new Old()]
      const node = process.stdout
      result = [
        sockets.map((socket) => [socket instanceof net.Socket, typeof socket.connect, socket.constructor.name]),
        new Modern() instanceof Modern, new net.Socket() instanceof Modern,
        node instanceof net.Socket, require('tls').TLSSocket.prototype instanceof net.Socket,
        net.createServer() instanceof net.Server, require('http').createServer() instanceof net.Server,
      ]`)
    expect(result).toEqual([
      [[true, 'function', 'Socket'], [true, 'function', 'Socket'], [true, 'function', 'Socket'],
        [true, 'function', 'Modern'], [true, 'function', 'Old']],
      true, false, true, true, true, true,
    ])
  })

  it('has connections pass through what a tracing agent has wrapped, in the context of who asked', async () => {
    const application = `
      const net = require('net'), http = require('http'), https = require('https'), tls = require('tls')
      const { AsyncLocalStorage } = require('async_hooks')
      const who = new AsyncLocalStorage()
      const { connect } = net.Socket.prototype
      net.Socket.prototype.connect = function (...parameters) {
        const socket = this
        socket.once('connect', () => result.push([who.getStore(), 'connected', socket instanceof net.Socket]))
        socket.once('error', ({ code }) => result.push([who.getStore(), code]))
        result.push([who.getStore(), 'connects'])
        return connect.apply(this, parameters)
      }
      result = []
      const given = ${tlsOptions()}
      const plain = http.createServer((_request, response) => response.end('plain'))
      const secure = https.createServer(given, (_request, response) => response.end('secure'))
      const ended = (name, begin) => new Promise((resolve) => who.run(name, () => begin(resolve)))
      plain.listen(0, () => secure.listen(0, async () => {
        const at = (server) => ({ port: server.address().port, host: 'localhost', ca: given.cert, agent: false })
        const got = (resolve) => (response) => response.resume().on('end', resolve)
        const over = (resolve) => function () { this.on('close', resolve).resume().end() }
        await ended('net', (resolve) => net.connect(at(plain), over(resolve)))
        await ended('http', (resolve) => http.get(at(plain), got(resolve)))
        await ended('https', (resolve) => https.get(at(secure), got(resolve)))
        await ended('tls', (resolve) => tls.connect(at(secure), over(resolve)))
        await ended('nobody', (resolve) => net.connect({ port: 1, host: '127.0.0.1' }).on('error', resolve))
        process.exit()
      }))`
    const nodes = await carried(application, ['--input-type=commonjs'])
    const { result, bytesRead } = await carried(application)
    expect(result).toEqual(nodes.result)
    expect(result).toHaveLength(10)
    expect(bytesRead).toBeGreaterThan(0)
  })

  it('has what a TLS socket writes begin the time-out of the socket beneath anew, on both sides', async () => {
    const application = `
      const net = require('net'), tls = require('tls'), { once } = require('events')
      const server = tls.createServer(${tlsOptions()})
      const watched = (name, socket) => socket.setTimeout(150, () => result.push([name, 'idle']))
      result = []
      server.on('connection', (raw) => watched('server', raw))
      server.on('secureConnection', (socket) => socket.on('error', () => undefined).resume())
      const slowly = async (socket) => {
        for (let left = 8; left > 0; left--) {
          socket.write('x')
          await new Promise((resolve) => setTimeout(resolve, 50))
        }
      }
      server.listen(0, async () => {
        const raw = watched('client', net.connect(server.address().port))
        const secured = once(server, 'secureConnection')
        const socket = tls.connect({ socket: raw, rejectUnauthorized: false })
        const [accepted] = await secured
        raw.pause()
        await slowly(socket)
        await slowly(accepted)
        result.push(['done'])
        process.exit()
      })`
    const nodes = await carried(application, ['--input-type=commonjs'])
    const { result, bytesRead } = await carried(application)
    expect(result).toEqual(nodes.result)
    expect(bytesRead).toBeGreaterThan(0)
  })

  it('has TLS sockets use what an application has put on the prototype of net.Socket, and Sheaf\'s there', async () => {
    const application = `
      const net = require('net'), tls = require('tls'), { once } = require('events')
      const names = ['setNoDelay', 'setKeepAlive', 'setTimeout', 'ref', 'unref', 'address', 'pause', 'resume', 'read',
        'write', 'end', 'destroySoon']
      const own = Object.fromEntries(names.map((name) => [name, net.Socket.prototype[name]]))
      const called = new Set()
      for (const name of names) {
        net.Socket.prototype[name] = function (...parameters) {
          if (this instanceof tls.TLSSocket) called.add(name)
          return own[name].apply(this, parameters)
        }
      }
      net.Socket.prototype.added = function () { return this.encrypted }
      const given = ${tlsOptions()}
      const server = tls.createServer(given, (socket) => socket.end('bye'))
      server.listen(0, async () => {
        const socket = tls.connect({ port: server.address().port, ca: given.cert, host: 'localhost' })
        await once(socket, 'secureConnect')
        for (const name of ['setNoDelay', 'setKeepAlive', 'unref', 'ref', 'pause']) own[name].call(socket)
        const { port } = own.address.call(socket)
        socket.setNoDelay().setKeepAlive().setTimeout(1000)
        socket.address()
        socket.ref().unref().pause()
        await new Promise((resolve) => setTimeout(resolve, 20))
        let text = ''
        socket.on('data', (chunk) => text += chunk).resume()
        await once(socket, 'end')
        socket.end()
        result = [text, [...called].sort(), socket.added(), port === socket.localPort, socket instanceof net.Socket]
        server.close()
      })`
    const nodes = await carried(application, ['--input-type=commonjs'])
    const { result, bytesRead } = await carried<[string, string[], ...unknown[]]>(application)
    expect(result).toEqual(nodes.result)
    expect(result[1].length).toBeGreaterThan(9)
    expect(bytesRead).toBeGreaterThan(0)
  })

  it('leaves handles of JavaScript to Node, in subclasses too, as tools for tests make them', async () => {
    const ended = await run(`
      const net = require('net'), { inherits } = require('util')
      class Handle {
        constructor(owner) { this.owner = owner }
        readStart() { return 0 }
        close(closed) { setImmediate(closed) }
        shutdown(request) {
          setImmediate(() => request.oncomplete(0))
          return 0
        }
        writeUtf8String(request, text) {
          console.log(this.owner, text)
          return 0
        }
      }
      class Modern extends net.Socket {
        destroy(error) {
          console.log('destroyed')
          return super.destroy(error)
        }
      }
      function Old(options) { net.Socket.call(this, options) }
      inherits(Old, net.Socket)
      async function main() {
        for (const Class of [net.Socket, Modern, Old]) {
          const socket = new Class({ handle: new Handle(Class.name) })
          if (!(socket instanceof Class && socket instanceof net.Socket)) throw new Error(Class.name)
          socket.write('hello')
          await new Promise((closed) => socket.on('close', closed).destroySoon())
        }
      }
      main()`, asScript)
    const output = 'Socket hello\nModern hello\ndestroyed\nOld hello\n'
    expect(ended).toEqual({ output, code: 0, errors: '' })
  })

  it('keeps the pipes to its children, and its own standard streams', async () => {
    const { result } = await carried<string[]>(`
      const { spawn } = require('child_process')
      const child = spawn('cat', { stdio: 'pipe' })
      result = []
      child.stdout.on('data', (chunk) => result.push(String(chunk)))
      child.on('close', () => result.push('closed'))
      child.stdin.end('through a pipe')`)
    expect(result).toEqual(['through a pipe', 'closed'])
  })

  it('is on Sheaf in its worker threads too', async () => {
    const { result, bytesRead } = await carried<{ bytesRead: number, text: string }>(`
      const { Worker } = require('worker_threads')
      const worker = new Worker(\`
        const net = require('net'), { parentPort } = require('worker_threads')
        const server = net.createServer((socket) => socket.end('from a worker'))
        server.listen(0, '127.0.0.1', () => {
          net.connect(server.address().port, '127.0.0.1').on('data', (chunk) => {
            const { bytesRead } = require('@sheaf/ring').openDefaultRing().metrics
            parentPort.postMessage({ bytesRead, text: String(chunk) })
            server.close()
          })
        })\`, { eval: true })
      worker.on('message', (message) => { result = message })`)
    expect(result).toEqual({ bytesRead: 'from a worker'.length, text: 'from a worker' })
    expect(bytesRead).toBe(0)
  })

  it('is on Sheaf in child processes that inherit the environment', async () => {
    const { output } = await run(`
      require('child_process').fork(${JSON.stringify(join(import.meta.dirname, 'fixtures/says-what-net-is.cjs'))})`,
    ['--input-type=commonjs'], { NODE_OPTIONS: '--require @sheaf/tcp/register' })
    expect(output).toBe('Sheaf\n')
  })
})

it.each([
  ['process.kill(process.pid, \'SIGTERM\')', [null, 'SIGTERM']],
  ['process.kill(0, \'SIGTERM\')', [null, 'SIGTERM']],
  ['process.reallyExit(3)', [3, null]],
  ['process.removeAllListeners().exit(3)', [3, null]],
])('what was written leaves before %s ends the process', async (end, ended) => {
  const received: Buffer[] = []
  const server = createServer((socket) => socket.on('data', (data) => received.push(data)))
  onTestFinished(() => void server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const program = `
    import net from 'node:net'
    const client = net.connect(${port}, '127.0.0.1', () => {
      client.write('first, ')
      setTimeout(() => {
        client.write('nearly the last, ')
        process.kill(process.pid, 0)
        client.write('last')
        ${end}
      }, 10)
    })`
  const child = spawn(process.execPath, [...asModule, '--eval', program], { detached: true, stdio: 'ignore' })
  expect(await once(child, 'exit')).toEqual(ended)
  await vi.waitFor(() => expect(Buffer.concat(received).toString()).toBe('first, nearly the last, last'))
})

it.each([
  ['a process', `
    const child = require('child_process').spawn(process.execPath, [...process.execArgv, '-e', work('process.send')],
      { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    child.on('message', () => child.kill('SIGKILL')).on('exit', done)`],
  ['a thread', `
    const { Worker } = require('worker_threads')
    const worker = new Worker(work("require('worker_threads').parentPort.postMessage"), { eval: true })
    worker.on('message', () => worker.terminate()).on('exit', done)`],
])('what was written leaves before a message, at which the other side ends %s', async (_name, begin) => {
  const { result } = await carried<string>(`
    const server = require('net').createServer((socket) => socket.on('data', (chunk) => { result += chunk }))
    server.listen(0, '127.0.0.1', () => {
      const work = (tell) => \`
        const socket = require('net').connect(\${server.address().port}, '127.0.0.1', () => {
          socket.write('first, ')
          setTimeout(() => {
            socket.write('nearly the last, ')
            socket.write('last', () => \${tell}('done'))
            setImmediate(() => { while (true); })
          }, 10)
        })\`
      const done = () => setTimeout(() => server.close(), 50)
      ${begin}
    })
    result = ''`)
  expect(result).toBe('first, nearly the last, last')
})

it('performance.eventLoopUtilization counts what the loop looks for work as idle', async () => {
  const program = `
    import { once } from 'node:events'
    import net from 'node:net'
    import { performance } from 'node:perf_hooks'
    import { setTimeout as delay } from 'node:timers/promises'
    import { openDefaultRing } from '@sheaf/ring'
    import { unregister } from '@sheaf/tcp/register'
    const server = net.createServer((socket) => socket.resume()).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = net.connect(server.address().port, '127.0.0.1')
    await once(client, 'connect')
    const first = performance.eventLoopUtilization()
    for (let times = 0; times < 200; times++) {
      client.write('x')
      await delay(1)
    }
    const between = performance.eventLoopUtilization(first)
    const idle = performance.eventLoopUtilization().idle
    const second = performance.eventLoopUtilization()
    const { busyPollMs } = openDefaultRing().counters
    unregister()
    console.log(JSON.stringify({
      between, same: performance.eventLoopUtilization(second, first), busyPollMs,
      more: idle - performance.eventLoopUtilization().idle,
    }))
    client.destroy()
    server.close()`
  const { output } = await run(program, asModule, { SHEAF_BUSY_POLL: '1000' })
  type Seen = Record<'between' | 'same', EventLoopUtilization> & Record<'busyPollMs' | 'more', number>
  const { between, same, busyPollMs, more } = JSON.parse(output) as Seen
  expect(busyPollMs).toBeGreaterThanOrEqual(1)
  expect(more).toBeCloseTo(busyPollMs)
  expect(between.idle).toBeCloseTo(same.idle)
  expect(between.utilization).toBeCloseTo(between.active / (between.active + between.idle))
})

describe('SHEAF_LOG', () => {
  const nothing = async (environment: NodeJS.ProcessEnv): Promise<Ended> => run('', asModule, environment)

  it('prints one line that says what is replaced', async () => {
    const { errors, output } = await nothing({ SHEAF_LOG: '1' })
    expect(errors).toMatch(/^sheaf: @sheaf\/tcp stands in for node:net, on io_uring of Linux \S+\n$/)
    expect(output).toBe('')
  })

  it('prints one line that says why nothing is', async () => {
    const { errors } = await nothing({ SHEAF_LOG: '1', SHEAF_DISABLE: '1' })
    expect(errors).toMatch(/^sheaf: @sheaf\/tcp leaves node:net as it is: .* switched off by SHEAF_DISABLE.*\n$/)
  })

  it('says whether it does under every limit of locked memory, and the application runs', async () => {
    const said: string[] = []
    for (const limitKb of [0, 16, 64, 128, 192, 1024]) {
      const program = new Program(`
        import { connect, createServer } from 'node:net'
        const server = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1', () => {
          connect(server.address().port, '127.0.0.1').end('echo').on('data', (chunk) => {
            console.log(String(chunk))
            server.close()
          })
        })
      `, { flags: ['--import', '@sheaf/tcp/register'], through: ['env', 'SHEAF_LOG=1', ...lockedMemory(limitKb)] })
      expect(await program.line()).toBe('echo')
      const { code, errors } = await program.ended
      expect(code).toBe(0)
      const [what = errors] = /stands in|leaves node:net as it is(?=.*ulimit -l)/.exec(errors) ?? []
      said.push(what)
    }
    expect(new Set(said)).toEqual(new Set(['leaves node:net as it is', 'stands in']))
    expect(said.at(-1)).toBe('stands in')
  })

  it('is needed for that', async () => {
    expect(await nothing({})).toMatchObject({ code: 0, output: '', errors: '' })
  })
})

describe('unregister', () => {
  it('puts back all that was replaced, and register replaces it again', async () => {
    const { output, code } = await run(`
      import net, { connect } from 'node:net'
      import http from 'node:http'
      import http2 from 'node:http2'
      import tls from 'node:tls'
      import assert from 'node:assert'
      const look = () => [
        { ...net }, { ...tls }, { ...http2 }, http.Agent.prototype.createConnection, net.Socket.prototype,
        Error.stackTraceLimit, performance.eventLoopUtilization,
        ...[http.Server, tls.Server, http2.createServer().constructor]
          .flatMap((server) => [Object.getPrototypeOf(server), Object.getPrototypeOf(server.prototype)]),
        ...[net.Socket, tls.TLSSocket].map((socket) => Object.getPrototypeOf(socket.prototype)),
        net.Socket.prototype.setNoDelay, net.Socket.prototype.end,
      ]
      const isExports = (value) => typeof value === 'object' && Object.keys(value).length > 9
      const same = (one, other) => one.every((value, index) => isExports(value)
        ? Object.keys(value).every((key) => value[key] === other[index][key])
        : value === other[index])
      const before = look()
      const { unregister, register } = await import('@sheaf/tcp/register')
      const during = look()
      assert(!same(before, during))
      assert.strictEqual(connect, net.connect)
      const server = net.createServer((socket) => socket.end('still there'))
      await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
      unregister()
      assert(same(before, look()))
      assert.strictEqual(connect, net.connect)
      const socket = net.connect(server.address().port, '127.0.0.1')
      for await (const chunk of socket) console.log(String(chunk))
      server.close()
      assert.strictEqual(register(), true)
      assert.strictEqual(http.Server.prototype instanceof net.Server, true)
    `, ['--input-type=module'])
    expect({ output, code }).toEqual({ output: 'still there\n', code: 0 })
  })
})

// Node 20 ended by SIGSEGV, or left the connection open.
it.concurrent.each([
  'secureConnection', 'data', 'a write\'s callback', 'a tick of data', 'data of a client', 'a request of https',
  'an upload of https', 'a small upload of https', 'the end of an upload of https', 'clientError',
  'an upgrade of https', 'an answer of https', 'a request of http2', 'a stream of http2', 'a request of http2 on TLS',
])('a process that survives what a listener throws does so on TLS and HTTP/2: %s', async (which) => {
  const [stock, sheaf] = await stockAndSheaf('listeners-throw.cjs', which)
  expect(sheaf).toEqual(stock)
  expect(stock.at(-1)).toMatch(/uncaught thrown/)
})

it.concurrent.each([
  ['http', 'once', 'withStacks'], ['http', 'remoteSettings', 'withStacks'], ['http', 'once', 'withoutStacks'],
  ['https', 'once', 'withStacks'], ['https', 'remoteSettings', 'withStacks'],
])('what each of several listeners of HTTP/2 throws is told: %s, asked at %s, %s', async (...given) => {
  const [stock, sheaf] = await stockAndSheaf('sessions-throw.cjs', ...given)
  // What is told of different streams may come in another order.
  const lines = (ended: unknown[]): unknown[] => [...ended.slice(0, -1), ...String(ended.at(-1)).split('\n').sort()]
  expect(lines(sheaf)).toEqual(lines(stock))
  for (const path of ['/stream', '/tick', '/data', '/end', '/callback', '/aborted', 'ping', 'settings']) {
    expect(stock.at(-1)).toContain(`uncaught ${path}\n`)
  }
  expect(stock.at(-1)).toMatch(/good body\n.*good body\n/s)
  expect(stock.at(-1)).toContain('caught /caught\n')
})

/** How a program ended, and what it has printed, without Sheaf and with it. */
function stockAndSheaf(program: string, ...given: string[]): Promise<unknown[][]> {
  return Promise.all([[], ['--require', '@sheaf/tcp/register']].map(async (flags) => {
    const words = [...flags, join(import.meta.dirname, 'fixtures', program), directory, ...given]
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => { output += chunk.toString() })
    return [...await once(child, 'close') as unknown[], output]
  }))
}

it('parsers of HTTP that Node uses again go on, though a listener of somebody else\'s socket throws', async () => {
  const { result } = await carried<string[]>(`
    const https = require('https'), tls = require('tls'), { Duplex } = require('stream'), { once } = require('events')
    result = []
    process.on('uncaughtException', ({ message }) => result.push(message))
    const options = ${tlsOptions()}
    const server = https.createServer(options, (request, response) => {
      if (request.url === '/throw') throw new Error('thrown')
      response.end(request.url)
    })
    server.on('clientError', (error, socket) => socket.destroy()).listen(0, '127.0.0.1', async () => {
      https.get({ port: server.address().port, rejectUnauthorized: false, agent: false }).on('error', () => undefined)
      const [onSheaf] = await once(server, 'secureConnection')
      await once(onSheaf, 'close')
      await new Promise(setImmediate)
      for (const path of ['/throw', '/first', '/second']) {
        const ends = [0, 1].map(() => new Duplex({
          read() {},
          write(chunk, encoding, done) {
            ends[1 - ends.indexOf(this)].push(chunk)
            done()
          },
        }))
        const secure = new tls.TLSSocket(ends[0], { isServer: true, ...options }).on('error', () => undefined)
        secure.once('secure', () => server.emit('secureConnection', secure))
        const client = tls.connect({ socket: ends[1], rejectUnauthorized: false }).on('error', () => undefined)
        client.write('GET ' + path + ' HTTP/1.1\\r\\nHost: here\\r\\n\\r\\n')
        if (path === '/throw') {
          await once(process, 'uncaughtException')
        } else {
          const [answer] = await once(client, 'data')
          result.push(String(answer).slice(-path.length))
        }
        secure.destroy()
        await once(secure, 'close')
        await new Promise(setImmediate)
      }
      process.exit()
    })
  `)
  expect(result).toEqual(['thrown', '/first', '/second'])
})

describe('a second copy of Sheaf in the thread', () => {
  /** Installs copies of `packages` beside those of the workspace. @returns where a program finds them. */
  function installCopies(...packages: string[]): string {
    const root = join(import.meta.dirname, '../..')
    const scope = join(mkdtempSync(join(directory, 'copies-')), 'node_modules/@sheaf')
    mkdirSync(scope, { recursive: true })
    symlinkSync(join(root, 'native'), join(scope, 'native'))
    for (const name of packages) {
      for (const file of ['package.json', 'dist']) {
        cpSync(join(root, name, file), join(scope, name, file), { recursive: true })
      }
    }
    return join(scope, '../../program.js')
  }

  it('stands in for Node\'s modules instead of the first, TLS too, and all can be put back', async () => {
    const copies = installCopies('ring', 'tcp')
    const { result } = await carried<string[]>(`
      const net = require('net'), tls = require('tls'), { once } = require('events')
      const { Socket: nodes } = net, { kill } = process
      const first = require('@sheaf/tcp/register')
      const { Socket: firsts } = net
      const second = require('module').createRequire(${JSON.stringify(copies)})('@sheaf/tcp/register')
      const { Socket: seconds } = net
      result = [new Set([nodes, firsts, seconds]).size]
      const look = async () => {
        const server = tls.createServer(${tlsOptions()}, (socket) => socket.end('served')).listen(0, '127.0.0.1')
        await once(server, 'listening')
        const { port } = server.address()
        let text = ''
        for await (const chunk of tls.connect({ port, rejectUnauthorized: false })) text += chunk
        server.close()
        await once(server, 'close')
        const whose = [nodes, firsts, seconds].indexOf(net.Socket)
        result.push(\`\${text} by \${['Node', 'first', 'second'][whose] ?? 'another'}\`, process.kill === kill)
      }
      void (async () => {
        await look()
        first.unregister()
        await look()
        second.unregister()
        await look()
      })()`, ['--input-type=commonjs'])
    expect(result).toEqual([3, 'served by second', false, 'served by second', false, 'served by Node', true])
  })
})
