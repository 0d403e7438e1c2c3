/** What keeps a process alive whose sockets are Sheaf's: what keeps it alive when they are Node's. */
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { run } from './program'

const bytesSent = 4_000_000

/** A server that sends a lot to whoever connects, then its end. @returns its port. */
async function source(): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).end(Buffer.alloc(bytesSent))
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  onTestFinished(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as AddressInfo).port
}

/** A server that takes its time, and then counts. @returns its port, and what it has received at the end. */
async function sink(): Promise<{ port: number, received: Promise<number> }> {
  const server = createServer()
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  onTestFinished(() => { server.close() })
  const received = new Promise<number>((resolve, reject) => {
    server.on('connection', (socket) => {
      let bytes = 0
      const end = (): void => { resolve(bytes) }
      socket.on('data', ({ length }) => { bytes += length }).on('end', end).on('error', reject).pause()
      setTimeout(() => socket.resume(), 100)
    })
  })
  return { port: (server.address() as AddressInfo).port, received }
}

/**
 * Runs a program. What it does `last` it does where a turn of the event loop is over, and the next one only comes if
 * something is under way.
 */
async function output(program: string): Promise<string> {
  const begin = `
    const net = require('@sheaf/tcp/net')
    const last = (act) => setTimeout(() => setImmediate(act), 50)
  `
  const ended = await run(begin + program)
  expect(ended).toMatchObject({ code: 0, errors: '' })
  return ended.output
}

describe('a process with sockets of Sheaf', () => {
  // pg, by COPY, and undici: the process ended in the middle, as a paused socket keeps nothing alive.
  it('goes on when a paused socket is resumed and nothing else is under way', async () => {
    const port = await source()
    expect(await output(`
      let received = 0
      const socket = net.connect(${port}, '127.0.0.1')
      socket.on('data', (chunk) => {
        received += chunk.length
        socket.pause()
        if (received < 1_000_000) last(() => socket.resume())
        else socket.removeAllListeners('data').on('data', ({ length }) => { received += length }).resume()
      })
      socket.on('end', () => console.log(received))`)).toBe(`${bytesSent}\n`)
  })

  // undici's pool: `close` waits for sockets that it has unref'd.
  it('tells that a socket is closed which keeps nothing alive', async () => {
    const port = await source()
    expect(await output(`
      const socket = net.connect(${port}, '127.0.0.1', () => {
        socket.unref()
        last(() => socket.destroy())
      })
      socket.on('close', () => console.log('closed'))`)).toBe('closed\n')
  })

  it('tells that a listener is closed which keeps nothing alive', async () => {
    expect(await output(`
      require('@sheaf/tcp').listen({ host: '127.0.0.1', port: 0 }, {}).then((listener) => {
        listener.unref()
        last(() => listener.close().then(() => console.log('closed')))
      })`)).toBe('closed\n')
  })

  it('ends when all that is left is paused, or keeps nothing alive', async () => {
    const port = await source()
    expect(await output(`
      const paused = net.connect(${port}, '127.0.0.1', () => paused.pause())
      const unreferenced = net.connect(${port}, '127.0.0.1', () => unreferenced.unref())
      process.on('exit', () => console.log('ended'))`)).toBe('ended\n')
  })

  it('ends before an end that came with data is told to what keeps nothing alive', async () => {
    expect(await output(`
      const server = net.createServer().listen(0, '127.0.0.1', () => {
        const client = net.connect(server.address().port, '127.0.0.1')
        client.on('data', (chunk) => console.log(String(chunk))).on('end', () => console.log('end'))
        server.on('connection', (socket) => {
          setTimeout(() => {
            for (const each of [server, client, socket]) each.unref()
            socket.end('data')
          }, 1)
        })
      })
      process.on('exit', () => console.log('ended'))`)).toBe('data\nended\n')
  })

  // log4js: its sockets keep nothing alive, and what it had logged last was lost.
  it.each([
    ['is connected', 0, 'net.connect(port, host, told).unref()'],
    ['has written', bytesSent, 'net.connect(port, host, function () { this.unref().write(much, told) })'],
    ['has ended', bytesSent, 'net.connect(port, host, function () { this.unref().end(much, told) })'],
    ['has written by what is no net.Socket', bytesSent, `tcp.connect({ port, host }, {}).then((connection) => {
      connection.unref()
      connection.write(much, told)
    })`],
    ['has ended by what is no net.Socket', bytesSent, `tcp.connect({ port, host }, {}).then((connection) => {
      connection.unref()
      connection.write(much)
      connection.end(told)
    })`],
  ])('does not end before what keeps nothing alive %s', async (_name, bytes, program) => {
    const { port, received } = await sink()
    expect(await output(`
      const tcp = require('@sheaf/tcp')
      const [port, host, much] = [${port}, '127.0.0.1', Buffer.alloc(${bytesSent})]
      const told = () => console.log('told')
      ${program}`)).toBe('told\n')
    expect(await received).toBe(bytes)
  })

  // undici gives null for what it was not given.
  it('takes a local address of null for none', async () => {
    const port = await source()
    expect(await output(`
      const socket = net.connect({ port: ${port}, host: '127.0.0.1', localAddress: null, localPort: null })
      socket.once('data', () => {
        console.log(socket.localAddress)
        socket.destroy()
      })`)).toBe('127.0.0.1\n')
  })
})

describe('two rings of a thread', () => {
  // The hook of one had been called already when what came behind the other's turn had it write: the loop blocked.
  it.each([
    ['a callback of the other', ''],
    ['a tick of the other', 'process.nextTick('],
    ['a promise of the other', 'settled.then('],
  ])('what one writes in %s leaves', async (_where, later) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined).on('data', (chunk) => {
        if (chunk.toString() === 'last') server.emit('last')
      })
    })
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
    onTestFinished(() => { server.close() })
    const { port } = server.address() as AddressInfo
    server.once('last', () => { server.emit('close') })
    const act = "() => { second.write('last', () => { process.exitCode = 5 }); second.end() }"
    const ended = await run(`
      const { connect, createRing } = require('@sheaf/tcp')
      const rings = [createRing(), createRing()]
      const settled = Promise.resolve()
      const to = { host: '127.0.0.1', port: ${port} }
      const once = async (rings) => {
        const [first, second] = await Promise.all(rings.map((ring) => connect({ ...to, ring }, {})))
        await new Promise((resolve) => setTimeout(resolve, 50))
        // It is called back before the loop blocks, and nothing comes after it.
        first.write(Buffer.alloc(70000), ${later === '' ? act : `() => { ${later}${act}) }`})
        await new Promise((resolve) => { second.handler = { close: resolve } })
        first.destroy()
      }
      once(rings).then(() => once(rings.reverse()))
    `)
    expect(ended).toMatchObject({ code: 5, errors: '' })
  })
})
