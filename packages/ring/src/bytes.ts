import { types } from 'node:util'

/** Also one of another realm, as programs in a `vm` context make them. */
export function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array || types.isUint8Array(value)
}
