import { Buffer } from 'node:buffer'
import { isBytes } from '../bytes'
import { invalidArgumentType, unknownEncoding } from '../errors'

/** @throws TypeError for what `write` can't take; nothing of it is sent then. */
export function checkWrite(chunk: unknown, encoding: string, callback: unknown): void {
  if (callback !== undefined) checkCallback(callback)
  if (encoding !== 'utf8' && !Buffer.isEncoding(encoding)) throw unknownEncoding(encoding)
  if (typeof chunk !== 'string' && !isBytes(chunk)) {
    throw invalidArgumentType('chunk', 'of type string or an instance of Buffer or Uint8Array', chunk)
  }
}

export function checkCallback(callback: unknown): void {
  if (typeof callback !== 'function') throw invalidArgumentType('callback', 'of type function', callback)
}
