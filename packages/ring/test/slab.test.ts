import { expect, it } from 'vitest'
import { limits } from '../src/limits'
import { messageSlabs, Slab, streamSlabs } from '../src/memory/slab'

const kinds = { streams: streamSlabs, datagrams: messageSlabs }
const used = { streams: limits.slabsMax, datagrams: limits.messageSlabsMax }

/** What small chunks are carved from, after what nobody holds has gone. */
function arrayBufferBytes(): number {
  globalThis.gc?.()
  globalThis.gc?.()
  return process.memoryUsage().arrayBuffers
}

/** Takes so many small chunks that the slab is as large as it gets. */
function use(slab: Slab, sizeBytes: number): void {
  for (let taken = 0; taken < 16 * sizeBytes; taken += sizeBytes) slab.allocate(sizeBytes)
}

for (const name of ['streams', 'datagrams'] as const) {
  const { chunkBytesMax, sizeBytesMax } = kinds[name]

  it(`${name}: only so many slabs have memory, however many there are`, () => {
    expect(globalThis.gc).toBeDefined()
    const before = arrayBufferBytes()
    const slabs = Array.from({ length: 4 * used[name] }, () => new Slab(kinds[name]))
    for (const slab of slabs) use(slab, chunkBytesMax)
    const most = used[name] * sizeBytesMax
    const held = arrayBufferBytes() - before
    expect(held).toBeGreaterThan(most * 0.9)
    expect(held).toBeLessThan(most * 1.1)
    for (const slab of slabs) slab.forget()
    expect(arrayBufferBytes() - before).toBeLessThan(most * 0.1)
  })

  it(`${name}: a slab grows while it is used, and one chunk needs none`, () => {
    const slab = new Slab(kinds[name])
    for (let round = 0; round < 2; round++) {
      expect(slab.allocate(100).buffer.byteLength).toBe(100)
      expect(slab.allocate(100).buffer.byteLength).toBe(chunkBytesMax)
      use(slab, chunkBytesMax)
      expect(slab.allocate(100).buffer.byteLength).toBe(sizeBytesMax)
      slab.forget()
    }
  })

  it(`${name}: chunks are nobody else's, and stay what they are when the slab forgets its memory`, () => {
    const slab = new Slab(kinds[name])
    const sizes = [1, 7, 8, 9, 100, chunkBytesMax - 1, chunkBytesMax, chunkBytesMax + 1]
    const chunks: Buffer[] = []
    for (let round = 0; round < 100; round++) {
      const chunk = slab.allocate(sizes[round % sizes.length])
      expect(chunk.byteOffset % 8).toBe(0)
      chunks.push(chunk.fill(round))
      if (round % 30 === 29) slab.forget()
    }
    for (const [round, chunk] of chunks.entries()) {
      expect(chunk).toHaveLength(sizes[round % sizes.length])
      expect(chunk.every((byte) => byte === round)).toBe(true)
    }
    slab.forget()
  })
}
