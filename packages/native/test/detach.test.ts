import { describe, expect, it } from 'vitest'
import { detach } from '../src/index.js'

/** TypeScript has it with the DOM only. */
declare const WebAssembly: { Memory: new (pages: { initial: number }) => { buffer: ArrayBuffer } }

const size = 64 * 1024 * 1024

function detachNow(buffer: ArrayBuffer): void {
  if (detach === undefined) throw new Error('The addon is not there')
  detach(buffer)
}

describe('detach', () => {
  it('gives the memory back at once, and the buffer is empty from then on', () => {
    const chunk = new Uint8Array(size).fill(1)
    const before = process.memoryUsage().arrayBuffers
    detachNow(chunk.buffer)
    expect(process.memoryUsage().arrayBuffers).toBeLessThanOrEqual(before - size)
    expect([chunk.byteLength, chunk.buffer.byteLength, chunk[0]]).toEqual([0, 0, undefined])
  })

  it('is harmless when repeated', () => {
    const buffer = new ArrayBuffer(1024)
    detachNow(buffer)
    detachNow(buffer)
    expect(buffer.byteLength).toBe(0)
  })

  it('throws where memory must stay, and leaves it', () => {
    const { buffer } = new WebAssembly.Memory({ initial: 1 })
    expect(() => detachNow(buffer)).toThrow(Error)
    expect(buffer.byteLength).toBe(65536)
  })
})
