import type { IpcNetConnectOpts, ListenOptions, TcpNetConnectOpts } from 'node:net'
import { limits, stockNet } from '@sheaf/ring'

const backlogMax = 2 ** 31 - 1

/** What `connect` and `listen` take in its widest form; each checks what it uses. */
export type NetOptions = Partial<TcpNetConnectOpts> & Partial<IpcNetConnectOpts> & ListenOptions & {
  fd?: number
  handle?: unknown
  _handle?: unknown
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- whoever listens says what it takes
type Callback = (...args: any[]) => void

/** Arguments in their one form: options, and a callback or null. */
export type NormalizedArguments = [options: NetOptions, callback: Callback | null]

/** A number that counts, or false. */
export function countOf(value: unknown): number | false {
  const count = Number(value)
  return count >= 0 && count
}

/**
 * Connections that may wait to be accepted, of the first that was given: as C++ reads it, a number of 32 bits; a
 * negative one is as many as the system allows.
 */
export function backlogOf(...given: unknown[]): number {
  const count = Number(given.find(Boolean) ?? limits.backlog) | 0
  return count < 0 ? backlogMax : count
}

/** A string that is no number is a path. */
export function isPath(value: unknown): value is string {
  return typeof value === 'string' && countOf(value) === false
}

/**
 * Brings the forms that `connect` and `listen` may be called in into one:
 * `(options[, …][, callback])`, `(path[, …][, callback])`, `([port][, host][, …][, callback])`.
 */
export const { _normalizeArgs: normalizeArguments } = stockNet as unknown as {
  _normalizeArgs: (args: readonly unknown[]) => NormalizedArguments
}

/** Node's mark for what need not be looked at again. */
const [normalized] = Object.getOwnPropertySymbols(normalizeArguments([]))

export function isNormalized(value: unknown): value is NormalizedArguments {
  return Array.isArray(value) && (value as unknown as Record<symbol, unknown>)[normalized] === true
}
