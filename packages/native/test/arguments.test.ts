import { afterAll, describe, expect, it } from 'vitest'
import { openRing, usualFlags } from './fixtures/queue.mjs'
import { detach } from '../src/index.js'
import { theBinding } from './the-binding.js'

const binding = theBinding()
const { sockets } = binding
const ring = openRing(binding)

afterAll(() => ring.close())

type Call = (...values: unknown[]) => unknown
type Kind = 'integer' | 'power of two' | 'boolean' | 'string' | 'bytes' | 'function' | 'int32s' | 'chunks'

/** One parameter: its kind, a value that is fine, and for numbers the first ones that are not. */
type Parameter = readonly [kind: Kind, fine: unknown, below?: number, above?: number]

const fd: Parameter = ['integer', 2 ** 31 - 1, -1, 2 ** 31]
const int: Parameter = ['integer', 0, -1, 2 ** 31]
const uint: Parameter = ['integer', 0, -1, 2 ** 32]
const group: Parameter = ['integer', 65535, -1, 65536]
const bytes: Parameter = ['bytes', new Uint8Array(16)]
const turn: Parameter = ['function', () => undefined]

/** Every function of the contract that takes arguments: whose it is, its name, its parameters. */
const functions: readonly [owner: object, name: string, ...Parameter[]][] = [
  [{ detach }, 'detach', ['chunks', [new Uint8Array(16)]]],
  [ring, 'createRegion', ['integer', 1, 0, 2 ** 31 + 1]],
  [ring, 'enter', uint, uint],
  [ring, 'registerBufferRing', ['integer', 0, -1, 2 ** 53], ['power of two', 1, 0, 65536], group, group],
  [ring, 'unregisterBufferRing', group],
  [ring, 'bufferRingHead', group],
  [ring, 'cancelAll', int],
  [ring, 'attach', turn, ['integer', 1, 0, 65536], ['integer', 0, -1, 1001]],
  [sockets, 'socket', ['integer', 99999, -1, 2 ** 31], int, int],
  [sockets, 'socketpair', ['integer', 99999, -1, 2 ** 31], int, ['int32s', new Int32Array(2)]],
  [sockets, 'bind', fd, bytes],
  [sockets, 'connect', fd, bytes],
  [sockets, 'listen', fd, int],
  [sockets, 'getsockname', fd, bytes],
  [sockets, 'getpeername', fd, bytes],
  [sockets, 'setsockopt', fd, int, int, bytes],
  [sockets, 'getsockopt', fd, int, int, bytes],
  [sockets, 'shutdown', fd, ['integer', 0, -1, 3]],
  [sockets, 'dup', fd],
  [sockets, 'close', fd],
  [sockets, 'interfaceIndex', ['string', 'lo']],
  [sockets, 'ownFile', ['string', '/no/such/file']],
  [sockets, 'disownFile', ['integer', 0, -1, 2 ** 31]],
]

const samples: Record<string, unknown> = {
  'undefined': undefined, 'null': null, 'a boolean': true, 'a number': 1, 'a string': 'text', 'a bigint': 1n,
  'a symbol': Symbol('sample'), 'an object': {}, 'an array': [1], 'a function': () => 1,
  'an ArrayBuffer': new ArrayBuffer(4), 'a DataView': new DataView(new ArrayBuffer(4)),
  'a Uint16Array': new Uint16Array(4), 'a Uint8Array': new Uint8Array(4), 'an Int32Array': new Int32Array(4),
}
const accepted: Record<Kind, string[]> = {
  'integer': ['a number'], 'power of two': ['a number'], 'boolean': ['a boolean'], 'string': ['a string'],
  'function': ['a function'], 'bytes': ['a Uint8Array'], 'int32s': ['an Int32Array'],
  'chunks': [],
}

function method(owner: object, name: string): Call {
  const found: unknown = Reflect.get(owner, name)
  if (typeof found !== 'function') throw new Error(`no ${name}`)
  return (...values) => Reflect.apply(found, owner, values) as unknown
}

function cases() {
  return functions.flatMap(([owner, name, ...parameters]) => parameters.map(
    (parameter, index) => ({ name, call: method(owner, name), parameters, parameter, index }),
  ))
}

function callWith(call: Call, parameters: readonly Parameter[], index: number, value: unknown): () => unknown {
  const values = parameters.map(([, fine]) => fine)
  values[index] = value
  return () => call(...values)
}

describe.each(cases())('argument $index of $name', ({ call, parameters, parameter, index }) => {
  const [kind, , below, above] = parameter

  it('of a wrong type is a TypeError', () => {
    for (const [sample, value] of Object.entries(samples)) {
      if (accepted[kind].includes(sample)) continue
      expect(callWith(call, parameters, index, value), sample).toThrow(TypeError)
      expect(callWith(call, parameters, index, value), sample).toThrow(/^The "\w+" argument must be /)
      expect(callWith(call, parameters, index, value), sample)
        .toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
    }
  })

  it('when missing is a TypeError', () => {
    const values = parameters.slice(0, index).map(([, fine]) => fine)
    expect(() => call(...values)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
  })

  if (below === undefined || above === undefined) return

  it('out of range is a RangeError', () => {
    const wrong = [below, above, Number.NaN, Infinity, -Infinity, 1.5, Number.MAX_VALUE, -(2 ** 63)]
    if (kind === 'power of two') wrong.push(3, 6, 32767)
    for (const value of wrong) {
      expect(callWith(call, parameters, index, value), String(value)).toThrow(RangeError)
      expect(callWith(call, parameters, index, value), String(value))
        .toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
    }
  })
})

describe('createRing', () => {
  const create = method(binding, 'createRing')
  const fine = { submissionEntries: 4, completionEntries: 8, optionalFlags: usualFlags }

  it.each(['submissionEntries', 'completionEntries', 'optionalFlags'])('wants a number for %s', (name) => {
    for (const [sample, value] of Object.entries(samples)) {
      if (sample === 'a number') continue
      expect(() => create({ ...fine, [name]: value }), sample)
        .toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
    }
  })

  it.each([
    ['submissionEntries', [0, -1, 3, 65536, 1.5, Number.NaN]],
    ['completionEntries', [0, 4, 6, 131072, 2 ** 32]],
    ['optionalFlags', [-1, 2 ** 32, 0.5, 1 << 0, 1 << 1, 1 << 6, 1 << 10, 1 << 11, 1 << 14, 1 << 20]],
  ])('wants %s in range', (name, values) => {
    for (const value of values) {
      expect(() => create({ ...fine, [name]: value }), String(value))
        .toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
    }
  })

  it('wants restrictions, if any, to be complete', () => {
    const opcodes = Uint8Array.of(0)
    for (const restrictions of [
      null, 1, 'text', {}, { opcodes }, { entryFlags: 0 }, { opcodes: [0], entryFlags: 0 },
      { opcodes, entryFlags: '0' },
    ]) {
      expect(() => create({ ...fine, restrictions })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
    }
    for (const entryFlags of [-1, 256, 0.5]) {
      expect(() => create({ ...fine, restrictions: { opcodes, entryFlags } }))
        .toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
    }
  })

  it('wants an object', () => {
    for (const value of [undefined, null, 1, 'text', Symbol('sample')]) {
      expect(() => create(value)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
    }
  })

  it('passes on what a getter throws', () => {
    const options = { ...fine, get completionEntries(): number { throw new Error('from the getter') } }
    expect(() => create(options)).toThrow('from the getter')
  })
})

describe('the ring class', () => {
  it('is not for others to construct', () => {
    const constructor = ring.constructor as new (...values: unknown[]) => unknown
    for (const value of [undefined, {}, ring, 1]) {
      expect(() => new constructor(value)).toThrow(expect.objectContaining({ code: 'ERR_ILLEGAL_CONSTRUCTOR' }))
    }
    expect(() => (constructor as unknown as Call)()).toThrow(TypeError)
  })

  it('has methods for its own objects only', () => {
    const prototype = Object.getPrototypeOf(ring) as Record<string, Call>
    for (const name of Object.getOwnPropertyNames(prototype)) {
      if (name === 'constructor') continue
      for (const receiver of [{}, prototype, undefined, 1]) {
        expect(() => Reflect.apply(prototype[name], receiver, [1, 1]), name).toThrow()
      }
    }
  })
})
