import { isBytes } from '../bytes'
import { invalidArgumentType } from '../errors'
import type { WriteCallback } from '../transport'

export function checkCallback(callback: unknown): void {
  if (callback !== undefined && typeof callback !== 'function') {
    throw invalidArgumentType('callback', 'of type function', callback)
  }
}

/** @throws TypeError if `to`, where it is given, is nothing that a destination could be. */
export function checkTo(to: unknown): void {
  if (to !== undefined && (typeof to !== 'object' || to === null)) throw invalidArgumentType('to', 'an object', to)
}

export function checkChunk(chunk: unknown): void {
  if (typeof chunk !== 'string' && !isBytes(chunk)) {
    throw invalidArgumentType('chunk', 'of type string or an instance of Buffer or Uint8Array', chunk)
  }
}

/** @returns the chunks, each checked. */
export function checkChunks(chunks: unknown): readonly (Uint8Array | string)[] {
  const iterable = chunks as Partial<Iterable<unknown>> | null
  if (typeof iterable !== 'object' || typeof iterable?.[Symbol.iterator] !== 'function') {
    throw invalidArgumentType('chunks', 'an iterable of strings, Buffers or Uint8Arrays', chunks)
  }
  const all = Array.isArray(chunks) ? chunks as unknown[] : [...chunks as Iterable<unknown>]
  for (const chunk of all) checkChunk(chunk)
  return all as (Uint8Array | string)[]
}

/** A callback for each of `count` datagrams, which calls `callback` once, with the first error. */
export function afterAll(count: number, callback: WriteCallback): WriteCallback {
  let left = count
  let first: Error | undefined
  return (error) => {
    first ??= error
    if (--left === 0) callback(first)
  }
}
