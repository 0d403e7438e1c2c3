import { Worker } from 'node:worker_threads'
import { setImmediate, setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { fixture, runFixture } from './child-process.js'
import { namedPipe } from './named-pipe.js'
import { collect, mappings, openFds } from './resources.js'
import { theBinding } from './the-binding.js'

/** Runs a worker with 11 requests in flight to its end. @returns its exit code and what it threw. */
async function runWorker(end: string, pipe: string): Promise<{ code: unknown, thrown: string }> {
  const worker = new Worker(fixture('worker-in-flight.mjs'), { workerData: { end, pipe }, execArgv: [] })
  let thrown = ''
  worker.on('error', (error) => { thrown = String(error) })
  const exited = new Promise((resolve) => void worker.on('exit', resolve))
  const counters = await new Promise<{ submitted: number }>((resolve, reject) => {
    worker.once('message', resolve)
    void exited.then(() => reject(new Error(`ended before it began: ${thrown}`)))
  })
  expect(counters.submitted).toBeGreaterThanOrEqual(11)
  if (end === 'terminate in a turn') await delay(5)
  if (end.startsWith('terminate')) await worker.terminate()
  return { code: await exited, thrown }
}

/** Descriptors after the kernel has let go of rings, which it does in its own time, in the background. */
async function settledFds(expected: number): Promise<number> {
  for (let attempt = 0; attempt < 100 && openFds().length !== expected; attempt++) await delay(10)
  return openFds().length
}

describe('a worker with operations in flight', () => {
  it.each([
    ['terminate', 1, ''],
    ['terminate in a turn', 1, ''],
    ['exit', 0, ''],
    ['exit in a turn', 0, ''],
    ['throw', 1, 'Error: thrown'],
    ['throw in a turn', 1, 'Error: thrown'],
    ['close', 0, ''],
    ['unref', 0, ''],
  ])('may end by: %s', async (end, code, thrown) => {
    const pipe = namedPipe()
    await runWorker('close', pipe)
    const before = openFds().length
    for (let round = 0; round < 5; round++) expect(await runWorker(end, pipe)).toEqual({ code, thrown })
    expect(await settledFds(before)).toBe(before)
  })

  it.each(['terminate', 'exit'])('leaves no descriptor that its ring owned: %s', async (end) => {
    await runWorker('close', namedPipe())
    const before = openFds().length
    const worker = new Worker(fixture('worker-with-descriptors.mjs'), { workerData: { end }, execArgv: [] })
    const exited = new Promise((resolve) => void worker.on('exit', resolve))
    const counters = await new Promise((resolve) => void worker.once('message', resolve))
    expect(counters).toMatchObject({ submitted: 24 })
    if (end === 'terminate') {
      expect(openFds().length).toBeGreaterThanOrEqual(before + 2 + 24 + 4)
      await worker.terminate()
    }
    await exited
    expect(await settledFds(before)).toBe(before)
  })

  // A worker was stopped while it read the completions of accepted connections: it had marked their descriptors, and
  // the completions counted as unread, so both closed them. Another thread's new socket was closed by the second.
  it('closes each descriptor once', async () => {
    const { sockets } = theBinding()
    for (let round = 0; round < 5; round++) {
      const worker = new Worker(fixture('worker-with-descriptors.mjs'), { workerData: { marks: true }, execArgv: [] })
      const exitCodes: number[] = []
      worker.on('exit', (code) => void exitCodes.push(code))
      await new Promise((resolve) => void worker.once('message', resolve))
      void worker.terminate()
      const mine: number[] = []
      while (exitCodes.length === 0) {
        // A number that the worker gives back is taken at once.
        for (let count = 0; count < 20 && mine.length < 2000; count++) mine.push(sockets.socket(1, 1, 0))
        await setImmediate()
      }
      for (const fd of mine) expect(sockets.close(fd)).toBe(0)
    }
  })

  // While a worker is being terminated Node-API refuses everything, even to throw that it does. That ended the process
  // ("FATAL ERROR: Error::ThrowAsJavaScriptException napi_throw").
  it('may be terminated within any call, leaving no descriptor', async () => {
    expect(await runFixture('workers-in-a-call.mjs')).toMatchObject({ code: 0, stdout: '100 0\n' })
  }, 120_000)

  it('may be terminated a hundred times, leaving no descriptor and no mapping', async () => {
    const pipe = namedPipe()
    const some = async (count: number) => {
      for (let index = 0; index < count; index += 5) {
        await Promise.all(Array.from({ length: 5 }, () => runWorker('terminate', pipe)))
      }
      await collect()
    }
    await some(20)
    const fds = openFds().length
    const mapped = mappings()
    await some(100)
    expect(await settledFds(fds)).toBe(fds)
    // A worker that left its ring and its region would leave four or more.
    expect(mappings() - mapped).toBeLessThan(100)
  }, 120_000)
})

describe('a process with operations in flight', () => {
  it.each([
    ['exit', 3, null, ''],
    ['exit in exit', 3, null, ''],
    ['exit in a turn', 3, null, ''],
    ['throw', 1, null, 'Error: thrown'],
    ['throw in a turn', 1, null, 'Error: thrown in a turn'],
    ['close', 0, null, ''],
    ['close in a turn', 0, null, ''],
    ['unref', 0, null, ''],
    ['kill', null, 'SIGKILL', ''],
  ])('may end by: %s', async (manner, code, signal, error) => {
    const outcome = await runFixture('end-of-process.mjs', { arguments: [manner, namedPipe()] })
    expect(outcome).toMatchObject({ code, signal, stdout: '11\n' })
    if (error === '') expect(outcome.stderr).toBe('')
    else expect(outcome.stderr).toContain(error)
  })
})
