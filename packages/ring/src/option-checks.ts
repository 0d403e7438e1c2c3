import { invalidArgumentType, outOfRange } from './errors'

/*
 * The checks that every adapter makes of its options. Each throws a TypeError or RangeError worded as Node words it,
 * and lets `undefined` pass where an option may be left out.
 */

/** @param name as the caller knows it: `options`, `handler`. */
export function checkObject(name: string, value: unknown): void {
  if (typeof value !== 'object' || value === null) throw invalidArgumentType(name, 'of type object', value)
}

/**
 * The options as they are at the call, those that are inherited and the getters of a class too: the caller may use its
 * object for another call before they are all read. @throws TypeError if they are no object.
 */
export function copyOptions<T extends object>(options: T): T {
  checkObject('options', options)
  const names = new Set<string>()
  for (let of: unknown = options; of !== null && of !== Object.prototype; of = Object.getPrototypeOf(of)) {
    for (const name of Object.getOwnPropertyNames(of)) names.add(name)
  }
  return Object.fromEntries([...names].map((name) => [name, options[name as keyof T]])) as T
}

export function checkOption(name: string, value: unknown, type: 'boolean' | 'string' | 'function'): void {
  if (value === undefined || typeof value === type) return
  throw invalidArgumentType(`options.${name}`, `of type ${type}`, value)
}

export function checkIntegerOption(name: string, value: unknown, min: number, max: number): void {
  if (value !== undefined) checkInteger(`options.${name}`, value, min, max)
}

/** @param name the argument as the caller knows it. */
export function checkInteger(name: string, value: unknown, min: number, max: number): void {
  if (typeof value !== 'number') throw invalidArgumentType(name, 'of type number', value)
  if (!Number.isInteger(value) || value < min || value > max) {
    throw outOfRange(name, `an integer >= ${min} and <= ${max}`, value)
  }
}

/** @param value must be there. */
export function checkDescriptorOption(value: unknown): void {
  checkInteger('options.fd', value, 0, 2 ** 31 - 1)
}

/** An object with `aborted` is enough, as for Node: signals may be of another realm, or a library's. */
export function checkSignalOption(value: unknown): void {
  if (value === undefined) return
  if (typeof value !== 'object' || value === null || !('aborted' in value)) {
    throw invalidArgumentType('options.signal', 'an instance of AbortSignal', value)
  }
}

export function checkCallbacks(handler: unknown, names: readonly string[]): void {
  checkObject('handler', handler)
  const callbacks = handler as Record<string, unknown>
  for (const name of names) {
    const callback = callbacks[name]
    if (callback !== undefined && typeof callback !== 'function') {
      throw invalidArgumentType(`handler.${name}`, 'of type function', callback)
    }
  }
}
