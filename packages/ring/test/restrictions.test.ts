import { constants } from 'node:os'
import type { Binding, NativeRing } from '@sheaf/native'
import { expect, it, onTestFinished, vi } from 'vitest'
import { EnterFlag } from '../src/abi'
import { createRing } from '../src/index'
import { createRingOn } from '../src/testing/index'
import { binding } from './kernel'

const openAt = 18
const { EACCES, EBADF, EPERM } = constants.errno
const yes = { supported: true, enabled: true, reason: '' }

/** A ring as adapters have it, and what is beneath it. */
function ringWithNative() {
  const create = vi.spyOn(binding, 'createRing')
  const ring = createRing()
  onTestFinished(() => ring.close())
  const native = create.mock.results.at(-1)?.value as NativeRing
  create.mockRestore()
  return { ring, native }
}

/** Has the kernel do one request, past everything that guards the queue. @returns its result. */
function request(native: NativeRing, opcode: number): number {
  const { offsets } = native
  const tail = new Int32Array(native.rings, offsets.submissionTail, 1)
  const entry = new Uint8Array(native.submissions, (tail[0] & (native.submissionEntries - 1)) * 64, 64).fill(0)
  entry[0] = opcode
  entry.fill(0xff, 4, 8)
  tail[0]++
  const head = new Int32Array(native.rings, offsets.completionHead, 1)
  expect(native.enter(1, EnterFlag.GetEvents)).toBe(1)
  const at = offsets.completions + (head[0] & (native.completionEntries - 1)) * 16
  head[0]++
  return new Int32Array(native.rings, at, 3)[2]
}

it('a ring refuses OPENAT and every other operation on files', () => {
  const { ring, native } = ringWithNative()
  expect(ring.capabilities.restrictions).toEqual(yes)
  const readWriteOpenUnlink = [1, 2, 4, 5, openAt, 22, 23, 28, 36]
  for (const opcode of readWriteOpenUnlink) expect(request(native, opcode)).toBe(-EACCES)
})

it('SHEAF_RESTRICTIONS=off leaves it unrestricted, and capabilities say so', () => {
  vi.stubEnv('SHEAF_RESTRICTIONS', 'off')
  onTestFinished(() => void vi.unstubAllEnvs())
  const { ring, native } = ringWithNative()
  expect(ring.capabilities.restrictions)
    .toEqual({ supported: true, enabled: false, reason: 'switched off by SHEAF_RESTRICTIONS=off' })
  expect(request(native, 22)).toBe(-EBADF)
})

it('where the kernel refuses restrictions the ring works without, and capabilities say why', () => {
  const refusing: Binding = {
    probe: () => binding.probe(),
    sockets: binding.sockets,
    createRing({ restrictions, ...options }) {
      const native = binding.createRing(options)
      if (restrictions === undefined || typeof native === 'number') return native
      return new Proxy({} as NativeRing, {
        get(_target, name) {
          if (name === 'restrictionsError') return -EPERM
          const value: unknown = Reflect.get(native, name)
          return typeof value === 'function' ? value.bind(native) as unknown : value
        },
      })
    },
  }
  const ring = createRingOn(refusing)
  expect(ring.capabilities.restrictions)
    .toEqual({ supported: false, enabled: false, reason: 'the kernel refuses to restrict a ring (EPERM)' })
  ring.close()
})
