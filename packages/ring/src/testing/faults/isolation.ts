import assert from 'node:assert/strict'
import type { RingOptions, Transport } from '@sheaf/ring'
import type { Bench, Test } from './bench'
import { echo, Received, until } from '../fixtures'

const connections = 8
const rounds = 40

/** A byte that only one connection's data is made of. */
function mark(index: number): number {
  return 0xa0 + index
}

/** Chunk sizes: those that share a slab, the largest of those, and those with memory of their own. */
const sizes = [1, 32, 1000, 1024, 1025, 5000, 20_000]

/** Everything that is reachable from the chunks that a connection received. */
function assertOwn(chunks: readonly Buffer[], index: number): void {
  for (const memory of new Set(chunks.map(({ buffer }) => buffer))) {
    for (const byte of new Uint8Array(memory)) {
      assert.ok(byte === mark(index) || byte === 0, `connection ${index} can see ${byte}`)
    }
  }
}

async function exchange(bench: Bench, options: RingOptions, pausing: boolean): Promise<void> {
  const ring = bench.ring(options)
  const listener = await bench.listen(ring, echo)
  const received = Array.from({ length: connections }, () => new Received())
  const open: Transport[] = []
  for (const handler of received) open.push(await bench.connect(ring, listener, handler))
  let bytes = 0
  for (let round = 0; round < rounds; round++) {
    const size = sizes[round % sizes.length]
    bytes += size
    for (const [index, connection] of open.entries()) {
      if (pausing) connection.pause()
      connection.write(Buffer.alloc(size, mark(index)))
    }
    if (pausing) await new Promise((resolve) => setTimeout(resolve, 1))
    for (const connection of open) connection.resume()
    await until(() => received.every((each) => each.bytes === bytes), 'the echoes')
  }
  for (const [index, { chunks }] of received.entries()) {
    assert.ok(chunks.every((chunk) => chunk.every((byte) => byte === mark(index))))
    assertOwn(chunks, index)
  }
  for (const connection of open) connection.destroy()
  await bench.assertEmpty()
}

export const isolationTests: Record<string, Test> = {
  'nothing of another connection is in the memory of a received chunk': (bench) => exchange(bench, {}, false),
  'nor of one that was kept while paused': (bench) => exchange(bench, {}, true),
  'nor with one buffer a receive': (bench) => exchange(bench, { receiveMethod: 'single' }, false),
  'nor with multishot recvmsg': (bench) => exchange(bench, { receiveMethod: 'recvmsg' }, false),
}
