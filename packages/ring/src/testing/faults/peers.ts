import assert from 'node:assert/strict'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { Address, StreamHandler, Transport } from '@sheaf/ring'
import type { Bench, Test } from './bench'
import { echo, gatheredBytes, pattern, Received, until } from '../fixtures'
import { type FaultFamily, prelude } from './family'
import { Program } from '../program'

/** What programs send over and over, and what is checked of it: as many bytes as came must be its beginning. */
const seed = 5
const patternBytes = 1_000_000
const expected = pattern(patternBytes, seed)
const enoughBytes = 20_000_000

/** Checks that what arrives is the pattern, however often. */
class Checked implements StreamHandler {
  bytes = 0
  wrong = false
  readonly #told = new Received()

  get closed(): Promise<void> { return this.#told.closed }
  get closes(): number { return this.#told.closes }
  get error(): NodeJS.ErrnoException | undefined { return this.#told.error }

  data(_connection: Transport, chunk: Buffer): void {
    for (let offset = 0; offset < chunk.byteLength;) {
      const at = this.bytes % patternBytes
      const count = Math.min(chunk.byteLength - offset, patternBytes - at)
      if (expected.compare(chunk, offset, offset + count, at, at + count) !== 0) this.wrong = true
      this.bytes += count
      offset += count
    }
  }

  close(connection: Transport, error?: Error): void {
    this.#told.close(connection, error)
  }
}

/** Writes the pattern over and over, heeding back-pressure. */
const pump = `
  const whole = pattern(${patternBytes}, ${seed})
  const pump = (connection) => { while (connection.write(whole)); }
`

function remote(family: FaultFamily, text: string, bench: Bench): Program {
  const program = new Program(`${prelude(family)}${pump}${text}`, { given: family.listenOptions() })
  bench.onClose(() => program.kill())
  return program
}

async function addressOf(program: Program): Promise<Address> {
  return JSON.parse(await program.line()) as Address
}

function passes(error: NodeJS.ErrnoException | undefined): boolean {
  return error === undefined || error.code === 'ECONNRESET' || error.code === 'EPIPE'
}

export function peerTests(family: FaultFamily): Record<string, Test> {
  return {
    async 'killed while it sends bundles'(bench) {
      const program = remote(family, `
        const listener = await listen(given, { open: pump, drain: pump })
        say(JSON.stringify(listener.address))
      `, bench)
      const ring = bench.ring()
      const checked = Array.from({ length: 4 }, () => new Checked())
      const address = await addressOf(program)
      for (const handler of checked) await bench.connectTo(ring, address, handler)
      await until(() => checked.every(({ bytes }) => bytes > enoughBytes / 4), 'bytes to flow')
      program.kill()
      await Promise.all(checked.map(({ closed }) => closed))
      for (const { closes, wrong, error } of checked) assert.ok(closes === 1 && !wrong && passes(error))
      await bench.assertEmpty()
    },

    async 'killed while bundles are sent to it'(bench) {
      const program = remote(family, `
        let bytes = 0
        const listener = await listen(given, { data(connection, chunk) {
          bytes += chunk.length
          if (bytes > ${enoughBytes}) { say('enough'); bytes = -Infinity }
        } })
        say(JSON.stringify(listener.address))
      `, bench)
      const ring = bench.ring()
      const address = await addressOf(program)
      const told = Array.from({ length: 4 }, () => new Received())
      let calls = 0
      let writes = 0
      const write = (connection: Transport): void => {
        do writes++
        while (connection.write(expected.subarray(0, gatheredBytes), () => calls++))
      }
      for (const handler of told) {
        await bench.connectTo(ring, address, {
          open: write, drain: write, close: (connection, error) => handler.close(connection, error),
        })
      }
      assert.equal(await program.line(), 'enough')
      program.kill()
      await Promise.all(told.map(({ closed }) => closed))
      assert.ok(ring.metrics.sendBundles.slice(1).some((count) => count > 0), 'there were bundles')
      for (const { closes, error } of told) assert.ok(closes === 1 && passes(error))
      assert.equal(calls, writes)
      await bench.assertEmpty()
    },

    // io_uring has a thread of the kernel's wait to send to such a peer, and interrupts it with the process.
    async 'that has ended and reads later: no thread waits for it, and what is stopped meanwhile loses nothing'(bench) {
      const times = 8
      const program = remote(family, `
        import { readdirSync, readFileSync } from 'node:fs'
        const about = (thread, what) => readFileSync(\`/proc/self/task/\${thread}/\${what}\`, 'latin1').trim()
        const waits = (thread) =>
          about(thread, 'comm').startsWith('iou-wrk') && about(thread, 'wchan') !== 'io_wq_worker'
        const waiting = () => readdirSync('/proc/self/task').filter(waits)
        const answer = (connection) => {
          for (let time = 0; time < ${times}; time++) connection.write(whole)
        }
        const begun = { early: answer, late: () => undefined }
        let count = 0
        const listener = await listen({ ...given, allowHalfOpen: true }, {
          data(connection, chunk) { begun[chunk]?.(connection) },
          end(connection) {
            if (connection.bytesQueued === 0) answer(connection)
            connection.end()
            if (++count === 16) setTimeout(() => say(waiting().length), 300)
          },
          close(connection, error) { if (error) say(error.message) },
        })
        say(JSON.stringify(listener.address))
      `, bench)
      const ring = bench.ring()
      const address = await addressOf(program)
      const checked = Array.from({ length: 16 }, () => new Checked())
      const peers = await Promise.all(checked.map((handler) =>
        bench.connectTo(ring, address, handler, { allowHalfOpen: true })))
      // To half of them it is sending when they end.
      for (const [index, peer] of peers.entries()) {
        peer.write(index % 2 === 0 ? 'early' : 'late')
        peer.pause()
        setTimeout(() => peer.end(), 50)
      }
      assert.equal(await program.line(), '0')
      for (let time = 0; time < 10; time++) {
        program.kill('SIGSTOP')
        await sleep(10)
        program.kill('SIGCONT')
        await sleep(10)
      }
      for (const peer of peers) peer.resume()
      await Promise.all(checked.map(({ closed }) => closed))
      for (const { bytes, wrong, error } of checked) {
        assert.deepEqual({ bytes, wrong, error }, { bytes: times * patternBytes, wrong: false, error: undefined })
      }
      await bench.assertEmpty()
    },

    async 'stopped and continued: nothing is lost, and others go on meanwhile'(bench) {
      const program = remote(family, `
        const listener = await listen(given, {
          data(connection, chunk) { if (!connection.write(chunk)) connection.pause() },
          drain: (connection) => connection.resume(),
        })
        say(JSON.stringify(listener.address))
      `, bench)
      const ring = bench.ring()
      const address = await addressOf(program)
      const back = new Checked()
      let writes = 0
      const write = (connection: Transport): void => {
        while (writes++ < 40) if (!connection.write(expected)) return
        connection.end()
      }
      const connection = await bench.connectTo(ring, address, {
        open: write, drain: write,
        data: (each, chunk) => back.data(each, chunk),
        close: (each, error) => back.close(each, error),
      }, { allowHalfOpen: true })
      await until(() => back.bytes > enoughBytes / 4, 'bytes to flow')
      program.kill('SIGSTOP')
      const local = await bench.listen(ring, echo)
      const other = new Received()
      const beside = await bench.connect(ring, local, other)
      for (let count = 1; count <= 500; count++) {
        beside.write('x')
        await until(() => other.bytes === count, 'an echo beside a peer that stands still')
      }
      const before = connection.bytesWritten
      await nextTurn()
      assert.ok(connection.bytesQueued > 0, 'there is more to send than it takes')
      assert.equal(connection.bytesWritten, before)
      program.kill('SIGCONT')
      await back.closed
      assert.equal(back.error, undefined)
      assert.equal(back.wrong, false)
      assert.equal(back.bytes, 40 * patternBytes)
      beside.destroy()
      await bench.assertEmpty()
    },
  }
}
