import { describe, expect, it } from 'vitest'
import { detach } from '../src/index.js'
import { report, runModule } from './child-process.js'

/** TypeScript has it with the DOM only. */
declare const WebAssembly: { Memory: new (pages: { initial: number }) => { buffer: ArrayBuffer } }

const size = 64 * 1024 * 1024

function detachNow(...chunks: Uint8Array[]): void {
  if (detach === undefined) throw new Error('The addon is not there')
  detach(chunks)
}

describe('detach', () => {
  it('gives the memory back at once, and the chunk is empty from then on', () => {
    const chunk = new Uint8Array(size).fill(1)
    const before = process.memoryUsage().arrayBuffers
    detachNow(chunk)
    expect(process.memoryUsage().arrayBuffers).toBeLessThanOrEqual(before - size)
    expect([chunk.byteLength, chunk.buffer.byteLength, chunk[0]]).toEqual([0, 0, undefined])
  })

  it('is harmless when repeated', () => {
    const chunk = new Uint8Array(1024)
    detachNow(chunk, chunk)
    detachNow(chunk)
    expect(chunk.buffer.byteLength).toBe(0)
  })

  it('takes many, of every size, and leaves those that are a part of something', () => {
    const whole = [0, 1, 63, 4096].map((length) => new Uint8Array(length).fill(1))
    const { buffer } = new Uint8Array(16).fill(1)
    const parts = [new Uint8Array(buffer, 0, 8), new Uint8Array(buffer, 8), new Uint8Array(new SharedArrayBuffer(8))]
    detachNow(whole[0], parts[0], whole[1], whole[2], parts[1], parts[2], whole[3])
    expect(whole.map(({ byteLength }) => byteLength)).toEqual([0, 0, 0, 0])
    expect(parts.map(({ byteLength }) => byteLength)).toEqual([8, 8, 8])
    expect(parts[1][7]).toBe(1)
  })

  it('throws where memory must stay, and leaves it', () => {
    const { buffer } = new WebAssembly.Memory({ initial: 1 })
    expect(() => detachNow(new Uint8Array(buffer))).toThrow(Error)
    expect(buffer.byteLength).toBe(65536)
  })

  it('keeps the memory in the process for what comes next', async (context) => {
    if (process.env.ASAN_OPTIONS !== undefined) context.skip('needs the allocator of the C library')
    const { faults } = report(await runModule(`
      import { detach } from '@sheaf/native'
      const mib = 1024 * 1024
      const useAndDetach = () => detach(Array.from({ length: 16 }, () => new Uint8Array(mib).fill(1)))
      const faults = () => process.resourceUsage().minorPageFault
      for (let round = 0; round < 10; round++) useAndDetach()
      const before = faults()
      for (let round = 0; round < 10; round++) useAndDetach()
      console.log(JSON.stringify({ faults: (faults() - before) / 10 }))
    `)) as { faults: number }
    // 16 MiB are 4096 pages.
    expect(faults).toBeLessThan(400)
  })
})
