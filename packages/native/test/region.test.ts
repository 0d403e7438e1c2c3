import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { openRegion, openRing } from './fixtures/queue.mjs'
import { collect, mappings } from './resources.js'
import { theBinding } from './the-binding.js'

const binding = theBinding()

/** The lines of /proc/self/smaps that speak of the mapping at `address`; empty when there is none. */
function mapped(address: number): string {
  const start = `${address.toString(16)}-`
  const lines = readFileSync('/proc/self/smaps', 'latin1').split('\n')
  const first = lines.findIndex((line) => line.startsWith(start))
  return first < 0 ? '' : lines.slice(first, first + 30).join('\n').replace(/(VmFlags.*)[^]*/, '$1')
}

/** Whether something is mapped there. Neighbouring mappings are shown as one, so ranges have to be looked at. */
function isMapped(address: number): boolean {
  return readFileSync('/proc/self/maps', 'latin1').split('\n').some((line) => {
    const [start = '', end = ''] = (line.split(' ')[0] ?? '').split('-')
    return Number.parseInt(start, 16) <= address && address < Number.parseInt(end, 16)
  })
}

describe('a region', () => {
  it.each([1, 4095, 4096, 4097, 1 << 20])('of %i bytes is whole pages of zeros', (sizeBytes) => {
    const region = openRegion(openRing(binding), sizeBytes)
    expect(region.address % 4096).toBe(0)
    expect(region.sizeBytes % 4096).toBe(0)
    expect(region.sizeBytes - sizeBytes).toBeGreaterThanOrEqual(0)
    expect(region.sizeBytes - sizeBytes).toBeLessThan(4096)
    expect(region.buffer.byteLength).toBe(region.sizeBytes)
    expect(new Uint8Array(region.buffer).every((byte) => byte === 0)).toBe(true)
  })

  it('stays where it is, and is not given to a forked child', async () => {
    const region = openRegion(openRing(binding), 64 * 4096)
    const bytes = new Uint8Array(region.buffer).fill(7)
    await collect()
    expect(bytes[bytes.length - 1]).toBe(7)
    expect(mapped(region.address)).toMatch(/VmFlags:.*\bdc\b/)
  })

  it('stays with its thread when it is to be transferred to another', () => {
    const region = openRegion(openRing(binding))
    const { port1, port2 } = new MessageChannel()
    try {
      // Up to Node.js 20 the other thread gets a copy; later versions refuse.
      port1.postMessage(region.buffer, [region.buffer])
    } catch (error) {
      expect(error).toMatchObject({ name: 'DataCloneError' })
    }
    port1.close()
    port2.close()
    expect(region.buffer.byteLength).toBe(4096)
  })

  it('is unmapped when its ring is closed and it is collected, though another ring is open', async () => {
    const other = openRing(binding)
    await collect()
    const before = mappings()
    for (let round = 0; round < 20; round++) {
      const ring = openRing(binding)
      for (let index = 0; index < 100; index++) new Uint8Array(openRegion(ring, 4096 + index * 4096).buffer)[0] = 1
      ring.close()
      await collect()
    }
    expect(mappings() - before).toBeLessThan(20)
    other.close()
  })

  it('lasts until its ring is closed, and can be had from no ring that is', async () => {
    const ring = openRing(binding)
    const { address } = openRegion(ring, 123 * 4096)
    await collect()
    expect(isMapped(address)).toBe(true)
    ring.close()
    await collect()
    expect(isMapped(address)).toBe(false)
    expect(ring.createRegion(4096)).toBe(-9)
  })

  it('lasts while its buffer is in use, though every ring is closed', async () => {
    const ring = openRing(binding)
    const region = openRegion(ring)
    ring.close()
    await collect()
    new Uint8Array(region.buffer)[4095] = 9
    expect(isMapped(region.address)).toBe(true)
  })
})
