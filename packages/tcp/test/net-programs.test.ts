import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lockedMemory, Program } from '@sheaf/ring/testing'
import { expect, it, onTestFinished, type TestContext } from 'vitest'

interface Ended {
  readonly code: number | null
  readonly output: string
}

/** Runs a program with what was built, as `net` from `@sheaf/tcp/net` and `stock` from `node:net`. */
async function run(program: string, environment: Record<string, string> = {}): Promise<Ended> {
  // Within the package: programs find `@sheaf/tcp` from there.
  const directory = mkdtempSync(join(import.meta.dirname, 'program-'))
  onTestFinished(() => {
    rmSync(directory, { recursive: true })
  })
  const file = join(directory, 'program.mjs')
  writeFileSync(file, `import net from '@sheaf/tcp/net'\nimport stock from 'node:net'\n${program}`)
  const child = spawn(process.execPath, [file], { stdio: 'pipe', env: { ...process.env, ...environment } })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => { output += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => { output += chunk.toString() })
  const [code] = await once(child, 'close') as [number | null]
  return { code, output: output.trim() }
}

it('what was written before process.exit arrives', async () => {
  const { output } = await run(`
    import { fork } from 'node:child_process'
    if (process.argv[2] !== undefined) {
      const socket = net.connect(Number(process.argv[2]), '127.0.0.1', () => {
        socket.write('first ')
        socket.write('last')
        process.exit()
      })
    } else {
      const server = stock.createServer((socket) => {
        socket.on('data', (chunk) => process.stdout.write(chunk))
        socket.on('end', () => server.close())
      }).listen(0, '127.0.0.1', () => fork(process.argv[1], [server.address().port]))
    }`)
  expect(output).toBe('first last')
})

it('what sockets have written before process.exit leaves in the order of writing', async () => {
  const { output } = await run(`
    import { fork } from 'node:child_process'
    import { once } from 'node:events'
    if (process.argv[2] !== undefined) {
      const { connect } = process.argv[3] === 'net' ? net : stock
      const sockets = []
      for (let index = 0; index < 6; index++) {
        sockets.push(connect(Number(process.argv[2]), '127.0.0.1'))
        await once(sockets[index], 'data')
      }
      setTimeout(() => {
        for (const index of [3, 1, 5, 0, 4, 2]) sockets[index].write(String(index))
        process.exit()
      }, 10)
    } else {
      for (const module of ['stock', 'net']) {
        let said = ''
        let open = 0
        const server = stock.createServer((socket) => {
          open++
          // Whoever is accepted late is read in the order of accepting.
          socket.write('accepted')
          socket.on('data', (chunk) => { said += chunk })
          socket.on('close', () => { if (--open === 0) server.close() })
        }).listen(0, '127.0.0.1')
        await once(server, 'listening')
        fork(process.argv[1], [server.address().port, module])
        await once(server, 'close')
        console.log(said)
      }
    }`)
  expect(output).toBe('315042\n315042')
})

/** Node's own server of one connection, of which it counts the bytes. */
const countingServer = `
  let bytes = 0
  const server = stock.createServer((socket) => {
    socket.on('data', (chunk) => { bytes += chunk.byteLength })
    socket.on('close', () => server.close())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')`

it.each([
  ['in many writes, just before process.exit', 'many(); process.exit()', 1_000_000],
  ['by a listener of `exit`', 'process.on(\'exit\', () => socket.write(\'bye\')); process.exit()', 3],
  ['by a listener of `exit` that comes of nothing being left to do', `
    process.on('exit', () => socket.write('bye'))
    socket.unref()`, 3],
  ['by listeners of `exit` after others', `
    process.on('exit', () => { socket.write('bye '); socket.write('bye ') })
    process.on('exit', () => socket.end('bye'))
    socket.write('hello ')
    process.exit()`, 17],
  ['in many writes, by a listener of `exit`', 'process.on(\'exit\', many); process.exit()', 1_000_000],
  ['by a listener of `exit` that destroys the socket', `
    process.on('exit', () => { socket.write('bye'); socket.destroy() })
    process.exit()`, 3],
  ['by a listener of `drain` that ends the process', `
    socket.on('drain', () => { socket.write('bye'); process.exit() })
    socket.write(Buffer.alloc(20_000_000))`, 20_000_003],
  ['within the callback of a write', 'socket.write(\'hello \', () => { socket.write(\'bye\'); process.exit() })', 9],
])('what is written %s arrives', async (_when, ending, bytes) => {
  const { output } = await run(`
    import { fork } from 'node:child_process'
    import { once } from 'node:events'
    if (process.argv[2] !== undefined) {
      const { connect } = process.argv[3] === 'net' ? net : stock
      const socket = connect(Number(process.argv[2]), '127.0.0.1', () => {
        const many = () => { for (let index = 0; index < 100; index++) socket.write(Buffer.alloc(10_000)) }
        ${ending}
      })
    } else {
      for (const module of ['stock', 'net']) {
        ${countingServer}
        fork(process.argv[1], [server.address().port, module])
        await once(server, 'close')
        console.log(bytes)
      }
    }`)
  expect(output).toBe(`${bytes}\n${bytes}`)
})

it.each([
  ['destroy', 'many(100, 10_000); socket.destroy()', 1_000_000],
  ['destroy, in small pieces', 'many(5000, 100); socket.destroy()', 500_000],
  ['destroy, in large pieces', 'many(5, 200_000); socket.destroy()', 1_000_000],
  ['destroy in an immediate', 'many(100, 10_000); setImmediate(() => socket.destroy())', 1_000_000],
  ['end and destroy', 'many(100, 10_000); socket.end(\'bye\'); socket.destroy()', 1_000_003],
])('what is written before %s arrives, as far as the kernel has room', async (_what, ending, bytes) => {
  const { output } = await run(`
    import { once } from 'node:events'
    for (const { connect } of [stock, net]) {
      ${countingServer}
      const socket = connect(server.address().port, '127.0.0.1', () => {
        const many = (count, size) => { for (let index = 0; index < count; index++) socket.write(Buffer.alloc(size)) }
        ${ending}
      })
      await once(server, 'close')
      console.log(bytes)
    }`)
  expect(output).toBe(`${bytes}\n${bytes}`)
})

it('a peer that reads faster than is written to it leaves the event loop to others', async () => {
  const { output } = await run(`
    import { fork } from 'node:child_process'
    if (process.argv[2] !== undefined) {
      const onread = { buffer: Buffer.alloc(1 << 20), callback: () => true }
      stock.connect({ port: Number(process.argv[2]), host: '127.0.0.1', onread }).on('error', () => undefined)
    } else {
      const chunk = Buffer.alloc(50_000)
      const writeSlowly = (socket) => {
        const until = performance.now() + 0.3
        while (performance.now() < until) {}
        return !socket.destroyed && socket.write(chunk)
      }
      const server = net.createServer((socket) => {
        let ticks = 0
        const timer = setInterval(() => {
          if (++ticks < 5) return
          clearInterval(timer)
          socket.destroy()
          server.close()
          console.log('told of time')
        })
        const fill = () => {
          while (writeSlowly(socket)) {}
        }
        socket.on('drain', fill).on('error', () => undefined)
        fill()
      }).listen(0, '127.0.0.1', () => fork(process.argv[1], [server.address().port]))
    }`)
  expect(output).toBe('told of time')
})

it.each([
  ['no buffer groups', { groupsMax: 0 }], ['little send memory of a connection', { sendWindowBlocks: 2 }],
])('what was written is not read after its callback, also where there is %s', async (_what, short) => {
  const { output } = await run(`
    import { limits } from '@sheaf/ring'
    Object.assign(limits, ${JSON.stringify(short)})
    const server = net.createServer((socket) => {
      let bytes = 0
      let changed = 0
      socket.on('data', (chunk) => {
        for (const byte of chunk) if (byte !== Math.floor(bytes++ / 60_000)) changed++
      })
      socket.on('end', () => {
        console.log(bytes, changed)
        server.close()
      })
    }).listen(0, '127.0.0.1', () => {
      const socket = net.connect(server.address().port, '127.0.0.1')
      const memory = Buffer.alloc(60_000)
      let count = 0
      const write = () => {
        memory.fill(count)
        if (count++ < 10) socket.write(memory, write)
        else socket.end()
      }
      socket.on('connect', write)
    })`)
  expect(output).toBe('600000 0')
})

it('errors of listeners are reported in the async context that they are in', async () => {
  const { output } = await run(`
    import { AsyncLocalStorage } from 'node:async_hooks'
    import { once } from 'node:events'
    const storage = new AsyncLocalStorage()
    const fail = (what) => { throw new Error(what) }
    process.on('uncaughtException', (error) => console.log(error.message, 'in', storage.getStore()))
    for (const { connect, createServer } of [stock, net]) {
      const server = storage.run('server', () => createServer((socket) => {
        socket.on('error', () => undefined).on('data', () => socket.end('answer'))
        fail('connection')
      })).listen(0, '127.0.0.1')
      await once(server, 'listening')
      for (const event of ['connect', 'data', 'end', 'finish', 'close']) {
        const socket = storage.run('client', () => connect(server.address().port, '127.0.0.1'))
        socket.on('connect', () => socket.write('question')).resume()
        const closed = once(socket, 'close')
        socket.on(event, () => {
          socket.destroy()
          fail(event)
        })
        await closed
      }
      server.close()
      console.log('---')
    }`)
  const [expected, actual] = output.split('---').map((part) => part.trim())
  expect(expected).toContain('data in client')
  expect(actual).toBe(expected)
})

it('a socket that is paused does not keep the process alive, one that reads does', async () => {
  const { code, output } = await run(`
    const server = net.createServer((socket) => socket.unref()).listen(0, '127.0.0.1', () => {
      server.unref()
      const { port } = server.address()
      const paused = net.connect(port, '127.0.0.1', () => paused.pause())
      const reading = net.connect(port, '127.0.0.1', () => setTimeout(() => {
        console.log('still here')
        reading.destroy()
      }, 100).unref())
    })`)
  expect(output).toBe('still here')
  expect(code).toBe(0)
})

it.each(['before', 'after'])('who intercepts connections does so, %s register or not', async (when) => {
  const { output } = await run(`
    import { Duplex } from 'node:stream'
    import http from 'node:http'
    const intercept = () => {
      const { connect } = stock
      stock.connect = stock.createConnection = function intercepted(...args) {
        const [options] = stock._normalizeArgs(args)
        if (options.host !== 'some.name') return connect.apply(this, args)
        return Duplex.from(['intercepted, '])
      }
    }
    if ('${when}' === 'before') intercept()
    await import('@sheaf/tcp/register')
    if ('${when}' === 'after') intercept()
    for await (const chunk of stock.connect({ host: 'some.name', port: 1 })) process.stdout.write(chunk)
    const server = http.createServer((request, response) => response.end('served'))
    server.listen(0, '127.0.0.1', () => {
      http.get({ host: '127.0.0.1', port: server.address().port, agent: false }, (response) => {
        response.pipe(process.stdout)
        server.close()
      })
    })`)
  expect(output).toBe('intercepted, served')
})

it.each(['net', 'stock'])('what %s has unref\'d lets the process end, what is ref\'d again does not', async (name) => {
  const { output } = await run(`
    const { createServer, connect, Socket } = ${name}
    const turns = async (count) => { while (count-- > 0) await new Promise(setImmediate) }
    const steps = {
      'a server before it listens': () => createServer().unref().listen(0, '127.0.0.1'),
      'a server that listens': () => {
        const server = createServer().listen(0, '127.0.0.1', () => server.unref())
      },
      'a connection, on both sides': () => {
        const server = createServer((socket) => socket.unref().resume()).listen(0, '127.0.0.1', () => {
          server.unref()
          const client = connect(server.address().port, '127.0.0.1', () => client.unref())
          client.on('data', () => undefined)
        })
      },
      'a client before it connects': () => {
        const server = createServer((socket) => socket.unref().resume()).listen(0, '127.0.0.1', () => {
          server.unref()
          new Socket().unref().connect(server.address().port, '127.0.0.1').resume()
        })
      },
    }
    if (process.argv[2] !== undefined) {
      steps[process.argv[2]]()
    } else {
      const { spawnSync } = await import('node:child_process')
      for (const step of Object.keys(steps)) {
        const { status, signal } = spawnSync(process.execPath, [process.argv[1], step], { timeout: 20_000 })
        console.log(step, status, signal)
      }
      const server = createServer().unref().listen(0, '127.0.0.1', async () => {
        server.ref()
        await turns(3)
        setTimeout(() => {
          console.log('still there')
          server.close()
        }, 100).unref()
      })
    }`)
  expect(output.split('\n')).toEqual([
    'a server before it listens 0 null', 'a server that listens 0 null', 'a connection, on both sides 0 null',
    'a client before it connects 0 null', 'still there',
  ])
})

it.each(['@sheaf/tcp/register', 'node:net'])('with %s a paused connection goes on elsewhere, whole', async (by) => {
  const { output } = await run(`
    import { fork } from 'node:child_process'
    await import('${by}')
    if (process.argv[2] === 'child') {
      process.once('message', (message, socket) => {
        socket.on('data', (chunk) => process.stdout.write(chunk))
        socket.on('end', () => process.disconnect())
        socket.resume()
      })
    } else {
      const server = stock.createServer({ pauseOnConnect: true }, (socket) => {
        // What it is sent is there by then.
        setTimeout(() => {
          process.stdout.write(socket.bytesRead + ' read, ')
          fork(process.argv[1], ['child']).send('socket', socket)
        }, 50)
        server.close()
      })
      server.listen(0, '127.0.0.1', () => stock.connect(server.address().port, '127.0.0.1').resume().end('all of it'))
    }`)
  expect(output).toBe('0 read, all of it')
})

it('a server in a worker thread serves the main thread', async () => {
  const { output } = await run(`
    import { isMainThread, parentPort, Worker } from 'node:worker_threads'
    if (isMainThread) {
      const worker = new Worker(new URL(import.meta.url))
      worker.on('message', (port) => {
        const socket = net.connect(port, '127.0.0.1', () => socket.end('there and back'))
        socket.on('data', (chunk) => process.stdout.write(chunk))
        socket.on('close', () => worker.terminate())
      })
    } else {
      const server = net.createServer((socket) => socket.pipe(socket))
      server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))
    }`)
  expect(output).toBe('there and back')
})

const workers = `
  import cluster from 'node:cluster'
  if (cluster.isPrimary) {
    const ports = []
    cluster.on('listening', (worker, { port }) => {
      ports.push(port)
      if (ports.length < 3) return
      console.log(new Set(ports).size, ports[0] !== 0)
      const socket = net.connect(ports[0], '127.0.0.1')
      socket.on('data', (chunk) => console.log(String(chunk)))
      socket.on('close', () => cluster.disconnect(() => console.log('gone')))
    })
    for (let count = 0; count < 3; count++) cluster.fork()
  } else {
    net.createServer((socket) => socket.end('from a worker')).listen(port, '127.0.0.1')
  }`

/** A port that was free a moment ago, the same in all workers. */
const freePort = `
  const port = process.env.PORT ?? await new Promise((resolve) => {
    const server = stock.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      process.env.PORT = port
      server.close(() => resolve(port))
    })
  })`

it('workers of a cluster that listen on any port agree on one', async () => {
  const { code, output } = await run(`const port = 0\n${workers}`)
  expect(output).toBe('1 true\nfrom a worker\ngone')
  expect(code).toBe(0)
})

it('workers of a cluster share a port', async () => {
  const { code, output } = await run(`
    ${freePort}
    ${workers}`)
  expect(output).toBe('1 true\nfrom a worker\ngone')
  expect(code).toBe(0)
})

it('a worker that is busy while workers agree on a port is dealt no connections', async () => {
  const { code, output } = await run(`
    import cluster from 'node:cluster'
    import { existsSync, rmSync, writeFileSync } from 'node:fs'
    import { once } from 'node:events'
    import { tmpdir } from 'node:os'
    if (cluster.isPrimary) {
      const goOn = tmpdir() + '/sheaf-net-' + process.pid
      const busy = cluster.fork({ UNTIL: goOn })
      // The primary knows its port, and it does not know it yet.
      await once(busy, 'message')
      const [{ port }] = await once(cluster.fork(), 'listening')
      const sockets = Array.from({ length: 40 }, () => stock.connect(port, '127.0.0.1'))
      await Promise.all(sockets.map((socket) => once(socket, 'connect')))
      const answers = sockets.map((socket) => new Promise((answered) => {
        socket.on('data', (data) => answered(String(data))).on('error', ({ code }) => answered(code))
      }))
      writeFileSync(goOn, '')
      const [{ port: same }] = await once(busy, 'listening')
      console.log(...new Set(await Promise.all(answers)), same === port)
      rmSync(goOn)
      cluster.disconnect()
    } else {
      net.createServer((socket) => socket.end('served')).listen(0)
      if (process.env.UNTIL) {
        process.send('asked')
        const shared = new Int32Array(new SharedArrayBuffer(4))
        while (!existsSync(process.env.UNTIL)) Atomics.wait(shared, 0, 0, 1)
      }
    }`)
  expect(output).toBe('served true')
  expect(code).toBe(0)
})

it.each(['rr', 'none'])('workers listen on a Unix socket that their primary was given: %s', async (policy) => {
  const { code, output } = await run(`
    import cluster from 'node:cluster'
    import { spawn } from 'node:child_process'
    const path = process.env.SHARED
    if (path === undefined) {
      const shared = '\0sheaf-' + process.pid
      const given = stock.createServer().listen(shared, () => {
        const stdio = ['ignore', 'inherit', 'inherit', given._handle]
        const env = { ...process.env, SHARED: shared.slice(1) }
        spawn(process.execPath, [process.argv[1]], { stdio, env })
        given.close()
      })
    } else if (cluster.isPrimary) {
      cluster.fork()
      cluster.on('listening', (worker, { address, port, fd }) => {
        console.log(address, port, fd)
        stock.connect('\0' + path).on('data', (data) => {
          console.log(String(data))
          process.exit()
        })
      })
    } else {
      net.createServer((socket) => socket.end('served')).listen({ fd: 3 })
    }`, { NODE_CLUSTER_SCHED_POLICY: policy })
  expect(output).toBe('null null 3\nserved')
  expect(code).toBe(0)
})

it('a worker that closes its server serves who has connected by then', async () => {
  const { code, output } = await run(`
    import cluster from 'node:cluster'
    if (cluster.isPrimary) {
      const worker = cluster.fork()
      const answers = []
      let closed = 0
      cluster.on('listening', (_worker, { port }) => {
        const sockets = Array.from({ length: 8 }, () => stock.connect(port, '127.0.0.1'))
        Promise.all(sockets.map((socket) => once(socket, 'connect'))).then(() => console.log('connected'))
        for (const socket of sockets) {
          socket.on('data', (data) => answers.push(String(data))).on('error', (error) => answers.push(error.code))
          socket.on('close', () => { if (++closed === 8) worker.disconnect() })
        }
        worker.once('exit', (code) => console.log(...new Set(answers), code))
      })
    } else {
      const server = net.createServer((socket) => socket.end('served')).listen(0, '127.0.0.1', () => {
        // Told to the primary once this is over.
        process.nextTick(setImmediate, () => {
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
          server.close()
        })
      })
    }
    import { once } from 'node:events'`)
  expect(output).toBe('connected\nserved 0')
  expect(code).toBe(0)
})

it.each(['stock', 'net'])('a worker of %s has a port once', async (by) => {
  const { output, code } = await run(`
    import cluster from 'node:cluster'
    import { once } from 'node:events'
    if (cluster.isPrimary) {
      const taken = stock.createServer().listen(0)
      await once(taken, 'listening')
      const { port } = taken.address()
      taken.close(() => cluster.fork({ PORT: port }))
    } else {
      const port = Number(process.env.PORT)
      const first = ${by}.createServer().listen(port)
      await once(first, 'listening')
      const [{ message }] = await once(${by}.createServer().listen(port), 'error')
      console.log(message.replace(port, 'port'))
      first.close()
      await once(first, 'close')
      const second = ${by}.createServer().listen(port)
      await once(second, 'listening')
      console.log(second.address().port === port)
      process.exit()
    }`)
  expect(output).toBe('bind EADDRINUSE null:port\ntrue')
  expect(code).toBe(0)
})

function skipUnlessRoot(context: TestContext): void {
  if (process.getuid?.() !== 0) context.skip('being several users needs root')
}

it.for([
  ['rr', 'stock'], ['none', 'stock'], ['rr', 'net'], ['none', 'net'],
])('workers of several users listen on a port of the privileged: %s, %s', async ([policy, by], context) => {
  skipUnlessRoot(context)
  const { code, output } = await run(`
    import cluster from 'node:cluster'
    import { once } from 'node:events'
    if (cluster.isPrimary) {
      let port = 0
      for (let taken = true; taken;) {
        const server = stock.createServer().listen(port = 600 + Math.floor(Math.random() * 400), '127.0.0.1')
        taken = await once(server, 'listening').then(() => false, () => true)
        if (!taken) await once(server.close(), 'close')
      }
      const workers = []
      for (const user of [65534, 65533, 65534, 0]) {
        const worker = cluster.fork({ PORT: port, USER_ID: user })
        workers.push(worker)
        const [name] = await once(worker, 'listening')
        console.log(user, name.address, name.port === port, name.addressType)
      }
      for (const worker of workers) {
        const [data] = await once(stock.connect(port, '127.0.0.1'), 'data')
        console.log(String(data))
        worker.disconnect()
        await once(worker, 'exit')
      }
      await once(stock.connect(port, '127.0.0.1'), 'error').then(([{ code }]) => console.log(code))
    } else {
      process.setuid(Number(process.env.USER_ID))
      ${by}.createServer((socket) => socket.end('served')).listen(process.env.PORT, '127.0.0.1')
    }`, { NODE_CLUSTER_SCHED_POLICY: policy })
  const listening = [65534, 65533, 65534, 0].map((user) => `${user} 127.0.0.1 true 4`)
  expect(output.split('\n')).toEqual([...listening, ...Array<string>(4).fill('served'), 'ECONNREFUSED'])
  expect(code).toBe(0)
})

it.for(['stock', 'net'])('workers of several users agree on any port: %s', async (by, context) => {
  skipUnlessRoot(context)
  const { code, output } = await run(`
    import cluster from 'node:cluster'
    import { once } from 'node:events'
    if (cluster.isPrimary) {
      const ports = []
      for (const user of [65534, 65533, 0]) {
        const [{ addressType, port }] = await once(cluster.fork({ USER_ID: user }), 'listening')
        ports.push(port)
        console.log(addressType)
      }
      console.log(new Set(ports).size)
      cluster.disconnect()
    } else {
      process.setuid(Number(process.env.USER_ID))
      ${by}.createServer().listen()
    }`)
  expect(output).toBe('4\n4\n4\n1')
  expect(code).toBe(0)
})

it.each(['stock', 'net'])('a worker is told what keeps its primary from listening: %s', async (by) => {
  const { output } = await run(`
    import cluster from 'node:cluster'
    import { once } from 'node:events'
    if (cluster.isPrimary) {
      const taken = stock.createServer().listen(0)
      await once(taken, 'listening')
      const { port } = taken.address()
      const worker = cluster.fork({ PORT: port }).on('message', ({ message, stack, ...others }) => {
        for (const said of [message, JSON.stringify(others)]) console.log(said.replaceAll(port, 'port'))
      })
      worker.on('exit', () => taken.close())
    } else {
      for (const listened of [[process.env.PORT], [process.env.PORT, '0.0.0.0'], [0, '192.0.2.1']]) {
        const server = ${by}.createServer().listen(...listened)
        const [error] = await once(server, 'error')
        process.send({ message: error.message, ...error })
      }
      process.exit()
    }`)
  expect(output.split('\n')).toEqual([
    'bind EADDRINUSE null:port',
    '{"errno":-98,"code":"EADDRINUSE","syscall":"bind","address":null,"port":port}',
    'bind EADDRINUSE 0.0.0.0:port',
    '{"errno":-98,"code":"EADDRINUSE","syscall":"bind","address":"0.0.0.0","port":port}',
    'bind EADDRNOTAVAIL 192.0.2.1',
    '{"errno":-99,"code":"EADDRNOTAVAIL","syscall":"bind","address":"192.0.2.1"}',
  ])
})

it('a worker has a port at addresses that do not overlap, as with node:net', async () => {
  const { code, output } = await run(`
    import cluster from 'node:cluster'
    import { once } from 'node:events'
    if (cluster.isPrimary) {
      const taken = stock.createServer().listen(0)
      await once(taken, 'listening')
      const { port } = taken.address()
      taken.close(() => cluster.fork({ PORT: port }))
    } else {
      const wanted = Number(process.env.PORT)
      const places = [
        {}, { host: '::' }, { host: '::', ipv6Only: true }, { host: '0.0.0.0' }, { host: '127.0.0.1' },
        { host: '127.0.0.2' }, { host: '::1' }, { host: '0:0:0:0:0:0:0:1' }, { host: '::ffff:127.0.0.1' },
      ]
      const listens = (server) => once(server, 'listening').then(() => 'listens', ({ message }) => message)
      for (const by of [stock, net]) {
        const results = []
        for (const port of [wanted, 0]) {
          for (const first of places) {
            for (const second of places) {
              const servers = [by.createServer(), by.createServer()]
              servers[0].listen({ ...first, port })
              // Before the first has been told, where its port is known.
              if (port === 0) results.push(await listens(servers[0]))
              const beside = port || servers[0].address().port
              servers[1].listen({ ...second, port: beside })
              const told = await Promise.all(servers.slice(port === 0 ? 1 : 0).map(listens))
              results.push(...told.map((message) => message.replace(beside, 'port')))
              for (const server of servers) if (server.listening) await once(server.close(), 'close')
            }
          }
        }
        console.log(results.filter((result) => result === 'listens').length, results.join())
      }
      process.exit()
    }`)
  const [byNode, bySheaf] = output.split('\n')
  expect(bySheaf).toBe(byNode)
  expect(byNode).toContain('bind EADDRINUSE 0.0.0.0:port')
  expect(code).toBe(0)
})

it('a worker that is disconnected before it listens ends, and does not keep others from listening', async () => {
  const { code, output } = await run(`
    import cluster from 'node:cluster'
    ${freePort}
    if (cluster.isPrimary) {
      const first = cluster.fork()
      first.on('online', () => first.disconnect()).on('exit', (code) => {
        console.log('exit', code)
        cluster.fork().on('listening', () => {
          console.log('listening')
          cluster.disconnect()
        })
      })
    } else {
      const server = net.createServer()
      // It is disconnected by then.
      setTimeout(() => server.listen(port, '127.0.0.1'), cluster.worker.id === 1 ? 500 : 0)
    }`)
  expect(output).toBe('exit 0\nlistening')
  expect(code).toBe(0)
})

it('a worker that is disconnected waits for the connections of its server', async () => {
  const { code, output } = await run(`
    import cluster from 'node:cluster'
    if (cluster.isPrimary) {
      const worker = cluster.fork()
      cluster.on('listening', (_worker, { port }) => {
        const socket = net.connect(port, '127.0.0.1')
        socket.once('data', () => worker.disconnect())
        // The server is closed, and the worker answers still.
        worker.once('message', () => worker.send('ping', () => worker.once('message', (answer) => {
          console.log(answer)
          socket.end()
        })))
        worker.once('exit', (code) => console.log('exit', code))
      })
    } else {
      const server = net.createServer((socket) => socket.write('hello')).listen(0, '127.0.0.1')
      const { close } = server
      server.close = (...parameters) => {
        process.send('closing')
        return close.apply(server, parameters)
      }
      process.on('message', () => process.send('pong'))
    }`)
  expect(output).toBe('pong\nexit 0')
  expect(code).toBe(0)
})

it('workers of a cluster have the same TLS ticket keys', async () => {
  const { output } = await run(`
    import cluster from 'node:cluster'
    import { register } from '@sheaf/tcp/register'
    import tls from 'node:tls'
    register()
    if (cluster.isPrimary) {
      const keys = new Set()
      let count = 0
      const server = stock.createServer().listen(0, '127.0.0.1', () => {
        const { port } = server.address()
        server.close(() => [1, 2].forEach(() => cluster.fork({ PORT: port })))
      })
      cluster.on('message', (_worker, key) => {
        keys.add(key)
        if (++count === 2) cluster.disconnect(() => console.log(keys.size))
      })
    } else {
      const server = tls.createServer().listen(process.env.PORT, '127.0.0.1', () => {
        process.send(server.getTicketKeys().toString('hex'))
      })
    }`)
  expect(output).toBe('1')
})

it('a connection that one worker has no room for goes to another', async () => {
  const { code, output } = await run(`
    import cluster from 'node:cluster'
    import { tmpdir } from 'node:os'
    if (cluster.isPrimary) {
      cluster.schedulingPolicy = cluster.SCHED_RR
      const path = tmpdir() + '/sheaf-net-' + process.pid
      const counts = {}
      let listening = 0
      let total = 0
      cluster.on('message', (worker) => {
        counts[worker.id] = (counts[worker.id] ?? 0) + 1
        if (++total < 10) return
        console.log(JSON.stringify(counts))
        cluster.disconnect()
        sockets.forEach((socket) => socket.destroy())
      })
      const sockets = []
      cluster.on('listening', () => {
        if (++listening === 2) for (let count = 0; count < 10; count++) sockets.push(stock.connect(path))
      })
      for (const maximum of [1, 9]) cluster.fork({ PATH_TO_LISTEN_ON: path, MAXIMUM: maximum })
    } else {
      const server = net.createServer(() => process.send('connection'))
      server.maxConnections = Number(process.env.MAXIMUM)
      server.listen(process.env.PATH_TO_LISTEN_ON)
    }`)
  expect(output).toBe('{"1":1,"2":9}')
  expect(code).toBe(0)
})

it('paths go to node:net where @sheaf/unix is not installed', async () => {
  const { output } = await run(`
    import Module from 'node:module'
    import { tmpdir } from 'node:os'
    const { _resolveFilename: resolve } = Module
    Module._resolveFilename = (request, ...rest) => {
      if (request.startsWith('@sheaf/unix')) throw new Error(request + ' is not installed')
      return resolve(request, ...rest)
    }
    const path = tmpdir() + '/sheaf-net-' + process.pid
    const server = net.createServer((socket) => {
      console.log(socket.constructor === stock.Socket, server._connections)
      socket.end('by path')
    })
    server.listen({ path }, () => {
      console.log(server.address() === path)
      const socket = net.connect(path)
      socket.on('data', (chunk) => process.stdout.write(chunk))
      socket.on('close', () => server.close(() => console.log(', closed', server.listening)))
    })`)
  expect(output).toBe('true\ntrue 1\nby path, closed false')
})

it('ends and closes when node:net does: after what is to be done immediately', async () => {
  const program = (name: string): string => `
    const server = ${name}.createServer((socket) => socket.end('all')).listen(0, '127.0.0.1', () => {
      const socket = ${name}.connect(server.address().port, '127.0.0.1')
      const seen = []
      socket.on('data', () => setImmediate(() => seen.push('immediate')))
      socket.on('end', () => {
        seen.push('end')
        socket.destroy()
        setImmediate(() => seen.push('immediate'))
      })
      socket.on('close', () => {
        console.log(...seen)
        server.close()
      })
    })`
  for (const name of ['net', 'stock']) {
    const { output } = await run(program(name))
    expect(output).toBe('immediate end immediate')
  }
})

it('what an event leaves for an immediate comes before files and names that it asks for', async () => {
  const program = (name: string): string => `
    import dns from 'node:dns'
    import fs from 'node:fs'
    const rounds = 10
    let [round, late] = [0, 0]
    const server = ${name}.createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1', () => {
      const socket = ${name}.connect(server.address().port, '127.0.0.1', () => socket.write('it'))
      socket.on('data', () => {
        let first = true
        let missing = 2
        const see = () => {
          if (first) {
            first = false
            late++
          }
          // The next round begins when nothing of this one can come with its event.
          if (--missing === 0) setTimeout(goOn, 5)
        }
        setImmediate(() => { first = false })
        fs.stat('/', see)
        dns.lookup('localhost', see)
        const until = performance.now() + 5
        while (performance.now() < until);
      })
      const goOn = () => {
        if (++round < rounds) {
          socket.write('it')
          return
        }
        socket.end()
        // What V8 compiles beside wakes libuv as well, now and then in the same moment as the event does.
        server.close(() => console.log(late < rounds / 2 ? 'in time' : 'late'))
      }
    })`
  for (const name of ['net', 'stock']) {
    const { output } = await run(program(name))
    expect([name, output]).toEqual([name, 'in time'])
  }
})

it('so it does where the event comes of what a timer has had a socket end with', async () => {
  const program = (name: string): string => `
    import fs from 'node:fs'
    const rounds = 10
    let [round, late] = [0, 0]
    const server = ${name}.createServer((socket) => {
      socket.on('data', () => {
        let first = true
        setImmediate(() => { first = false })
        fs.stat('/', () => {
          if (first) late++
          setTimeout(goOn, 5)
        })
        const until = performance.now() + 5
        while (performance.now() < until);
      })
    }).listen(0, '127.0.0.1', () => goOn())
    const goOn = () => {
      if (round++ < rounds) {
        const socket = ${name}.connect(server.address().port, '127.0.0.1', () => setTimeout(() => socket.end('it'), 1))
        return
      }
      server.close(() => console.log(late < rounds / 2 ? 'in time' : 'late'))
    }`
  for (const name of ['net', 'stock']) {
    const { output } = await run(program(name))
    expect([name, output]).toEqual([name, 'in time'])
  }
})

it('paths go to @sheaf/unix where that is installed', async () => {
  const { output } = await run(`
    import { tmpdir } from 'node:os'
    const path = tmpdir() + '/sheaf-net-' + process.pid
    const server = net.createServer((socket) => {
      console.log(socket instanceof net.Socket, socket._handle.family.kind)
      socket.end('by path')
    }).listen(path, () => {
      const socket = net.connect(path)
      socket.on('data', (chunk) => process.stdout.write(chunk))
      socket.on('close', () => server.close())
    })`)
  expect(output).toBe('true pipe\nby path')
})

it('without io_uring it is node:net itself', async () => {
  const program = 'console.log(net.Socket === stock.Socket, net.Server === stock.Server)'
  const { output } = await run(program, { SHEAF_DISABLE: '1' })
  expect(output).toBe('true true')
})

it('a process that gets a server from its parent can listen with it', async () => {
  const { output } = await run(`
    import { fork } from 'node:child_process'
    if (process.argv[2] === 'child') {
      process.once('message', (message, handle) => {
        const server = net.createServer((socket) => socket.end('by the child'))
        server.listen(handle, () => process.send('listening'))
        process.once('message', () => process.exit())
      })
    } else {
      const server = stock.createServer().listen(0, '127.0.0.1', () => {
        const { port } = server.address()
        const child = fork(process.argv[1], ['child'])
        child.send('server', server)
        child.once('message', () => {
          server.close()
          const socket = net.connect(port, '127.0.0.1')
          socket.on('data', (chunk) => process.stdout.write(chunk))
          socket.on('close', () => child.send('done'))
        })
      })
    }`)
  expect(output).toBe('by the child')
})

it('runs process.nextTick after each event if it is loaded in a vm context', () => {
  const program = join(import.meta.dirname, 'fixtures/in-vm-context.cjs')
  expect(execFileSync(process.execPath, [program], { encoding: 'utf8' })).toBe('data tick data tick data tick\n')
})

it.each([0, 16, 64, 128, 192, 1024])('it works with %i KB of locked memory, on whatever sockets', async (limitKb) => {
  const program = new Program(`
    import net from '@sheaf/tcp/net'
    const server = net.createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1', () => {
      net.connect(server.address().port, '127.0.0.1').end('echo').on('data', (chunk) => {
        console.log(String(chunk))
        server.close()
      })
    })
  `, { through: lockedMemory(limitKb) })
  expect(await program.line()).toBe('echo')
  expect(await program.ended).toMatchObject({ code: 0, errors: '' })
})

it.each(['register', 'net'])('paths are Node\'s where @sheaf/unix is not installed, or fails: %s', async (how) => {
  const path = join(mkdtempSync(join(tmpdir(), 'sheaf-')), 's')
  onTestFinished(() => {
    rmSync(join(path, '..'), { recursive: true })
  })
  const { output, code } = await run(`
    import { loadFamilyBy } from '@sheaf/ring/net'
    import { createRequire } from 'node:module'
    loadFamilyBy('pipe', () => { throw Object.assign(new Error('none'), { code: 'MODULE_NOT_FOUND' }) })
    const { Server, Socket, connect } = '${how}' === 'net' ? net : createRequire(import.meta.url)('node:net')
    const server = new Server((socket) => socket.pipe(socket)).listen('${path}', () => {
      const first = new Socket().setEncoding('utf8').setTimeout(10_000).setNoDelay()
      first.on('data', (data) => {
        console.log(first._handle.constructor.name, typeof data, data)
        first.end()
      })
      first.connect('${path}', () => first.write('first')).on('close', () => {
        const second = connect({ path: '${path}' }).on('data', (data) => {
          console.log(second._handle.constructor.name, String(data))
          second.end()
          server.close()
        })
        second.write('second')
      })
    })`, how === 'register' ? { NODE_OPTIONS: '--import=@sheaf/tcp/register' } : {})
  expect(output).toBe('Pipe string first\nPipe second')
  expect(code).toBe(0)
})

it.each(['stock', 'net'])('nothing of %s is told after process.exit', async (by) => {
  const { output, code } = await run(`
    let exiting = false
    const told = (socket, name) => {
      for (const event of ['data', 'drain', 'end', 'error', 'close']) {
        socket.on(event, () => { if (exiting) console.log(name, event) })
      }
      return socket
    }
    const server = ${by}.createServer((socket) => {
      told(socket, 'server').once('data', () => {
        exiting = true
        socket.write(Buffer.alloc(300_000), () => {
          console.log('written')
          throw new Error('written')
        })
        process.exit()
      })
    })
    process.on('exit', () => console.log('exit'))
    server.listen(0, '127.0.0.1', () => {
      told(${by}.connect(server.address().port, '127.0.0.1'), 'client').end(Buffer.alloc(400_000))
    })
  `)
  expect(output).toBe('exit')
  expect(code).toBe(0)
})

it.each(['connect', 'end'])('process.exit in `%s`, after it is destroyed, is what ends it', async (event) => {
  const { output, code } = await run(`
    process.on('exit', (status) => console.log('exit', status))
    const server = stock.createServer((socket) => socket.end()).listen(0, '127.0.0.1', () => {
      const socket = net.connect(server.address().port, '127.0.0.1').resume().on('${event}', () => {
        socket.destroy()
        process.exit(7)
      })
    })`)
  expect(output).toBe('exit 7')
  expect(code).toBe(7)
})

it('of processes that listen on one descriptor, one that stands still keeps no connection from others', async () => {
  const { output } = await run(`
    import { spawn } from 'node:child_process'
    import { once } from 'node:events'
    import { readFileSync } from 'node:fs'
    if (process.argv[2] !== undefined) {
      net.createServer((socket) => socket.end(process.argv[2])).listen({ fd: 3 }, () => console.log('listening'))
    } else {
      const server = net.createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { port } = server.address()
      const stdio = ['ignore', 'pipe', 'inherit', server._handle.fd]
      const children = ['first', 'second'].map((name) =>
        [name, spawn(process.execPath, [process.argv[1], name], { stdio })])
      await Promise.all(children.map(([, child]) => once(child.stdout, 'data')))
      server.close()
      for (const [name, child] of children) {
        child.kill('SIGSTOP')
        const stat = '/proc/' + child.pid + '/stat'
        while (!readFileSync(stat, 'latin1').includes(') T ')) await new Promise(setImmediate)
        for (let count = 0; count < 4; count++) {
          let answer = ''
          for await (const chunk of stock.connect(port, '127.0.0.1')) answer += String(chunk)
          console.log(name + ' is stopped: ' + answer)
        }
        child.kill('SIGCONT')
      }
      for (const [, child] of children) child.kill('SIGKILL')
    }`)
  const answers = [['first', 'second'], ['second', 'first']].flatMap(([stopped, answers]) =>
    Array.from({ length: 4 }, () => `${stopped} is stopped: ${answers}`))
  expect(output.split('\n')).toEqual(answers)
})
