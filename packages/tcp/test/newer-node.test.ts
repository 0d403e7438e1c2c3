import { describe, expect, it, type TestContext } from 'vitest'
import { run } from './program'

/*
 * What versions of Node have that are newer than the oldest that Sheaf runs on. Where Node has it not, an application
 * finds that Sheaf has it neither.
 */

const absent = 'not there'

/** The agent of `http` asks whether something has come to a free socket. */
const asksForPendingReads = "'hasPendingRead' in process.binding('tcp_wrap').TCP.prototype"

/**
 * Runs an application, with Sheaf registered, whose `main` returns its result.
 * @param there says whether Node has what it needs.
 */
async function resultOf(there: string, application: string): Promise<unknown> {
  const ended = await run(`
    const net = require('node:net'), { once } = require('node:events'), fs = require('node:fs')
    const { Worker, MessageChannel } = require('node:worker_threads')
    const isSocket = (fd) => {
      try { return fs.readlinkSync('/proc/self/fd/' + fd).startsWith('socket:') } catch { return false }
    }
    const openSockets = () => fs.readdirSync('/proc/self/fd').filter(isSocket).length
    const until = async (holds) => { while (!holds()) await new Promise((resolve) => setTimeout(resolve, 1)) }
    const bytesOf = async (socket) => {
      let text = ''
      for await (const chunk of socket) text += chunk
      return text
    }
    ${application}
    const result = ${there} ? main() : Promise.resolve(${JSON.stringify(absent)})
    result.then((value) => console.log(JSON.stringify(value)))
  `, ['--require', '@sheaf/tcp/register', '--input-type=commonjs'])
  expect(ended).toMatchObject({ code: 0, errors: '' })
  return JSON.parse(ended.output)
}

function expectWhere(context: TestContext, result: unknown, expected: unknown): void {
  if (result === absent) context.skip('this version of Node.js does not have it')
  expect(result).toEqual(expected)
}

it('register has Node load nothing that answers for packages of npm', async () => {
  const main = 'const main = async () => Symbol.for("undici.globalDispatcher.1") in globalThis'
  expect(await resultOf('true', main)).toBe(false)
})

it.for(['http', 'https'])('the agent of %s uses no socket that was closed meanwhile', async (kind, context) => {
  expectWhere(context, await resultOf(asksForPendingReads, `
    async function main() {
      const modul = require('node:${kind}')
      const accepted = []
      const { certificates } = await import(${JSON.stringify(new URL('programs/certificates.mjs', import.meta.url))})
      const { key, cert } = certificates().server
      const server = modul.createServer({ key, cert }, (request, response) => {
        accepted.push(request.socket)
        response.end('own answer')
      }).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const agent = new modul.Agent({ keepAlive: true, ca: cert, servername: 'localhost' })
      const answer = async () => {
        const request = modul.get({ port: server.address().port, host: '127.0.0.1', agent })
        const [response] = await once(request, 'response')
        const text = await bytesOf(response)
        await until(() => Object.keys(agent.freeSockets).length === 1)
        return text + (request.reusedSocket ? ' on a used socket' : '')
      }
      const answers = [await answer(), await answer()]
      accepted[1].destroy()
      answers.push(await answer())
      agent.destroy()
      server.close()
      return answers
    }`), ['own answer', 'own answer on a used socket', 'own answer'])
})

it('the agent of http takes nothing for an answer that has come meanwhile', async (context) => {
  expectWhere(context, await resultOf(asksForPendingReads, `
    async function main() {
      const http = require('node:http')
      const answered = (text) => 'HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\n' + text
      const accepted = []
      const server = net.createServer((socket) => {
        accepted.push(socket)
        socket.on('data', () => socket.write(answered('good'))).on('error', () => undefined)
      }).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const agent = new http.Agent({ keepAlive: true })
      const answer = async () => {
        const [response] = await once(http.get({ port: server.address().port, host: '127.0.0.1', agent }), 'response')
        const text = await bytesOf(response)
        await until(() => Object.keys(agent.freeSockets).length === 1)
        return text
      }
      const answers = [await answer()]
      const none = new Uint8Array()
      const { sockets } = require('@sheaf/ring').defaultRing()
      sockets.send(accepted[0]._handle.fd, Buffer.from(answered('evil')), none, none, 0)
      answers.push(await answer())
      agent.destroy()
      accepted.forEach((socket) => socket.destroy())
      server.close()
      return answers
    }`), ['good', 'good'])
})

it('a session of HTTP/2 goes on when a listener has thrown at the last of what had come', async (context) => {
  expectWhere(context, await resultOf('true', `
    async function client({ port, written }) {
      const { once } = require('node:events')
      const { parentPort } = require('node:worker_threads')
      const frame = (type, flags, id, body) => {
        const head = Buffer.alloc(9)
        head.writeUIntBE(body.length, 0, 3)
        head.writeUInt16BE(type << 8 | flags, 3)
        head.writeUInt32BE(id, 5)
        return Buffer.concat([head, body])
      }
      const request = (id) => frame(1, 5, id, Buffer.from([0x83, 0x84, 0x86, 0x41, 1, 0x61]))
      const ping = (text) => frame(6, 0, 0, Buffer.from(text))
      const unknown = frame(0xfa, 0, 0, Buffer.alloc(8000))
      const socket = require('node:net').connect(port, '127.0.0.1')
      const answer = async (text) => {
        let received = Buffer.alloc(0)
        for (socket.resume(); !received.includes(text);) {
          const [chunk] = await once(socket, 'data')
          received = Buffer.concat([received.subarray(-100), chunk])
        }
        socket.pause()
      }
      socket.write(Buffer.concat([
        Buffer.from('PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n'),
        frame(4, 0, 0, Buffer.from([0, 4, 0x7f, 0xff, 0xff, 0xff])),
        frame(8, 0, 0, Buffer.from([0x7f, 0xff, 0, 0])),
        // From who has sent much the kernel takes more at once.
        ...Array(500).fill(unknown),
        ping('received'),
      ]))
      await answer('received')
      socket.write(request(1))
      await once(parentPort, 'message')
      // More than one chunk.
      socket.write(Buffer.concat([request(3), ...Array(20).fill(unknown), request(5)]), () => {
        Atomics.store(written, 0, 1)
        Atomics.notify(written, 0)
      })
      await once(parentPort, 'message')
      socket.resume()
      await once(parentPort, 'message')
      socket.write(ping('question'))
      await answer('question')
      parentPort.postMessage('answered')
    }
    async function main() {
      const written = new Int32Array(new SharedArrayBuffer(4))
      let streams = 0
      const server = require('node:http2').createServer().on('stream', (stream) => {
        stream.on('error', () => {})
        streams += 1
        if (streams === 3) throw new Error('thrown')
        if (streams === 1) {
          thread.postMessage('write')
          Atomics.wait(written, 0, 0)
        }
        stream.respond()
        stream.end(Buffer.alloc(streams === 2 ? 6_000_000 : 0))
        if (streams === 2) setImmediate(() => setImmediate(() => thread.postMessage('read')))
      }).listen(0, '127.0.0.1')
      await once(server, 'listening')
      process.once('uncaughtException', () => thread.postMessage('ask'))
      const workerData = { port: server.address().port, written }
      const start = '(' + client + ')(require("node:worker_threads").workerData)'
      const thread = new Worker(start, { eval: true, workerData })
      const [answer] = await once(thread, 'message')
      setTimeout(() => process.exit(), 10)
      return answer
    }`), 'answered')
})

it('what was written leaves before another program takes the place of this one', async (context) => {
  const result = await resultOf("'execve' in process", `
    async function main() {
      const server = net.createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      const program = \`
        require('node:net').connect(\${server.address().port}, '127.0.0.1', function () {
          this.write('last')
          process.execve('/bin/sh', ['sh', '-c', 'echo another'], process.env)
        })\`
      const { spawn } = require('node:child_process')
      const stdio = ['ignore', 'pipe', 'ignore']
      const child = spawn(process.execPath, [...process.execArgv, '-e', program], { stdio })
      const [[socket], said] = await Promise.all([once(server, 'connection'), bytesOf(child.stdout)])
      const received = await bytesOf(socket)
      server.close()
      return { said, received }
    }`)
  expectWhere(context, result, { said: 'another\n', received: 'last' })
})

describe('net.BoundSocket', () => {
  const there = "'BoundSocket' in net"

  it('is exported where Node exports it', async () => {
    const exported = await run(`
      const stock = process.getBuiltinModule?.('node:net') ?? require('node:net')
      const { BoundSocket } = stock
      const net = require('@sheaf/tcp/net')
      console.log(net.BoundSocket === BoundSocket, 'BoundSocket' in net.default === 'BoundSocket' in stock)
    `, ['--input-type=commonjs'])
    expect(exported).toEqual({ code: 0, errors: '', output: 'true true\n' })
  })

  it('is listened on and connected from, by Sheaf', async (context) => {
    expectWhere(context, await resultOf(there, `
      async function main() {
        const before = openSockets()
        const here = new net.BoundSocket({ host: '127.0.0.1' })
        const { port } = here.address()
        const server = net.createServer((socket) => socket.pipe(socket)).listen(here)
        await once(server, 'listening')
        const from = new net.BoundSocket()
        const { port: localPort } = from.address()
        const client = new net.Socket({ handle: from }).connect({ host: '127.0.0.1', port })
        const atOnce = client.localPort === localPort && client.localAddress === '127.0.0.1'
        await once(client, 'connect')
        client.end('there and back')
        const text = await bytesOf(client)
        const adopted = [here, from].map((bound) => {
          try { bound.fd() } catch (error) { return error.code }
        })
        const closed = once(server, 'close')
        server.close()
        await closed
        const { bytesRead } = require('@sheaf/ring').openDefaultRing().metrics
        // It is free again.
        new net.BoundSocket({ host: '127.0.0.1', port }).close()
        await until(() => openSockets() <= before)
        return { text, atOnce, sameAddress: server.address(), adopted, bytesRead }
      }`), {
      text: 'there and back', atOnce: true, sameAddress: null, bytesRead: 28,
      adopted: ['ERR_SOCKET_HANDLE_ADOPTED', 'ERR_SOCKET_HANDLE_ADOPTED'],
    })
  })

  it('of a path leaves no file when the server or socket is closed', async (context) => {
    expectWhere(context, await resultOf(there, `
      async function main() {
        const directory = fs.mkdtempSync(require('node:os').tmpdir() + '/sheaf-bound-')
        const [to, from] = ['to', 'from'].map((name) => directory + '/' + name)
        const server = net.createServer((socket) => socket.pipe(socket)).listen(new net.BoundSocket({ path: to }))
        await once(server, 'listening')
        const client = new net.Socket({ handle: new net.BoundSocket({ path: from }) }).connect({ path: to })
        const names = [client.localAddress === from, server.address() === to]
        const during = fs.readdirSync(directory)
        client.end('there and back')
        const text = await bytesOf(client)
        await until(() => fs.readdirSync(directory).length === 1)
        const closed = once(server, 'close')
        server.close()
        await closed
        const after = fs.readdirSync(directory)
        fs.rmdirSync(directory)
        return { names, during, text, after }
      }`), { names: [true, true], during: ['from', 'to'], text: 'there and back', after: [] })
  })

  it('fails to connect or to listen as it does with Node', async (context) => {
    expectWhere(context, await resultOf(there, `
      async function main() {
        const bound = new net.BoundSocket({ host: '127.0.0.1' })
        const client = new net.Socket({ handle: bound })
        const codes = []
        for (const use of [
          () => client.connect({ host: '127.0.0.1', port: 1, localPort: 2 }),
          () => new net.Socket({ handle: bound }), () => net.createServer().listen(bound),
        ]) {
          try { use() } catch (error) { codes.push(error.code) }
        }
        client.destroy()
        const refused = new net.Socket({ handle: new net.BoundSocket({ host: '127.0.0.1' }) })
        const [error] = await once(refused.connect({ host: '127.0.0.1', port: 1 }).on('connect', () => {}), 'close')
          .catch((error) => [error])
        return [...codes, error.syscall, error.code]
      }`), [
      'ERR_INVALID_ARG_VALUE', 'ERR_SOCKET_HANDLE_ADOPTED', 'ERR_SOCKET_HANDLE_ADOPTED', 'connect', 'ECONNREFUSED',
    ])
  })
})

describe('the transfer list of a message', () => {
  const there = `
    Object.getOwnPropertySymbols(net.Server.prototype).some(({ description }) => /transfer/.test(description))`
  const threads = [['with Sheaf', true], ['without', false]] as const

  const worker = `
    const worker = (register = true, first = '') => new Worker(first + \`
      const net = require('node:net')
      require('node:worker_threads').parentPort.on('message', ({ socket, server }) => {
        const begin = (socket) => socket.on('data', (chunk) => socket.write(chunk)).on('end', () => socket.end())
        if (server) server.on('connection', begin)
        else if (socket instanceof net.Socket) begin(socket)
      })\`, { eval: true, execArgv: register ? process.execArgv : [] })`

  const outOfDescriptors = "require('@sheaf/ring').defaultRing().sockets.dup = () => -24;"

  it.for([
    ...threads, ['with Sheaf that is out of descriptors', true, outOfDescriptors] as const,
  ])('moves a socket to a thread %s', async ([, register, first = ''], context) => {
    expectWhere(context, await resultOf(there, `${worker}
      async function main() {
        const thread = worker(${register}, ${JSON.stringify(first)})
        await once(thread, 'online')
        const before = openSockets()
        const server = net.createServer({ allowHalfOpen: true }, (socket) => {
          thread.postMessage({ socket }, [socket])
          moved.push(socket._handle, socket.destroyed)
        }).listen(0, '127.0.0.1')
        const moved = []
        await once(server, 'listening')
        const client = net.connect(server.address().port, '127.0.0.1')
        // It is there before the socket is moved, too.
        client.write('some, ')
        await until(() => moved.length > 0)
        client.end('and more')
        const text = await bytesOf(client)
        server.close()
        await once(server, 'close')
        await until(() => openSockets() <= before)
        await thread.terminate()
        return { text, moved }
      }`), { text: 'some, and more', moved: [null, true] })
  })

  it.for(threads)('moves a server to a thread %s', async ([, register], context) => {
    expectWhere(context, await resultOf(there, `${worker}
      async function main() {
        const thread = worker(${register})
        await once(thread, 'online')
        const server = net.createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
        await once(server, 'listening')
        const { port } = server.address()
        const ask = () => bytesOf(net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }).end('hello'))
        // Some of these the kernel has accepted before, and none of them may be lost.
        const early = Array.from({ length: 20 }, ask)
        await once(server, 'connection')
        thread.postMessage({ server }, { transfer: [server] })
        const handle = server._handle
        const texts = await Promise.all([...early, ...Array.from({ length: 20 }, ask)])
        await thread.terminate()
        return { handle, texts: [...new Set(texts)], count: texts.length }
      }`), { handle: null, texts: ['hello'], count: 40 })
  })

  it('leaves alone what can not be moved, and what is not sent after all', async (context) => {
    expectWhere(context, await resultOf(there, `
      async function main() {
        const { port1, port2 } = new MessageChannel()
        const codes = []
        const move = (message, list) => {
          try { port1.postMessage(message, list) } catch (error) { codes.push(error.code ?? error.name) }
        }
        const idle = net.createServer()
        move({ idle }, [idle])
        const server = net.createServer((socket) => {
          move({ socket, no: () => {} }, [socket])
          socket.once('data', (chunk) => {
            move({ socket }, [socket])
            socket.end(chunk)
          })
        }).listen(0, '127.0.0.1')
        await once(server, 'listening')
        move({ server, no: () => {} }, [server])
        const before = openSockets()
        for (let time = 0; time < 2; time++) {
          const client = net.connect(server.address().port, '127.0.0.1').end('hello')
          codes.push(await bytesOf(client))
          await until(() => openSockets() <= before)
        }
        server.close()
        port1.close()
        return codes
      }`), [
      'ERR_WORKER_HANDLE_NOT_TRANSFERABLE', 'DataCloneError',
      ...Array.from({ length: 2 }, () => ['DataCloneError', 'ERR_WORKER_HANDLE_NOT_TRANSFERABLE', 'hello']).flat(),
    ].map((code) => code === 'DataCloneError' ? 25 : code))
  })

  it('loses nothing that arrives while a socket is moved that reads already', async (context) => {
    expectWhere(context, await resultOf(there, `${worker}
      async function main() {
        const thread = worker()
        await once(thread, 'online')
        const writer = new Worker(\`
          const net = require('node:net'), { workerData, parentPort } = require('node:worker_threads')
          const client = net.connect(workerData, '127.0.0.1')
          parentPort.on('message', () => client.end('hello'))
          let text = ''
          client.on('data', (chunk) => { text += chunk }).on('end', () => parentPort.postMessage(text))
        \`, { eval: true, execArgv: [], workerData: await new Promise((told) => {
          server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1', () => told(server.address().port))
        }) })
        const [socket] = await once(server, 'connection')
        // By then it reads.
        for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
        writer.postMessage('')
        // No turn of the event loop until the bytes are there.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
        let moved = true
        try {
          thread.postMessage({ socket }, [socket])
        } catch {
          moved = false
          socket.pipe(socket)
        }
        const [text] = await once(writer, 'message')
        server.close()
        await Promise.all([thread.terminate(), writer.terminate()])
        return text
      }
      let server`), 'hello')
  })
})

describe('the diagnostics channel net.client.socket', () => {
  it('tells of a TLS socket in place of the one beneath it, and of no other, where Node does', async () => {
    const application = `
      const tls = require('node:tls'), net = require('node:net')
      const told = []
      require('node:diagnostics_channel').subscribe('net.client.socket', ({ socket }) => {
        told.push(socket instanceof tls.TLSSocket ? 'tls' : 'net')
      })
      const server = net.createServer((socket) => socket.destroy()).listen(0, '127.0.0.1', () => {
        const { port } = server.address()
        const ignore = (socket) => socket.on('error', () => {})
        ignore(net.connect(port, '127.0.0.1'))
        ignore(new net.Socket().connect(port, '127.0.0.1'))
        ignore(tls.connect(port, '127.0.0.1')).on('close', () => {
          server.close()
          console.log(told.join())
        })
      })`
    const stock = await run(application)
    expect(stock).toMatchObject({ code: 0, errors: '' })
    expect(await run(application, ['--require', '@sheaf/tcp/register'])).toEqual(stock)
  })
})
