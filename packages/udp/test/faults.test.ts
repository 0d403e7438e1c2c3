import { execFileSync } from 'node:child_process'
import { limits } from '@sheaf/ring'
import {
  CabledPrograms, fewDescriptors, lockedKb, lockedMemory, Program, runProgram, smallHeaps,
} from '@sheaf/ring/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Destinations } from '../src/destinations'
import { Sources } from '../src/sources'
import { addressOf, bound, connected, loopback, Received, testRing, until, untilIdle } from './support'

const prelude = `
  import { readdirSync, openSync, closeSync } from 'node:fs'
  import { createRing } from '@sheaf/ring'
  import { bind, connect } from '@sheaf/udp'
  const { until } = await import('@sheaf/ring/testing')
  const say = (...words) => console.log(...words)
`

/** A process that sends every datagram back, ended with the test. */
async function echo(): Promise<{ program: Program, port: number }> {
  const program = new Program(`${prelude}
    const socket = await bind({ host: '127.0.0.1' }, { message(t, chunk, from) { t.send(chunk, from) } })
    say(socket.localAddress.port)
  `)
  onTestFinished(() => program.kill())
  return { program, port: Number(await program.line()) }
}

describe('isolation', () => {
  it('nothing of another socket is in the memory of a received chunk', async () => {
    const ring = testRing()
    const sender = await bound(ring)
    const sizes = [1, 40, 1400, limits.messageSlabChunkBytes, limits.messageSlabChunkBytes + 1, 30_000]
    const received = Array.from({ length: 6 }, () => new Received())
    const sockets = await Promise.all(received.map((handler) => bound(ring, handler)))
    for (let round = 0; round < 30; round++) {
      for (const [index, socket] of sockets.entries()) {
        if (round % 3 === 0) socket.pause()
        sender.send(Buffer.alloc(sizes[round % sizes.length], 0xa0 + index), addressOf(socket))
      }
      await until(() => sender.messagesQueued === 0, 'all to be sent')
      for (const socket of sockets) socket.resume()
      await Promise.all(received.map((each) => each.arrived(round + 1)))
    }
    for (const [index, { chunks }] of received.entries()) {
      for (const memory of new Set(chunks.map(({ buffer }) => buffer))) {
        expect(new Uint8Array(memory).every((byte) => byte === 0 || byte === 0xa0 + index)).toBe(true)
      }
    }
  })
})

describe('a peer', () => {
  it('killed is told as ECONNREFUSED, and the socket goes on', async () => {
    const { program, port } = await echo()
    const ring = testRing()
    const received = new Received()
    const peer = await bound(ring)
    const socket = await connected(ring, peer, received)
    const errors: NodeJS.ErrnoException[] = []
    const dead = await connected(ring, { localAddress: { port } } as never, {
      message: (_socket, chunk) => void received.chunks.push(chunk),
      error: (_socket, error) => void errors.push(error),
    })
    dead.send('x')
    await received.arrived(1)
    for (let index = 0; index < 100; index++) dead.send(Buffer.alloc(1000))
    program.kill()
    await program.ended
    await until(() => {
      dead.send('x')
      return errors.length !== 0
    }, 'the refusal')
    expect(errors.every(({ code }) => code === 'ECONNREFUSED')).toBe(true)
    expect(dead.state).toBe('open')
    peer.handler = { message: (_socket, chunk) => void received.chunks.push(chunk) }
    const before = received.chunks.length
    socket.send('beside')
    await until(() => received.chunks.length > before, 'a datagram beside')
    dead.close()
  })

  it('stopped holds nobody up, and goes on when it is continued', async () => {
    const { program, port } = await echo()
    const ring = testRing()
    const received = new Received()
    const socket = await bound(ring, received)
    program.kill('SIGSTOP')
    const outcomes: unknown[] = []
    for (let index = 0; index < 2000; index++) {
      socket.send(Buffer.alloc(1000), { address: loopback, port }, (error) => outcomes.push(error))
    }
    await until(() => outcomes.length === 2000, 'the kernel to take them, or lose them')
    expect(outcomes.every((error) => error === undefined)).toBe(true)
    program.kill('SIGCONT')
    await until(() => {
      socket.send('after', { address: loopback, port })
      return received.texts.includes('after')
    }, 'an answer')
  })

  it('behind an interface that goes down is out of reach, and within it when it is up again', async (context) => {
    try {
      execFileSync('unshare', ['--net', 'ip', 'link', 'set', 'lo', 'up'], { stdio: 'pipe' })
    } catch {
      context.skip('needs root and iproute2, for a network namespace')
    }
    const pair = await CabledPrograms.start(`${prelude}
      const socket = await bind({ host: given.here, port: 7000 }, { message(t, chunk, from) { t.send(chunk, from) } })
      say('bound')
    `, `${prelude}
      let echoes = 0
      const socket = await bind({ host: given.here }, { message() { echoes++ }, error() {} })
      const outcome = () => new Promise((resolve) => {
        socket.send('x', { address: given.there, port: 7000 }, (error) => resolve(error?.code ?? 'sent'))
      })
      const echoed = async () => {
        const before = echoes
        await until(() => { void outcome(); return echoes > before }, 'an echo')
      }
      process.stdin.on('data', async (command) => {
        if (String(command).startsWith('echo')) await echoed().then(() => say('echoed'))
        else for (let tries = 0; tries < 1000; tries++) {
          const code = await outcome()
          if (code !== 'sent') { say(code); break }
        }
      })
      say('bound')
    `)
    onTestFinished(() => pair.kill())
    const { first, second } = pair
    expect([await first.line(), await second.line()]).toEqual(['bound', 'bound'])
    second.child.stdin?.write('echo\n')
    expect(await second.line()).toBe('echoed')
    execFileSync('nsenter', ['--target', String(second.child.pid), '--net', 'ip', 'link', 'set', 'cable', 'down'])
    second.child.stdin?.write('fail\n')
    expect(await second.line()).toBe('ENETUNREACH')
    execFileSync('nsenter', ['--target', String(second.child.pid), '--net', 'ip', 'link', 'set', 'cable', 'up'])
    second.child.stdin?.write('echo\n')
    expect(await second.line()).toBe('echoed')
  }, 60_000)
})

describe('a process at its limits', () => {
  it('out of descriptors: bind and connect fail with EMFILE, leak none, and work when there are some', async () => {
    const [outcome] = await runProgram(`${prelude}
      const open = () => readdirSync('/proc/self/fd').length
      const ring = createRing()
      const first = await bind({ host: '127.0.0.1', ring }, {})
      const before = open()
      const taken = []
      try { for (;;) taken.push(openSync('/dev/null')) } catch {}
      const code = (promise) => promise.then(() => 'done', (error) => error.code)
      const told = [await code(bind({ host: '127.0.0.1', ring }, {}))]
      told.push(await code(connect({ host: '127.0.0.1', port: first.localAddress.port, ring }, {})))
      for (const fd of taken) closeSync(fd)
      const left = open() - before
      told.push(await code(connect({ host: '127.0.0.1', port: first.localAddress.port, ring }, {})))
      say(JSON.stringify({ told, left }))
      ring.close()
    `, { through: fewDescriptors })
    expect(JSON.parse(outcome)).toEqual({ told: ['EMFILE', 'EMFILE', 'done'], left: 0 })
  })

  it('little locked memory (RLIMIT_MEMLOCK): a clear error, or everything works', async () => {
    const outcomes: string[] = []
    for (const limitKb of lockedKb) {
      const [outcome] = await runProgram(`${prelude}
        let ring
        try { ring = createRing() } catch (error) { say(error.message); process.exit() }
        const server = await bind({ host: '127.0.0.1', ring }, { message(t, chunk, from) { t.send(chunk, from) } })
        let echoes = 0
        const socket = await connect({ host: '127.0.0.1', port: server.localAddress.port, ring }, {
          message() { echoes++ },
        })
        for (let index = 0; index < 64; index++) socket.send('echo')
        await until(() => echoes === 64, 'the echoes')
        say('echo')
        process.exit()
      `, { through: lockedMemory(limitKb) })
      outcomes.push(outcome)
      expect(outcome).toMatch(/^echo$|locked memory.*ulimit -l/)
    }
    expect(outcomes.at(-1)).toBe('echo')
  }, 60_000)

  it('without address space (RLIMIT_AS) a first socket fails with ENOMEM, leaks nothing, and a later one works',
    async () => {
      const [outcome] = await runProgram(`${prelude}
        import { execFileSync } from 'node:child_process'
        import { readFileSync } from 'node:fs'
        const open = () => readdirSync('/proc/self/fd').length
        const ring = createRing()
        const before = open()
        const limit = (bytes) => execFileSync('prlimit', ['--pid', String(process.pid), '--as=' + bytes + ':unlimited'])
        const mapped = Number(/VmSize:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))[1]) * 1024
        const code = (promise) => promise.then(() => 'done', (error) => error.code)
        // The receive buffers of datagrams are 17 MB.
        limit(mapped + 8_000_000)
        const told = [await code(bind({ host: '127.0.0.1', ring }, {}))]
        limit('unlimited')
        // The idle socket that coalesces, which is the ring's.
        const left = open() - before
        told.push(await code(bind({ host: '127.0.0.1', ring }, {})))
        say(JSON.stringify({ told, left }))
        ring.close()
      `)
      expect(JSON.parse(outcome)).toEqual({ told: ['ENOMEM', 'done'], left: 1 })
    })
})

describe('pressure', () => {
  it.each(smallHeaps)('%s %s: what is under way is not collected', async (...flags) => {
    const lines = await runProgram(`${prelude}
      import { createHash } from 'node:crypto'
      const { pattern } = await import('@sheaf/ring/testing')
      const ring = createRing()
      const server = await bind({ host: '127.0.0.1', ring }, {
        // The answer is a copy that nobody else holds.
        message(socket, chunk, from) { socket.send(Buffer.from(chunk), from) },
      })
      const collecting = setInterval(gc, 5)
      let wrong = 0
      await Promise.all(Array.from({ length: 10 }, (_, index) => new Promise((resolve) => {
        let left = 200
        let sent = ''
        const next = (socket) => {
          if (left-- === 0) return void socket.close()
          const chunk = Buffer.from(pattern(left % 8 === 0 ? 20_000 : 300, index * 1000 + left))
          sent = createHash('sha256').update(chunk).digest('hex')
          socket.send(chunk)
        }
        connect({ host: '127.0.0.1', port: server.localAddress.port, ring }, {
          message(socket, chunk) {
            if (createHash('sha256').update(chunk).digest('hex') !== sent) wrong++
            next(socket)
          },
          close: resolve,
        }).then(next)
      })))
      clearInterval(collecting)
      server.close()
      await until(() => ring.usage.members === 0, 'all to be closed')
      say(wrong, Object.values(ring.usage).join())
      ring.close()
    `, { flags })
    expect(lines.join()).toMatch(/^0 0(,0)+$/)
  }, 60_000)

  it('more completions than their queue has room for are told all the same', async () => {
    const ring = testRing({ submissionEntries: 8, completionEntries: 16 })
    const received = new Received()
    const sockets = await Promise.all(Array.from({ length: 40 }, async () => {
      const target = await bound(ring, received)
      return { target, source: await bound(ring) }
    }))
    let told = 0
    for (let round = 0; round < 10; round++) {
      for (const { source, target } of sockets) {
        // Of sizes that are not bundled: each is a request.
        source.send(Buffer.alloc(20 + round * 2), addressOf(target), (error) => {
          if (!error) told++
        })
      }
    }
    await until(() => told === 400 && received.texts.length === 400, 'all to be told')
    expect(ring.metrics.completionOverflows).toBeGreaterThan(0)
    for (const { source, target } of sockets) {
      source.close()
      target.close()
    }
    await untilIdle(ring)
  })
})

describe('bounds', () => {
  it('requests of datagrams: past messageRequestsMax sending fails with ENOBUFS, and recovers', async () => {
    const ring = testRing()
    const target = await bound(ring)
    const socket = await bound(ring)
    const outcomes: unknown[] = []
    // A longer datagram begins a request, a shorter one ends it.
    const count = limits.messageRequestsMax * 2 + 100
    for (let index = 0; index < count; index++) {
      socket.send(Buffer.alloc(index % 2 === 0 ? 20 : 10), addressOf(target), (error) => outcomes.push(error))
    }
    expect(ring.usage.messageRequests).toBe(limits.messageRequestsMax)
    await until(() => outcomes.length === count, 'every callback')
    const failed = outcomes.filter((error) => error !== undefined) as NodeJS.ErrnoException[]
    expect(failed.map(({ code }) => code)).toEqual(Array.from({ length: 100 }, () => 'ENOBUFS'))
    const received = new Received()
    target.handler = received
    socket.send('after', addressOf(target))
    await until(() => received.texts.includes('after'), 'a later datagram')
    socket.close()
    await untilIdle(ring, 1)
  })

  it('senders: past messagePeersMax their addresses are made anew', () => {
    const sources = new Sources()
    const name = Buffer.from([2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    const sender = (index: number): object => {
      name.writeUInt16BE(index + 1, 2)
      return sources.decode(name, 0, name.length)
    }
    const first = sender(0)
    for (let index = 1; index < limits.messagePeersMax; index++) sender(index)
    expect(sender(0)).toBe(first)
    sender(limits.messagePeersMax)
    expect(sender(0)).not.toBe(first)
    expect(sender(0)).toEqual(first)
  })

  it('destinations: past messagePeersMax idle ones are forgotten, busy ones are not', () => {
    const destinations = new Destinations(testRing(), false)
    const to = (index: number) => destinations.lane({ address: loopback, port: index + 1 })
    const idle = to(0)
    const busy = to(1)
    busy.push({} as never)
    for (let index = 2; index < limits.messagePeersMax; index++) to(index)
    expect(to(0)).toBe(idle)
    to(limits.messagePeersMax)
    expect(to(0)).not.toBe(idle)
    expect(to(1)).toBe(busy)
  })
})
