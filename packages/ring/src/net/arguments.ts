import type { IpcNetConnectOpts, ListenOptions, TcpNetConnectOpts } from 'node:net'

/** What `connect` and `listen` take in its widest form; each checks what it uses. */
export type NetOptions = Partial<TcpNetConnectOpts> & Partial<IpcNetConnectOpts> & ListenOptions & {
  fd?: number
  handle?: unknown
  _handle?: unknown
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- whoever listens says what it takes
type Callback = (...args: any[]) => void

/** Arguments in their one form: options, and a callback or null. */
export type NormalizedArguments = [options: NetOptions, callback: Callback | null] & { [normalized]?: true }

/** Marks arguments that need not be looked at again. */
const normalized = Symbol('normalized')

/** A number that counts, or false. */
export function countOf(value: unknown): number | false {
  const count = Number(value)
  return count >= 0 && count
}

/** A string that is no number is a path. */
export function isPath(value: unknown): value is string {
  return typeof value === 'string' && countOf(value) === false
}

export function isNormalized(value: unknown): value is NormalizedArguments {
  return Array.isArray(value) && (value as NormalizedArguments)[normalized] === true
}

/**
 * Brings the forms that `connect` and `listen` may be called in into one:
 * `(options[, …][, callback])`, `(path[, …][, callback])`, `([port][, host][, …][, callback])`.
 */
export function normalizeArguments(args: readonly unknown[]): NormalizedArguments {
  const last = args.at(-1)
  const result: NormalizedArguments = [optionsOf(args), typeof last === 'function' ? last as Callback : null]
  result[normalized] = true
  return result
}

function optionsOf(args: readonly unknown[]): NetOptions {
  if (args.length === 0) return {}
  const [first, second] = args
  if (typeof first === 'object' && first !== null) return first
  if (isPath(first)) return { path: first }
  const options: NetOptions = { port: first as number }
  if (typeof second === 'string') options.host = second
  return options
}
