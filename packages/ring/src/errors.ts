import { getSystemErrorMap, getSystemErrorName, inspect } from 'node:util'

/** Codes of the errors that are Sheaf's own. Each is explained in `docs/errors.md`. */
export type SheafErrorCode
  = | 'ERR_SHEAF_UNAVAILABLE'
    | 'ERR_SHEAF_UNSUPPORTED'
    | 'ERR_SHEAF_RING_CLOSED'
    | 'ERR_SHEAF_CLOSED'
    | 'ERR_SHEAF_WRITE_AFTER_END'
    | 'ERR_SHEAF_FORWARDING'
    | 'ERR_SHEAF_DETACHED'
    | 'ERR_SHEAF_DESCRIPTORS_LOST'
    | 'ERR_SHEAF_INVARIANT'

/** An error that has no counterpart in Node. */
export class SheafError extends Error {
  readonly code: SheafErrorCode

  constructor(code: SheafErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.name = 'SheafError'
  }
}

/** What Node's own system errors carry. */
export interface SystemError extends Error {
  code: string
  errno: number
  syscall: string
  address?: string
  port?: number
}

/** The error that Node would make for `-errno` of `syscall`: same message, same properties. */
export function systemError(errno: number, syscall: string, address?: string, port?: number): SystemError {
  const code = getSystemErrorName(errno)
  let message = `${syscall} ${code}`
  // The one call of which Node says this, too.
  if (syscall === 'listen') message += `: ${getSystemErrorMap().get(errno)?.[1] ?? 'unknown error'}`
  if (address !== undefined) message += port === undefined ? ` ${address}` : ` ${address}:${port}`
  const error = new Error(message) as SystemError
  error.errno = errno
  error.code = code
  error.syscall = syscall
  if (address !== undefined) error.address = address
  if (port !== undefined) error.port = port
  return error
}

/** As {@link systemError}, for memory that the kernel locks: `ENOMEM` mostly means a limit that can be raised. */
export function lockedMemoryError(errno: number, syscall: string): SystemError {
  const error = systemError(errno, syscall)
  if (error.code === 'ENOMEM') error.message += ': no memory, or more locked memory than the limit (`ulimit -l`) allows'
  return error
}

type ArgumentError = (TypeError | RangeError) & { code: string }

function withCode(error: TypeError | RangeError, code: string): ArgumentError {
  return Object.assign(error, { code })
}

/** A value, as Node names it in such errors. */
export function typeAndValue(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'function') return `function ${value.name}`
  if (typeof value === 'object') {
    const { constructor } = value as { constructor?: { name?: string } }
    return constructor?.name ? `an instance of ${constructor.name}` : inspect(value, { depth: -1 })
  }
  const text = inspect(value)
  return `type ${typeof value} (${text.length > 28 ? `${text.slice(0, 25)}...` : text})`
}

function kindOf(name: string): string {
  return name.includes('.') ? 'property' : 'argument'
}

/** `ERR_INVALID_ARG_TYPE`, worded as Node words it. */
export function invalidArgumentType(name: string, expected: string, actual: unknown): ArgumentError {
  return withCode(
    new TypeError(`The "${name}" ${kindOf(name)} must be ${expected}. Received ${typeAndValue(actual)}`),
    'ERR_INVALID_ARG_TYPE',
  )
}

/** `ERR_INVALID_ARG_VALUE`, worded as Node words it. */
export function invalidArgumentValue(name: string, reason: string, actual: unknown): ArgumentError {
  return withCode(
    new TypeError(`The ${kindOf(name)} '${name}' ${reason}. Received ${inspect(actual)}`),
    'ERR_INVALID_ARG_VALUE',
  )
}

/** `ERR_OUT_OF_RANGE`, worded as Node words it. */
export function outOfRange(name: string, range: string, actual: unknown): ArgumentError {
  return withCode(
    new RangeError(`The value of "${name}" is out of range. It must be ${range}. Received ${String(actual)}`),
    'ERR_OUT_OF_RANGE',
  )
}

/** `ERR_UNKNOWN_ENCODING`, worded as Node words it. */
export function unknownEncoding(encoding: string): ArgumentError {
  return withCode(new TypeError(`Unknown encoding: ${encoding}`), 'ERR_UNKNOWN_ENCODING')
}

/** Makes what the application's code has thrown an `uncaughtException` of its own. */
export function throwLater(thrown: unknown): void {
  process.nextTick(() => { throw thrown })
}

/**
 * Calls the application's code. What it throws is thrown later: it would keep others from being told, or, thrown into a
 * stream of Node's, that stream from going on.
 */
export function guarded(call: () => void): void {
  try {
    call()
  } catch (error) {
    throwLater(error)
  }
}

/** `ERR_INVALID_IP_ADDRESS`, worded as Node words it. */
export function invalidAddress(address: unknown): ArgumentError {
  return withCode(new TypeError(`Invalid IP address: ${String(address)}`), 'ERR_INVALID_IP_ADDRESS')
}

/** States what must hold. A failure is a bug in Sheaf or in the kernel, never in the application. */
export function invariant(holds: boolean, what: string): asserts holds {
  if (!holds) throw new SheafError('ERR_SHEAF_INVARIANT', `${what} (a bug in Sheaf or the kernel: please report it)`)
}
