import fc from 'fast-check'
import { expect, it } from 'vitest'
import { EntryRing } from '../src/memory/entry-ring'

const entries = 16

it('entries pushed one by one, or copied in blocks across the wrap, are found again beside an untouched tail', () => {
  const push = fc.record({ address: fc.maxSafeNat(), length: fc.nat(2 ** 32 - 1), id: fc.nat(65535) })
  const copy = fc.record({ from: fc.nat(entries - 1), count: fc.nat(entries) })
  fc.assert(fc.property(fc.array(fc.oneof(push, copy), { maxLength: 60 }), (steps) => {
    const source = new EntryRing(entries, new ArrayBuffer(entries * 16))
    for (let id = 0; id < entries; id++) source.push(id * 2 ** 40 + 7, id + 1, 1000 + id)
    const ring = new EntryRing(entries, new ArrayBuffer(entries * 16))
    const tail = new Uint16Array(ring.words.buffer, 14, 1)
    tail[0] = 0xbeef
    const model: { address: number, length: number, id: number }[] = []
    for (const step of steps) {
      if ('address' in step) {
        ring.push(step.address, step.length, step.id)
        model.push(step)
      } else {
        const count = Math.min(step.count, entries - step.from)
        ring.pushFrom(source.words, step.from, count)
        for (let id = step.from; id < step.from + count; id++) {
          model.push({ address: id * 2 ** 40 + 7, length: id + 1, id: 1000 + id })
        }
      }
    }
    expect(ring.tail).toBe(model.length)
    for (let position = Math.max(0, model.length - entries); position < model.length; position++) {
      expect({
        address: ring.address(position), length: ring.lengthBytes(position), id: ring.id(position),
      }).toEqual({ address: model[position].address, length: model[position].length, id: model[position].id })
    }
    expect(tail[0]).toBe(0xbeef)
  }))
})
