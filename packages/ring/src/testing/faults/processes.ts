import assert from 'node:assert/strict'
import { Worker } from 'node:worker_threads'
import type { Address } from '@sheaf/ring'
import type { Test } from './bench'
import { openDescriptors } from '../descriptors'
import { Received, until } from '../fixtures'
import { fewDescriptors, lockedKb, lockedMemory, smallHeaps } from '../process-limits'
import { Program, runProgram } from '../program'
import { type FaultFamily, prelude } from './family'

/** Takes every descriptor that is left, or all but so many; and gives them back. */
const hoard = `
  import { closeSync, openSync, readdirSync } from 'node:fs'
  const taken = []
  const hoard = (leave = 0) => {
    try { for (;;) taken.push(openSync('/dev/null')) } catch (error) { if (error.code !== 'EMFILE') throw error }
    for (let count = 0; count < leave; count++) closeSync(taken.pop())
  }
  const release = () => { for (const fd of taken.splice(0)) closeSync(fd) }
  const open = () => readdirSync('/proc/self/fd').length
  const code = (promise) => promise.then(() => 'done', (error) => error.code)
`

/** What an echo through a ring of the program's own looks like to one who reads its output. */
const echoOnce = `
  const echoOnce = async (ring) => {
    const listener = await listen({ ...given, ring }, { data: (connection, chunk) => void connection.write(chunk) })
    let text = ''
    await new Promise((resolve, reject) => {
      connect({ ...at(listener.address), ring }, {
        open: (connection) => void connection.write('echo'),
        data: (connection, chunk) => { text += chunk; if (text === 'echo') connection.end() },
        close: (connection, error) => error ? reject(error) : resolve(),
      }).catch(reject)
    })
    await listener.close()
    return text
  }
`

function limitTests(family: FaultFamily): Record<string, Test> {
  const program = `${prelude(family)}${hoard}${echoOnce}`
  return {
    async 'out of descriptors: a ring, a listener and a connection fail with EMFILE, and leak none'() {
      const [outcome] = await runProgram(`${program}
        const ring = createRing()
        await echoOnce(ring)
        const before = open()
        const told = []
        for (const leave of [0, 1]) {
          hoard(leave)
          try { createRing() } catch (error) { told.push(error.code) }
          release()
        }
        const listener = await listen({ ...given, ring }, {})
        hoard()
        told.push(await code(listen({ ...given, ring }, {})))
        told.push(await code(connect({ ...at(listener.address), ring }, {})))
        release()
        await listener.close()
        say(JSON.stringify({ told, left: open() - before, echo: await echoOnce(ring) }))
        ring.close()
      `, { given: family.listenOptions(), through: fewDescriptors })
      assert.deepEqual(JSON.parse(outcome), { told: ['EMFILE', 'EMFILE', 'EMFILE', 'EMFILE'], left: 0, echo: 'echo' })
    },

    async 'out of descriptors: a listener says so, and accepts who has waited when there are some again'(bench) {
      const server = new Program(`${program}
        const errors = []
        const listener = await listen(given, {
          open: (connection) => void connection.write('welcome'),
          acceptError: (error) => { if (errors.push(error.code + ' ' + error.syscall) === 1) say(errors[0]) },
        })
        hoard()
        say(JSON.stringify(listener.address))
        process.stdin.once('data', release)
      `, { given: family.listenOptions(), through: fewDescriptors })
      bench.onClose(() => server.kill())
      const address = JSON.parse(await server.line()) as Address
      const ring = bench.ring()
      const told = Array.from({ length: 5 }, () => new Received())
      await Promise.all(told.map((handler) => bench.connectTo(ring, address, handler)))
      assert.equal(await server.line(), 'EMFILE accept')
      assert.ok(told.every(({ bytes }) => bytes === 0))
      server.child.stdin?.write('go on')
      await until(() => told.every(({ text }) => text === 'welcome'), 'all to be accepted')
    },

    async 'little locked memory (RLIMIT_MEMLOCK): a clear error, or everything works'() {
      const outcomes: string[] = []
      for (const limitKb of lockedKb) {
        const [outcome] = await runProgram(`${program}
          let ring
          try { ring = createRing() } catch (error) { say(error.message); process.exit() }
          const text = await echoOnce(ring)
          // Several spans want a group, and a group is locked memory too.
          let received = 0
          const listener = await listen({ ...given, ring }, { data: (_, chunk) => { received += chunk.length } })
          const connection = await connect({ ...at(listener.address), ring }, {})
          connection.write(pattern(3_000_000, 1))
          await until(() => received === 3_000_000, 'all of it')
          say(text)
          process.exit()
        `, { given: family.listenOptions(), through: lockedMemory(limitKb) })
        outcomes.push(outcome)
        assert.ok(outcome === 'echo' || /locked memory.*ulimit -l/.test(outcome), outcome)
      }
      assert.equal(outcomes.at(-1), 'echo')
    },

    async 'without address space (RLIMIT_AS) a ring fails with ENOMEM, leaks nothing, and others go on'() {
      const [outcome] = await runProgram(`${program}
        import { execFileSync } from 'node:child_process'
        import { readFileSync } from 'node:fs'
        const ring = createRing()
        await echoOnce(ring)
        const before = open()
        const mapped = Number(/VmSize:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))[1]) * 1024
        execFileSync('prlimit', ['--pid', String(process.pid), '--as=' + (mapped + 300_000_000)])
        const told = []
        for (let count = 0; count < 20; count++) {
          try {
            createRing({ receiveBufferBytes: 2 ** 20, receiveBuffers: 512, receiveBuffersMax: 1024 })
          } catch (error) {
            told.push(error.code)
          }
        }
        say(JSON.stringify({ told: [...new Set(told)], left: open() - before, echo: await echoOnce(ring) }))
        process.exit()
      `, { given: family.listenOptions() })
      assert.deepEqual(JSON.parse(outcome), { told: ['ENOMEM'], left: 0, echo: 'echo' })
    },
  }
}

function collectionTests(family: FaultFamily): Record<string, Test> {
  const test = (flags: readonly string[]): Test => async () => {
    const lines = await runProgram(`${prelude(family)}
      import { createHash } from 'node:crypto'
      const ring = createRing()
      const listener = await listen({ ...given, ring }, {
        data(connection, chunk) { if (!connection.write(Buffer.from(chunk))) connection.pause() },
        drain: (connection) => connection.resume(),
      })
      const collecting = setInterval(gc, 5)
      await Promise.all(Array.from({ length: 10 }, (_, index) => new Promise((resolve, reject) => {
        const hashes = [createHash('sha256'), createHash('sha256')]
        let left = 40
        const write = (connection) => {
          while (left > 0) {
            left--
            // Nobody but the connection holds these.
            const chunk = Buffer.from(pattern(left % 4 === 0 ? 200_000 : 20_000, index * 100 + left))
            hashes[0].update(chunk)
            if (!connection.write(chunk)) return
          }
          connection.end()
        }
        connect({ ...at(listener.address), ring }, {
          open: write,
          drain: write,
          data: (connection, chunk) => void hashes[1].update(chunk),
          close(connection, error) {
            const [sent, received] = hashes.map((hash) => hash.digest('hex'))
            if (error || sent !== received) reject(error ?? new Error('not what was sent'))
            else resolve()
          },
        }).catch(reject)
      })))
      clearInterval(collecting)
      await listener.close()
      say('whole', Object.values(ring.usage).join())
      ring.close()
    `, { given: family.listenOptions(), flags })
    assert.match(lines.join(), /^whole 0(,0)+$/)
  }
  return Object.fromEntries(smallHeaps.map((flags) => [flags.join(' '), test(flags)]))
}

/** How a program can end, and with what code or signal. */
const endings: [string, string, number | null, string | null][] = [
  ['process.exit', 'process.exit(3)', 3, null],
  ['process.exit in a handler', 'inHandler = () => process.exit(4)', 4, null],
  ['an exception', 'setImmediate(() => { throw new Error("mine") })', 1, null],
  ['an exception in a handler', 'inHandler = () => { throw new Error("mine") }', 1, null],
  ['an exception in exit', 'process.on("exit", () => { throw new Error("mine") }); process.exit()', 1, null],
  ['a rejection that nobody handles', 'void Promise.reject(new Error("mine"))', 1, null],
  ['too deep a recursion', 'const deeper = () => deeper() + 1; setImmediate(deeper)', 1, null],
  ['SIGTERM', 'process.kill(process.pid, "SIGTERM")', null, 'SIGTERM'],
  ['process.reallyExit', 'process.reallyExit(5)', 5, null],
]

function endingTests(family: FaultFamily): Record<string, Test> {
  const test = (how: string, code: number | null, signal: string | null): Test => async (bench) => {
    const ring = bench.ring()
    const peers: Received[] = []
    const listener = await bench.listen(ring, {
      open(connection) {
        const peer = new Received()
        peers.push(peer)
        connection.handler = peer
        connection.pause()
        connection.write('go')
        setTimeout(() => connection.resume(), 300)
      },
    })
    const program = new Program(`${prelude(family)}
      let inHandler
      let open = 0
      for (let count = 0; count < 10; count++) {
        connect(at(given.peer), {
          open(connection) { connection.write(Buffer.alloc(10_000_000)) },
          data() { if (++open === 10) setTimeout(() => { ${how} }, 10) },
          drain() {},
          end() {},
        }).catch(() => {})
      }
      // Something has to call the handler while it is busy.
      const pair = await listen(given.own, { data() { inHandler?.() } })
      const other = await connect(at(pair.address), {})
      setInterval(() => other.write('x'), 5)
    `, { given: { peer: listener.address, own: family.listenOptions() } })
    bench.onClose(() => program.kill())
    const ended = await program.ended
    assert.equal(ended.signal, signal, ended.errors)
    assert.equal(ended.code, code, ended.errors)
    await until(() => peers.length === 10, 'the peers')
    await Promise.all(peers.map(({ closed }) => closed))
    assert.ok(peers.every(({ closes }) => closes === 1))
    await bench.assertEmpty()
  }
  return Object.fromEntries(endings.map(([name, how, code, signal]) => [name, test(how, code, signal)]))
}

/** A thousand say no more, and take a minute. */
const workers = Number(process.env.SHEAF_FAULT_WORKERS ?? 100)
const workersAtOnce = 4

function workerTests(family: FaultFamily): Record<string, Test> {
  const program = `
    const { parentPort, workerData } = require('node:worker_threads')
    const { connect, listen } = require('${family.module}')
    const large = Buffer.alloc(1_000_000)
    const pump = (connection) => { while (connection.write(large)); }
    listen(workerData, { open: pump, drain: pump }).then(({ address }) => {
      const target = address.path === undefined ? { host: '127.0.0.1', port: address.port } : address
      let open = 0
      for (let index = 0; index < 4; index++) {
        connect(target, {
          open(connection) {
            if (index % 2 === 0) connection.pause()
            pump(connection)
            if (++open === 4) parentPort.postMessage('busy')
          },
          drain: pump,
        })
      }
    })
  `
  const one = (): Promise<void> => new Promise((resolve, reject) => {
    const worker = new Worker(program, { eval: true, workerData: family.listenOptions(), execArgv: [] })
    worker.on('error', reject)
    worker.once('message', () => void worker.terminate())
    worker.on('exit', () => resolve())
  })
  const some = async (count: number): Promise<void> => {
    let left = count
    await Promise.all(Array.from({ length: workersAtOnce }, async () => {
      while (left-- > 0) await one()
    }))
  }
  return {
    async [`${workers} of them, started and terminated with traffic in flight, leave no descriptor`]() {
      await some(workersAtOnce * 2)
      const before = openDescriptors()
      await some(workers)
      // The kernel lets go of rings in its own time.
      await until(() => openDescriptors() <= before, `${before} descriptors again`)
    },
  }
}

/** Tests of what befalls processes and threads that use an adapter, by what they are about. */
export function processTests(family: FaultFamily): Record<string, Record<string, Test>> {
  return {
    'a process at its limits': limitTests(family),
    'under constant garbage collection': collectionTests(family),
    'a process that ends with sends in flight, by': endingTests(family),
    'workers': workerTests(family),
  }
}
