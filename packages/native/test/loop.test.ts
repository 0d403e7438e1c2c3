import { AsyncLocalStorage, executionAsyncId } from 'node:async_hooks'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { stat } from 'node:fs'
import { createRequire } from 'node:module'
import { setImmediate as immediate, setTimeout as delay } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import type { NativeRing, NativeRingOptions } from '../src/index.js'
import { report, runFixture } from './child-process.js'
import {
  getEvents, linkFlag, Opcode, openRegion, openRing, Queue, Setup, socketPair, usualFlags,
} from './fixtures/queue.mjs'
import { collect, openFds } from './resources.js'
import { theBinding } from './the-binding.js'

const binding = theBinding()
const toClose: NativeRing[] = []

afterEach(() => {
  for (const ring of toClose.splice(0)) ring.close()
})

function open(options?: Partial<NativeRingOptions>): { ring: NativeRing, queue: Queue } {
  const ring = openRing(binding, options)
  toClose.push(ring)
  return { ring, queue: new Queue(ring) }
}

/** Takes `handler`'s place for whatever this process, the test runner's, does on an uncaught exception. */
async function withUncaught(handler: (error: unknown) => void, body: () => Promise<void>): Promise<void> {
  const others = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', handler)
  try {
    await body()
  } finally {
    process.removeAllListeners('uncaughtException')
    for (const other of others) process.on('uncaughtException', other)
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(1)
}

interface HttpParser {
  initialize(type: number, resource: object): void
  execute(chunk: Buffer): unknown
  [callback: number]: () => void
}

/** Something of Node's in C++ that calls back while it is called: its parser of HTTP, at pieces of a message's body. */
function bodyParser(told: () => void): (piece: string) => void {
  const { HTTPParser } = createRequire(import.meta.url)('node:_http_common') as {
    HTTPParser: Record<'REQUEST' | 'kOnHeadersComplete' | 'kOnBody', number> & (new () => HttpParser)
  }
  const parser = new HTTPParser()
  parser.initialize(HTTPParser.REQUEST, {})
  parser[HTTPParser.kOnHeadersComplete] = () => undefined
  parser[HTTPParser.kOnBody] = told
  parser.execute(Buffer.from('POST / HTTP/1.1\r\nHost: it\r\nContent-Length: 1000\r\n\r\n'))
  return (piece) => void parser.execute(Buffer.from(piece))
}

/** Setups whose wake-ups differ: visible and invisible deferred work, cooperative and plain task work. */
const setups: [string, number, number][] = [
  ['the usual flags', usualFlags, 0],
  ['the usual flags, and a look before it blocks', usualFlags, 1000],
  ['deferred work that does not show', usualFlags & ~Setup.taskrunFlag, 1000],
  ['cooperative task work', Setup.coopTaskrun | Setup.taskrunFlag | Setup.submitAll, 1000],
  ['no flags', 0, 0],
]

/** Asks another process again and again, each time that it has answered, while `goesOn` of the number of answers. */
async function askPeer(
  ring: NativeRing, queue: Queue, busyPoll: number, goesOn: (answers: number) => boolean,
): Promise<void> {
  const region = openRegion(ring)
  const [mine, its] = socketPair(binding)
  const peer = spawn('cat', { stdio: [its, its, 'inherit'] })
  let answers = 0
  let answered = false
  const ask = (): void => {
    queue.push({ opcode: Opcode.recv, fd: mine, address: region.address, length: 1, userData: 1 })
    queue.push({ opcode: Opcode.send, fd: mine, address: region.address + 64, length: 1, userData: 2 })
    queue.wanted[3] = 1
  }
  ring.attach(() => {
    for (const { userData, result } of queue.reap()) {
      expect(result).toBe(1)
      if (userData !== 1) continue
      if (goesOn(++answers)) ask()
      else answered = true
    }
  }, 4, busyPoll)
  ask()
  await until(() => answered)
  for (const fd of [mine, its]) binding.sockets.close(fd)
  await once(peer, 'exit')
}

describe.each(setups)('with %s, the loop', (_name, optionalFlags, busyPoll) => {
  it('submits before it blocks, and calls the turn with what came of it', async () => {
    const { ring, queue } = open({ optionalFlags })
    const seen: number[] = []
    ring.attach(() => { for (const { userData } of queue.reap()) seen.push(userData) }, 4, busyPoll)
    for (let userData = 0; userData < 64; userData++) queue.nop(userData)
    await until(() => seen.length === 64)
    expect(seen).toEqual(Array.from({ length: 64 }, (_, index) => index))
    expect(ring.counters()).toMatchObject({ submitted: 64, turns: 1 })
    // Where deferred work does not show, the kernel can't be kept from waking us for what we have seen.
    expect(ring.counters().enters).toBeLessThanOrEqual(optionalFlags === usualFlags ? 1 : 2)
  })

  // See `Ring::ClearTaskWorkSign`: the loop polled without blocking, at 100 % CPU, until the next request ended.
  it('blocks again after deferred work that is shown but not there', async () => {
    const { ring, queue } = open({ optionalFlags })
    ring.attach(() => undefined, 4, busyPoll)
    queue.showTaskWork()
    await until(() => !queue.showsTaskWork)
    const { enters } = ring.counters()
    await delay(20)
    expect(ring.counters().enters).toBe(enters)
  })

  it('is woken by what arrives while it is blocked', async () => {
    const { ring, queue } = open({ optionalFlags })
    const region = openRegion(ring)
    const [a, b] = socketPair(binding)
    let received = 0
    const receive = () => queue.push({ opcode: Opcode.recv, fd: a, address: region.address, length: 64, userData: 1 })
    ring.attach(() => {
      for (const { result } of queue.reap()) {
        received += result
        receive()
      }
    }, 4, busyPoll)
    receive()
    const other = open()
    for (let round = 1; round <= 20; round++) {
      // Time enough for the loop to have blocked; the other ring sends without the loop's knowing.
      await delay(5)
      other.queue.push({ opcode: Opcode.send, fd: b, address: region.address + 2048, length: 8, userData: 2 })
      expect(other.ring.enter(1, getEvents)).toBe(1)
      expect(other.queue.reap()).toEqual([{ userData: 2, result: 8 }])
      const sent = performance.now()
      await until(() => received === round * 8)
      expect(performance.now() - sent).toBeLessThan(1000)
    }
    for (const fd of [a, b]) binding.sockets.close(fd)
  })

  it('misses nothing that another process answers, whatever it is about to do', async () => {
    const { ring, queue } = open({ optionalFlags })
    await askPeer(ring, queue, busyPoll, (answers) => answers < 5000)
  })
})

it('a child that only waits for its ring is woken by another process', async () => {
  expect(report(await runFixture('woken.mjs'))).toEqual({ received: 100, wokenAtLeast: true })
})

describe('a turn', () => {
  it('is called when something is wanted, and can stage submissions', async () => {
    const { ring, queue } = open()
    const seen: number[] = []
    let calls = 0
    ring.attach(() => {
      calls++
      if (queue.wanted[0] === 1) {
        queue.wanted[0] = 0
        queue.nop(41)
      }
      for (const { userData } of queue.reap()) seen.push(userData)
    }, 4, 0)
    await delay(5)
    expect(calls).toBe(0)
    queue.wanted[0] = 1
    await until(() => seen.length === 1)
    expect(seen).toEqual([41])
    expect(calls).toBe(2)
  })

  it('is called once for a whole chain of linked requests', async () => {
    const { ring, queue } = open()
    const seen: number[] = []
    ring.attach(() => { for (const { userData } of queue.reap()) seen.push(userData) }, 100, 0)
    for (let userData = 0; userData < 32; userData++) {
      queue.push({ opcode: Opcode.nop, userData, flags: userData === 31 ? 0 : linkFlag })
    }
    queue.wanted[1] = 31
    await until(() => seen.length === 32)
    expect(seen).toEqual(Array.from({ length: 32 }, (_, index) => index))
    const { enters, turns } = ring.counters()
    expect(turns).toBe(1)
    expect(enters).toBeGreaterThan(1)
    expect(queue.wanted[1]).toBe(0)
  })

  it('is not called when nothing happens', async () => {
    const { ring } = open()
    let calls = 0
    ring.attach(() => { calls++ }, 4, 0)
    for (let round = 0; round < 50; round++) await immediate()
    await delay(5)
    expect(calls).toBe(0)
    expect(ring.counters())
      .toEqual({ enters: 0, submitted: 0, turns: 0, wakeups: 0, busyPolls: 0, busyPollsFound: 0, busyPollMs: 0 })
  })

  it('is followed by next-tick and promise callbacks', async () => {
    const { ring, queue } = open()
    const order: string[] = []
    ring.attach(() => {
      const { userData } = queue.next()
      order.push(`turn ${userData}`)
      if (userData === 1) queue.nop(2)
      process.nextTick(() => order.push('tick'))
      void Promise.resolve().then(() => order.push('promise'))
    }, 4, 0)
    queue.nop(1)
    await until(() => order.length === 6)
    expect(order).toEqual(['turn 1', 'tick', 'promise', 'turn 2', 'tick', 'promise'])
  })

  it('has what a promise callback staged submitted before the loop blocks', async () => {
    const { ring, queue } = open()
    const seen: number[] = []
    ring.attach(() => {
      queue.wanted[0] = 0
      for (const { userData } of queue.reap()) {
        seen.push(userData)
        void Promise.resolve().then(() => { if (userData < 100) queue.nop(userData + 1) })
      }
    }, 8, 0)
    const started = performance.now()
    queue.nop(0)
    await until(() => seen.length === 101)
    expect(performance.now() - started).toBeLessThan(1000)
  })

  it('runs in no async context, and not in that of whoever attached it', async () => {
    const storage = new AsyncLocalStorage<string>()
    const { ring, queue } = open()
    const seen: unknown[] = []
    storage.run('attached here', () => ring.attach(() => {
      queue.reap()
      seen.push(storage.getStore(), executionAsyncId())
    }, 4, 0))
    queue.nop(1)
    await until(() => seen.length !== 0)
    expect(seen.slice(0, 2)).toEqual([undefined, 0])
  })

  it('has what it returns called next, outside of any callback scope', async () => {
    const { ring, queue } = open()
    const order: string[] = []
    const parse = bodyParser(() => {
      order.push('told by C++')
      process.nextTick(() => order.push('its tick'))
      void Promise.resolve().then(() => order.push('its promise'))
    })
    ring.attach(() => {
      queue.reap()
      order.push('turn')
      process.nextTick(() => order.push('tick'))
      return () => {
        order.push('rest')
        parse('one')
        parse('two')
        process.nextTick(() => order.push('tick of the rest'))
      }
    }, 4, 0)
    queue.nop(1)
    await until(() => order.includes('tick of the rest'))
    const told = ['told by C++', 'its tick', 'its promise']
    expect(order).toEqual(['turn', 'tick', 'rest', ...told, ...told, 'tick of the rest'])
  })

  it('goes on after what it returned has thrown', async () => {
    const { ring, queue } = open()
    const errors: unknown[] = []
    let calls = 0
    await withUncaught((error) => errors.push(error), async () => {
      ring.attach(() => {
        queue.reap()
        calls++
        return () => { throw new Error(`after turn ${calls}`) }
      }, 4, 0)
      queue.nop(1)
      await until(() => errors.length === 1)
      queue.nop(2)
      await until(() => errors.length === 2)
    })
    expect(errors.map(String)).toEqual(['Error: after turn 1', 'Error: after turn 2'])
  })

  it('that throws is an uncaught exception; what it had not come to is offered again', async () => {
    const { ring, queue } = open()
    const seen: number[] = []
    const errors: unknown[] = []
    await withUncaught((error) => errors.push(error), async () => {
      ring.attach(() => {
        while (queue.hasCompletions) {
          const { userData } = queue.next()
          seen.push(userData)
          if (userData % 2 === 1) throw new Error(`thrown at ${userData}`)
        }
      }, 16, 0)
      for (let userData = 0; userData < 8; userData++) queue.nop(userData)
      await until(() => seen.length === 8)
    })
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    expect(errors.map(String)).toEqual([1, 3, 5, 7].map((userData) => `Error: thrown at ${userData}`))
  })

  it.each([['undefined', undefined], ['null', null], ['a string', 'text']])('may throw %s', async (_name, value) => {
    const { ring, queue } = open()
    const errors: unknown[] = []
    let calls = 0
    await withUncaught((error) => errors.push(error), async () => {
      ring.attach(() => {
        queue.reap()
        calls++
        // eslint-disable-next-line @typescript-eslint/only-throw-error -- any value can be thrown at us
        throw value
      }, 4, 0)
      queue.nop(1)
      await until(() => errors.length === 1)
      queue.nop(2)
      await until(() => errors.length === 2)
    })
    expect(errors).toEqual([value, value])
    expect(calls).toBe(2)
  })

  it('whose next-tick callback throws goes on as well', async () => {
    const { ring, queue } = open()
    const errors: unknown[] = []
    const seen: number[] = []
    await withUncaught((error) => errors.push(error), async () => {
      ring.attach(() => {
        for (const { userData } of queue.reap()) {
          seen.push(userData)
          process.nextTick(() => { throw new Error('from the tick') })
        }
      }, 4, 0)
      queue.nop(1)
      await until(() => errors.length === 1)
      queue.nop(2)
      await until(() => errors.length === 2)
    })
    expect(seen).toEqual([1, 2])
    expect(errors.map(String)).toEqual(['Error: from the tick', 'Error: from the tick'])
  })

  it('that throws always and drains nothing does not starve the loop', async () => {
    const { ring, queue } = open()
    let errors = 0
    await withUncaught(() => { errors++ }, async () => {
      ring.attach(() => { throw new Error('always') }, 4, 0)
      queue.nop(1)
      const started = performance.now()
      await delay(20)
      expect(performance.now() - started).toBeLessThan(1000)
    })
    ring.close()
    expect(errors).toBeGreaterThan(1)
  })

  /** What of a ring that always makes more work comes to each iteration of the loop. */
  async function turnsAnIteration(next: (iteration: () => void) => void): Promise<number> {
    const { ring, queue } = open()
    let turns = 0
    let iterations = 0
    let stopped = false
    ring.attach(() => {
      turns++
      queue.reap()
      queue.nop(1)
    }, 8, 0)
    queue.nop(1)
    const count = (): void => {
      iterations++
      if (!stopped) next(count)
    }
    next(count)
    const started = performance.now()
    for (let round = 0; round < 10; round++) await delay(2)
    stopped = true
    expect(performance.now() - started).toBeLessThan(2000)
    expect(iterations).toBeGreaterThan(10)
    return turns / iterations
  }

  it('that always makes more work leaves the loop its turn', async () => {
    // Such an immediate does not say that it waits.
    const turns = await turnsAnIteration((iteration) => setImmediate(iteration).unref())
    // Eight rounds an iteration at most, and not fewer: the loop never blocked.
    expect(turns).toBeGreaterThan(4)
    expect(turns).toBeLessThan(8 * 2 + 1)
  })

  it('comes after the immediates that the turn before has left', async () => {
    const turns = await turnsAnIteration((iteration) => setImmediate(iteration))
    expect(turns).toBeGreaterThan(0.5)
    expect(turns).toBeLessThan(2.5)
  })

  it('leaves immediates that come before what it had others do, as events of libuv do', async () => {
    const { ring, queue } = open()
    const seen: string[] = []
    ring.attach(() => {
      queue.reap()
      setImmediate(() => seen.push('immediate'))
      stat('/', () => seen.push('file'))
      // A thread has done that when this is over.
      const until = performance.now() + 5
      while (performance.now() < until);
    }, 8, 0)
    for (let round = 0; round < 10; round++) {
      queue.nop(round)
      await until(() => seen.length === 2)
      expect(seen.splice(0)).toEqual(['immediate', 'file'])
    }
  })

  it('takes a whole burst, although the kernel hands over deferred work in small portions', async () => {
    const { ring, queue } = open({ submissionEntries: 256, completionEntries: 1024 })
    const region = openRegion(ring, 512)
    const pairs = Array.from({ length: 200 }, () => socketPair(binding))
    const other = open({ submissionEntries: 256, completionEntries: 512 })
    const seen = new Set<number>()
    ring.attach(() => { for (const { userData } of queue.reap()) seen.add(userData) }, 2, 0)
    for (const [index, [fd]] of pairs.entries()) {
      queue.push({ opcode: Opcode.recv, fd, address: region.address, length: 1, userData: index })
    }
    await delay(5)
    for (const [, fd] of pairs) {
      other.queue.push({ opcode: Opcode.send, fd, address: region.address, length: 1, userData: 0 })
    }
    expect(other.ring.enter(200, getEvents)).toBe(200)
    await until(() => seen.size === 200)
    for (const fd of pairs.flat()) binding.sockets.close(fd)
  })

  it('takes more completions than their queue has room for', async () => {
    const { ring, queue } = open({ submissionEntries: 64, completionEntries: 128 })
    let taken = 0
    ring.attach(() => { taken += queue.reap().length }, 4, 0)
    for (let userData = 0; userData < 512; userData++) {
      queue.nop(userData)
      if (queue.unsubmitted === 64) ring.enter(0, 0)
    }
    await until(() => taken === 512)
    expect(ring.counters().submitted).toBe(512)
  })

  it('may enter, close its ring, and open another', async () => {
    const before = openFds()
    let closed = 0
    const start = (left: number) => {
      const { ring, queue } = open()
      ring.attach(() => {
        queue.reap()
        queue.nop(2)
        expect(ring.enter(1, getEvents)).toBe(1)
        ring.close()
        closed++
        ring.close()
        expect(ring.enter(0, 0)).toBeLessThan(0)
        if (left > 0) start(left - 1)
      }, 4, 0)
      queue.nop(1)
    }
    start(9)
    await until(() => closed === 10)
    expect(openFds()).toEqual(before)
  })

  it('that closes its ring and throws is heard all the same', async () => {
    const errors: unknown[] = []
    await withUncaught((error) => errors.push(error), async () => {
      const { ring, queue } = open()
      ring.attach(() => {
        ring.close()
        throw new Error('after close')
      }, 4, 0)
      queue.nop(1)
      await until(() => errors.length === 1)
    })
    expect(errors.map(String)).toEqual(['Error: after close'])
  })
})

describe('before it blocks the loop', () => {
  it('looks for what may come, often while that finds something', async () => {
    const { ring, queue } = open()
    await askPeer(ring, queue, 1000, () => ring.counters().busyPollsFound < 500)
    const { busyPolls } = ring.counters()
    ring.close()
    expect(busyPolls).toBeGreaterThanOrEqual(500)
    expect(ring.counters()).toMatchObject({ busyPolls, busyPollsFound: 500 })
  })

  it('looks seldom where nothing comes, and not where nothing has been sent', async () => {
    const { ring, queue } = open()
    ring.attach(() => undefined, 4, 1000)
    for (let times = 0; times < 100; times++) await delay(1)
    expect(ring.counters().busyPolls).toBe(0)
    for (let times = 0; times < 200; times++) {
      queue.wanted[3] = 1
      await delay(1)
    }
    const { busyPolls, busyPollsFound, busyPollMs, wakeups } = ring.counters()
    expect(busyPolls).toBeGreaterThan(0)
    expect(busyPolls).toBeLessThan(20)
    expect(busyPollMs).toBeGreaterThanOrEqual(busyPolls)
    expect([busyPollsFound, wakeups]).toEqual([0, 0])
  })

  it('does not look if it would not block', async () => {
    const { ring } = open()
    ring.attach(() => undefined, 4, 1000)
    for (let times = 0; times < 200; times++) await immediate()
    expect(ring.counters().busyPolls).toBe(0)
  })
})

describe('what is told when the loop closes handles', () => {
  it('comes once, after immediates, before what they have set, and followed by ticks', async () => {
    const { ring } = open()
    ring.attach(() => undefined, 1, 0)
    const order: string[] = []
    await new Promise<void>((done) => {
      setImmediate(() => {
        ring.askClosing(() => order.push('replaced'))
        ring.askClosing(() => {
          order.push('closing')
          process.nextTick(() => order.push('tick'))
          void Promise.resolve().then(() => order.push('promise'))
        })
        setImmediate(() => {
          order.push('next immediate')
          done()
        })
      })
      setImmediate(() => order.push('immediate'))
    })
    expect(order).toEqual(['immediate', 'closing', 'tick', 'promise', 'next immediate'])
    await immediate()
    expect(order).toHaveLength(5)
  })

  it('can ask again, and close the ring', async () => {
    const before = openFds()
    const { ring } = open()
    ring.attach(() => undefined, 1, 0)
    let told = 0
    const tell = (): void => {
      if (++told < 10) ring.askClosing(tell)
      else ring.close()
    }
    ring.askClosing(tell)
    await until(() => told === 10)
    expect(openFds()).toEqual(before)
  })

  it('is an uncaughtException if that throws, and can be asked for again', async () => {
    const { ring } = open()
    ring.attach(() => undefined, 1, 0)
    const thrown: unknown[] = []
    await withUncaught((error) => thrown.push(error), async () => {
      ring.askClosing(() => { throw new Error('thrown') })
      await until(() => thrown.length === 1)
    })
    expect(thrown).toEqual([new Error('thrown')])
    await new Promise<void>((told) => { ring.askClosing(told) })
  })

  it('does not come when the ring is closed before, nor can be asked for then, or before it is attached', async () => {
    const { ring } = open()
    const notAttached = expect.objectContaining({ code: 'ERR_INVALID_STATE' }) as unknown
    expect(() => { ring.askClosing(() => undefined) }).toThrow(notAttached)
    ring.attach(() => undefined, 1, 0)
    const notAFunction = expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }) as unknown
    expect(() => { ring.askClosing(undefined as never) }).toThrow(notAFunction)
    let told = 0
    ring.askClosing(() => { told++ })
    ring.close()
    for (let round = 0; round < 5; round++) await immediate()
    expect(told).toBe(0)
    expect(() => { ring.askClosing(() => undefined) }).toThrow(notAttached)
  })

  it.each(['told', 'exit', 'worker', 'terminated'])('is no trouble to what ends: %s', async (how) => {
    expect(report(await runFixture('closing.mjs', { arguments: [how] }))).toEqual({ told: how === 'told' ? 1 : 0 })
  })
})

describe('an attached ring', () => {
  it('cannot be attached again', () => {
    const { ring } = open()
    ring.attach(() => undefined, 1, 0)
    expect(() => ring.attach(() => undefined, 1, 0)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_STATE' }))
  })

  it('is not collected', async () => {
    let turns = 0
    const before = openFds()
    const words = (() => {
      const ring = openRing(binding)
      const queue = new Queue(ring)
      // Neither the ring nor anything that leads to it but the turn is kept.
      ring.attach(() => {
        turns++
        queue.reap()
        if (turns === 2) ring.close()
      }, 4, 0)
      queue.nop(1)
      return queue.wanted
    })()
    await until(() => turns === 1)
    await collect()
    words[0] = 1
    await until(() => turns === 2)
    expect(openFds()).toEqual(before)
  })

  it('costs two descriptors, given back by close', () => {
    const before = openFds()
    const { ring } = open()
    ring.attach(() => undefined, 1, 0)
    expect(openFds().length).toBe(before.length + 2)
    ring.close()
    expect(openFds()).toEqual(before)
  })

  it.each([
    ['does not keep the process alive', 'new', 0],
    ['keeps it alive once ref() was called, before attaching', 'ref-attach', 1],
    ['keeps it alive once ref() was called, after attaching', 'attach-ref', 1],
    ['lets it end after unref()', 'attach-ref-unref', 0],
    ['lets it end after close()', 'attach-ref-close', 0],
  ])('%s', async (_case, steps, alive) => {
    expect(report(await runFixture('keep-alive.mjs', { arguments: [steps] }))).toEqual({ alive })
  })
})
