import assert from 'node:assert/strict'
import { MessageChannel } from 'node:worker_threads'
import { type Bench, hasCode, Skip, type Test } from './bench'
import { echo, pattern, Received, until } from '../fixtures'

/** Ways to take memory away from whoever has it. */
const takings: Record<string, (buffer: ArrayBuffer) => void> = {
  'structuredClone': (buffer) => void structuredClone(buffer, { transfer: [buffer] }),
  'postMessage': (buffer) => {
    const { port1, port2 } = new MessageChannel()
    port1.postMessage(buffer, [buffer])
    port1.close()
    port2.close()
  },
  'resize': (buffer) => {
    (buffer as ArrayBuffer & { resize(sizeBytes: number): void }).resize(0)
  },
  'ArrayBuffer.prototype.transfer': (buffer) => {
    const { transfer } = ArrayBuffer.prototype as { transfer?: (this: ArrayBuffer) => ArrayBuffer }
    if (transfer === undefined) throw new Skip('needs ArrayBuffer.prototype.transfer (Node.js 21)')
    transfer.call(buffer)
  },
}

/** Memory that can be resized, filled. */
function resizable(sizeBytes: number): Buffer {
  const memory = new (ArrayBuffer as new (size: number, options: object) => ArrayBuffer)(
    sizeBytes,
    { maxByteLength: sizeBytes * 2 },
  )
  const bytes = Buffer.from(memory)
  bytes.set(pattern(sizeBytes, 1))
  return bytes
}

function take(how: (buffer: ArrayBuffer) => void): Record<string, Test> {
  return {
    async 'from a small chunk after write changes nothing'(bench) {
      const ring = bench.ring()
      const received = new Received()
      const connection = await bench.connect(ring, await bench.listen(ring, echo), received)
      const expected = pattern(10_000, 1)
      for (let offset = 0; offset < 10_000; offset += 100) {
        const chunk = resizable(100)
        chunk.set(expected.subarray(offset, offset + 100))
        connection.write(chunk)
        how(chunk.buffer as ArrayBuffer)
      }
      connection.end()
      await received.closed
      assert.ok(Buffer.concat(received.chunks).equals(expected))
      await bench.assertEmpty()
    },

    async 'from a large chunk at once, or half-way, is refused, and what has arrived is right'(bench) {
      for (const halfWay of [false, true]) await refused(bench, how, halfWay)
      await bench.assertEmpty()
    },

    async 'from a received chunk leaves what follows whole'(bench) {
      const ring = bench.ring()
      const expected = pattern(200_000, 4)
      const whole: Buffer[] = []
      let skipped: Skip | undefined
      const received = new Received()
      const connection = await bench.connect(ring, await bench.listen(ring, echo), {
        data(_connection, chunk) {
          whole.push(Buffer.from(chunk))
          try {
            how(chunk.buffer as ArrayBuffer)
          } catch (error) {
            // Refused: small chunks share memory that is not to be transferred, and none of it is resizable.
            if (error instanceof Skip) skipped = error
          }
        },
        close: (each, error) => received.close(each, error),
      })
      let bytes = 0
      while (bytes < expected.byteLength) {
        connection.write(expected.subarray(bytes, bytes += 400))
        await until(() => connection.bytesRead === bytes, 'the echo')
        if (bytes === 40_000) break
      }
      connection.write(expected.subarray(bytes))
      connection.end()
      await received.closed
      if (skipped !== undefined) throw skipped
      assert.equal(received.error, undefined)
      assert.ok(Buffer.concat(whole).equals(expected))
      await bench.assertEmpty()
    },
  }
}

async function refused(bench: Bench, how: (buffer: ArrayBuffer) => void, halfWay: boolean): Promise<void> {
  const ring = bench.ring()
  const sink = new Received()
  let partArrived: () => void = () => undefined
  const listener = await bench.listen(ring, {
    open(connection) {
      connection.handler = {
        data(each, received) {
          sink.data(each, received)
          if (sink.bytes > 1_000_000) partArrived()
        },
        close: (each, error) => sink.close(each, error),
      }
    },
  })
  const told = new Received()
  const connection = await bench.connect(ring, listener, told)
  const chunk = resizable(20_000_000)
  const expected = pattern(20_000_000, 1)
  const outcomes: unknown[] = []
  connection.write(chunk, (error) => outcomes.push(error))
  const takeAway = (): void => {
    partArrived = () => undefined
    how(chunk.buffer as ArrayBuffer)
  }
  if (halfWay) partArrived = takeAway
  else takeAway()
  await Promise.all([told.closed, sink.closed])
  assert.ok(hasCode('ERR_SHEAF_DETACHED')(told.error))
  assert.ok(outcomes.length === 1 && hasCode('ERR_SHEAF_DETACHED')(outcomes[0]))
  assert.ok(sink.bytes < 20_000_000)
  assert.ok(Buffer.concat(sink.chunks).equals(expected.subarray(0, sink.bytes)))
}

/** What is done to memory, by the name of what does it. */
export const memoryTests: Record<string, Record<string, Test>> = Object.fromEntries(
  Object.entries(takings).map(([name, how]) => [name, take(how)]),
)
