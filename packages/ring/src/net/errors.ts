import { BlockList } from 'node:net'
import { getSystemErrorMap, getSystemErrorName, inspect } from 'node:util'
import { invalidArgumentType, nodeIsAtLeast, outOfRange, type SystemError } from '@sheaf/ring'
import { Errno } from '../abi'

/** An error of Node's own kind: `code` says which. */
function nodeError<E extends Error>(error: E, code: string): E & { code: string } {
  return Object.assign(error, { code })
}

export const socketClosed = (): Error => nodeError(new Error('Socket is closed'), 'ERR_SOCKET_CLOSED')

export const closedBeforeConnection = (): Error =>
  nodeError(new Error('Socket closed before the connection was established'), 'ERR_SOCKET_CLOSED_BEFORE_CONNECTION')

export const connectionTimeout = (): Error =>
  nodeError(new Error('Socket connection timeout'), 'ERR_SOCKET_CONNECTION_TIMEOUT')

export const invalidHandleType = (): Error =>
  nodeError(new TypeError('This handle type cannot be sent'), 'ERR_INVALID_HANDLE_TYPE')

/** `kind` is `net.Socket` or `net.Server`. */
export const notTransferable = (kind: string): Error =>
  nodeError(new Error(`${kind} cannot be transferred in its current state; it must be a freshly created or accepted `
    + 'handle that has not started reading and has no pending writes'), 'ERR_WORKER_HANDLE_NOT_TRANSFERABLE')

/** Of a string that is said to be in the encoding `buffer`. */
export const notABuffer = (): Error =>
  nodeError(new TypeError('Second argument must be a buffer'), 'ERR_INVALID_ARG_TYPE')

export const addressMissing = (): Error =>
  nodeError(new TypeError('The "options" or "port" or "path" argument must be specified'), 'ERR_MISSING_ARGS')

export const notSupported = (name: string, value: unknown): Error => invalidValue(name, value, 'is not supported')

/** `ERR_INVALID_ARG_VALUE` as Node words it, the value shown as `util.inspect` does. */
export function invalidValue(name: string, value: unknown, reason = 'is invalid'): Error {
  const shown = inspect(value)
  const kind = name.includes('.') ? 'property' : 'argument'
  const received = shown.length > 128 ? `${shown.slice(0, 128)}...` : shown
  return nodeError(new TypeError(`The ${kind} '${name}' ${reason}. Received ${received}`), 'ERR_INVALID_ARG_VALUE')
}

export const alreadyListening = (): Error =>
  nodeError(new Error('Listen method has been called more than once without closing.'), 'ERR_SERVER_ALREADY_LISTEN')

export const serverNotRunning = (): Error => nodeError(new Error('Server is not running.'), 'ERR_SERVER_NOT_RUNNING')

export const invalidAddress = (address: unknown): Error =>
  nodeError(new TypeError(`Invalid IP address: ${String(address)}`), 'ERR_INVALID_IP_ADDRESS')

export const blockedAddress = (address: string): Error =>
  nodeError(new Error(`IP(${address}) is blocked by net.BlockList`), 'ERR_IP_BLOCKED')

export const endedByPeer = (): Error => nodeError(new Error('This socket has been ended by the other party'), 'EPIPE')

export function invalidAddressFamily(family: unknown, host: unknown, port: unknown): Error {
  const message = `Invalid address family: ${String(family)} ${String(host)}:${String(port)}`
  return Object.assign(nodeError(new RangeError(message), 'ERR_INVALID_ADDRESS_FAMILY'), { host, port })
}

/** Of several attempts, all of which failed. */
export function aggregateError(errors: readonly Error[]): Error {
  return nodeError(new AggregateError(errors), (errors[0] as NodeJS.ErrnoException).code ?? '')
}

/** `read ECONNRESET`. */
export function callError(errno: number, syscall: string): SystemError {
  const code = getSystemErrorName(errno)
  return Object.assign(new Error(`${syscall} ${code}`), { errno, code, syscall })
}

const saysWhatWasCutOff = nodeIsAtLeast(22, 9)

/** Of a write whose connection is closed before it has left. Earlier versions of Node call back as if it had. */
export function writeCutOff(): SystemError | undefined {
  return saysWhatWasCutOff ? callError(-Errno.ECANCELED, 'write') : undefined
}

/** `connect ECONNREFUSED 127.0.0.1:1 - Local (127.0.0.1:2)`. */
export function addressError(
  errno: number,
  syscall: string,
  address: string | null | undefined,
  port?: number,
  local?: string,
): SystemError {
  const place = port !== undefined && port > 0 ? `${address}:${port}` : address ?? ''
  const whole = local === undefined ? place : `${place} - Local (${local})`
  return withAddress(callError(errno, syscall), whole, address, port)
}

/** `listen EADDRINUSE: address already in use 127.0.0.1:1`. */
export function listenError(errno: number, address: string | null | undefined, port?: number | null): SystemError {
  const error = callError(errno, 'listen')
  error.message += `: ${getSystemErrorMap().get(errno)?.[1] ?? 'unknown error'}`
  const place = port !== undefined && port !== null && port > 0 ? `${address ?? ''}:${port}` : address ?? ''
  return withAddress(error, place, address, port ?? undefined)
}

function withAddress(error: SystemError, place: string, address?: string | null, port?: number): SystemError {
  if (place !== '') error.message += ` ${place}`
  if (address !== undefined) Object.assign(error, { address })
  if (port !== undefined && port !== 0) error.port = port
  return error
}

// ---------------------------------------------------------------- checks of arguments

const portMax = 65535

export function checkPort(port: unknown, name = 'Port'): void {
  const isNumeric = typeof port === 'number' || (typeof port === 'string' && port.trim() !== '')
  if (isNumeric && Number(port) === Number(port) >>> 0 && Number(port) <= portMax) return
  const shown = typeof port === 'string' ? `type string ('${port}')` : describe(port)
  throw nodeError(
    new RangeError(`${name} should be >= 0 and < 65536. Received ${shown}.`),
    'ERR_SOCKET_BAD_PORT',
  )
}

/** A port that has been checked. */
export function portOf(port: unknown): number {
  return Number(port ?? 0)
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'object') return `an instance of ${value.constructor.name}`
  // eslint-disable-next-line @typescript-eslint/no-base-to-string -- only primitives and functions get here
  return typeof value === 'function' ? `function ${value.name}` : `type ${typeof value} (${String(value)})`
}

export function checkNumber(name: string, value: unknown): asserts value is number {
  if (typeof value !== 'number') throw invalidArgumentType(name, 'of type number', value)
}

export function checkBoolean(name: string, value: unknown): asserts value is boolean {
  if (typeof value !== 'boolean') throw invalidArgumentType(name, 'of type boolean', value)
}

// eslint-disable-next-line @typescript-eslint/no-unsafe-function-type -- any
export function checkFunction(name: string, value: unknown): asserts value is Function {
  if (typeof value !== 'function') throw invalidArgumentType(name, 'of type function', value)
}

export function checkString(name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string') throw invalidArgumentType(name, 'of type string', value)
}

/** @param min 1 for times in ms, 0 for descriptors. */
export function checkInt32(name: string, value: unknown, min: number): asserts value is number {
  checkNumber(name, value)
  if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value)
  if (value < min || value > 2 ** 31 - 1) throw outOfRange(name, `>= ${min} && <= ${2 ** 31 - 1}`, value)
}

/** @returns undefined for none, which any falsy value is. */
export function checkBlockList(value: unknown): BlockList | undefined {
  if (!value) return undefined
  if (value instanceof BlockList) return value
  throw invalidArgumentType('options.blockList', 'an instance of net.BlockList', value)
}

const typeOfServiceMax = 255

export function checkTypeOfService(name: string, value: unknown): asserts value is number {
  if (typeof value !== 'number' || Number.isNaN(value)) throw invalidArgumentType(name, 'of type number', value)
  if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value)
  if (value < 0 || value > typeOfServiceMax) throw outOfRange(name, `>= 0 && <= ${typeOfServiceMax}`, value)
}

/** @returns the delay in ms, not below 0. */
export function checkKeepAliveDelay(delayMs: unknown): number {
  if (delayMs === undefined) return 0
  checkNumber('options.keepAliveInitialDelay', delayMs)
  return Math.max(0, delayMs)
}

/** The longest that a timer of Node's can be set to. */
const timeoutMsMax = 2 ** 31 - 1

/** @returns the time that can be had, in ms. */
export function checkTimeout(timeoutMs: unknown): number {
  checkNumber('msecs', timeoutMs)
  if (!Number.isFinite(timeoutMs) || timeoutMs < 0) throw outOfRange('msecs', 'a non-negative finite number', timeoutMs)
  if (timeoutMs <= timeoutMsMax) return timeoutMs
  const problem = `${timeoutMs} does not fit into a 32-bit signed integer.`
  process.emitWarning(`${problem}\nTimer duration was truncated to ${timeoutMsMax}.`, 'TimeoutOverflowWarning')
  return timeoutMsMax
}
