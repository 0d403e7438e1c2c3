import { invalidArgumentType, outOfRange } from './errors'

/*
 * The checks that every adapter makes of its options. Each throws a TypeError or RangeError worded as Node words it,
 * and lets `undefined` pass where an option may be left out.
 */

/** @param name as the caller knows it: `options`, `handler`. */
export function checkObject(name: string, value: unknown): void {
  if (typeof value !== 'object' || value === null) throw invalidArgumentType(name, 'of type object', value)
}

/** All options of functions that make sockets. */
const optionNames = [
  'allowHalfOpen', 'asyncContext', 'backend', 'backlog', 'broadcast', 'coalesce', 'dropCounter', 'family', 'fd', 'host',
  'ipv6Only', 'keepAlive', 'keepFile', 'localAddress', 'localPort', 'lookup', 'mode', 'noDelay', 'packetInfo', 'path',
  'pathMtuDiscovery', 'port', 'receiveBufferBytes', 'receiveCredentials', 'receiveDescriptors', 'receiveTypeOfService',
  'removeStale', 'reuseAddress', 'reusePort', 'ring', 'sendBufferBytes', 'signal', 'timeout', 'timeToLive',
  'timestamps', 'typeOfService', 'writableHighWaterMark',
] as const
type OptionName = typeof optionNames[number]

/**
 * The options as they are at the call, wherever the object has them from: the caller may use it for another call before
 * they are all read. What `T` has that is not listed above is an error of types.
 * @throws TypeError if they are no object.
 */
export function copyOptions<T extends object>(options: [Exclude<keyof T, OptionName>] extends [never] ? T : never): T {
  checkObject('options', options)
  const given = options as Partial<Record<OptionName, unknown>>
  const copy: Partial<Record<OptionName, unknown>> = {}
  for (const name of optionNames) {
    const { [name]: value } = given
    if (value !== undefined) copy[name] = value
  }
  return copy as T
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
