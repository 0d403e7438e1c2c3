import { invalidArgumentType, outOfRange, typeAndValue } from '@sheaf/ring'
import { outOfBounds } from './errors'

const chunkTypes = 'of type string or an instance of Buffer, TypedArray, or DataView'

/** What `send` takes as a datagram, or as a part of one. */
export type Part = string | NodeJS.ArrayBufferView

function bytesOf(part: Part): Uint8Array {
  if (typeof part === 'string') return Buffer.from(part)
  return part instanceof Uint8Array ? part : new Uint8Array(part.buffer, part.byteOffset, part.byteLength)
}

function isPart(value: unknown): value is Part {
  return typeof value === 'string' || ArrayBuffer.isView(value)
}

/** The payload of one datagram. @throws TypeError */
export function payloadOf(message: unknown): Uint8Array {
  if (isPart(message)) return bytesOf(message)
  if (!Array.isArray(message)) throw invalidArgumentType('buffer', chunkTypes, message)
  // Holes, too.
  const parts = Array.from(message as unknown[])
  if (!parts.every(isPart)) throw invalidArgumentType('buffer list arguments', chunkTypes, message)
  return parts.length === 1 ? bytesOf(parts[0]) : Buffer.concat(parts.map(bytesOf))
}

/** Part of a datagram's memory. @throws TypeError, RangeError */
export function slice(message: unknown, offset: unknown, length: unknown): Uint8Array {
  if (!isPart(message)) throw invalidArgumentType('buffer', chunkTypes, message)
  const bytes = bytesOf(message)
  const start = Number(offset) >>> 0
  const count = Number(length) >>> 0
  if (start > bytes.byteLength) throw outOfBounds('offset')
  if (start + count > bytes.byteLength) throw outOfBounds('length')
  return bytes.subarray(start, start + count)
}

/** A port, as a number or in decimal digits; 0 is none to send to. @throws RangeError `ERR_SOCKET_BAD_PORT` */
export function portOf(value: unknown, name = 'Port', least: 0 | 1 = 1): number {
  const isNumeric = typeof value === 'number' || (typeof value === 'string' && value.trim() !== '')
  const port = isNumeric ? Number(value) : NaN
  if (Number.isInteger(port) && port >= least && port < 65536) return port
  const bounds = `${least === 0 ? '>= 0' : '> 0'} and < 65536`
  throw Object.assign(new RangeError(`${name} should be ${bounds}. Received ${typeAndValue(value)}.`), {
    code: 'ERR_SOCKET_BAD_PORT',
  })
}

export function checkNumber(name: string, value: unknown): asserts value is number {
  if (typeof value !== 'number') throw invalidArgumentType(name, 'of type number', value)
}

export function checkString(name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string') throw invalidArgumentType(name, 'of type string', value)
}

/** @throws TypeError, RangeError for what is no unsigned 32-bit integer. */
export function checkUint32(name: string, value: unknown): asserts value is number {
  checkNumber(name, value)
  if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value)
  if (value < 0 || value > 0xffffffff) throw outOfRange(name, '>= 0 && <= 4294967295', value)
}
