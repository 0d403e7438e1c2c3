import { getSystemErrorMap, getSystemErrorName, inspect } from 'node:util'
import { systemError } from '@sheaf/ring'

type CodedError = Error & { code: string }

function coded(error: Error, code: string): CodedError {
  return Object.assign(error, { code })
}

export function alreadyBound(): CodedError {
  return coded(new Error('Socket is already bound'), 'ERR_SOCKET_ALREADY_BOUND')
}

export function alreadyConnected(): CodedError {
  return coded(new Error('Already connected'), 'ERR_SOCKET_DGRAM_IS_CONNECTED')
}

export function notConnected(): CodedError {
  return coded(new Error('Not connected'), 'ERR_SOCKET_DGRAM_NOT_CONNECTED')
}

export function notRunning(): CodedError {
  return coded(new Error('Not running'), 'ERR_SOCKET_DGRAM_NOT_RUNNING')
}

export function badType(): CodedError {
  const message = 'Bad socket type specified. Valid types are: udp4, udp6'
  return coded(new TypeError(message), 'ERR_SOCKET_BAD_TYPE')
}

export function badBufferSize(): CodedError {
  return coded(new TypeError('Buffer size must be a positive integer'), 'ERR_SOCKET_BAD_BUFFER_SIZE')
}

export function badDescriptorType(kind: string): CodedError {
  return coded(new TypeError(`Unsupported fd type: ${kind}`), 'ERR_INVALID_FD_TYPE')
}

export function outOfBounds(name: string): CodedError {
  return coded(new RangeError(`"${name}" is outside of buffer bounds`), 'ERR_BUFFER_OUT_OF_BOUNDS')
}

/** A name, where there is no time to resolve it. */
export function badAddress(name: string, value: string, caller: string): CodedError {
  const kind = name.includes('.') ? 'property' : 'argument'
  const reason = `must be a numeric IP address; ${caller} does not perform DNS resolution`
  const message = `The ${kind} '${name}' ${reason}. Received ${inspect(value)}`
  return coded(new TypeError(message), 'ERR_INVALID_ARG_VALUE')
}

export function missingArgument(name: string): CodedError {
  return coded(new TypeError(`The "${name}" argument must be specified`), 'ERR_MISSING_ARGS')
}

export function blocked(address: string): CodedError {
  return coded(new Error(`IP(${address}) is blocked by net.BlockList`), 'ERR_IP_BLOCKED')
}

/**
 * A failure that concerns an address, as `node:dgram` reports it: `address` is always there, the port only if it is
 * not 0.
 */
export function addressError(errno: number, syscall: string, address: string | undefined, port: number): Error {
  const error = systemError(errno, syscall, address, port === 0 ? undefined : port)
  return address === undefined ? Object.assign(error, { address }) : error
}

/** `ERR_SOCKET_BUFFER_SIZE`. @param syscall what libuv's function is called. */
export function bufferSizeError(errno: number, syscall: string): Error {
  const info = {
    errno,
    code: getSystemErrorName(errno),
    message: getSystemErrorMap().get(errno)?.[1] ?? 'unknown error',
    syscall,
  }
  const error = new Error(`Could not get or set buffer size: ${syscall} returned ${info.code} (${info.message})`)
  const code = 'ERR_SOCKET_BUFFER_SIZE'
  error.stack = (error.stack ?? '').replace(/^Error/, `SystemError [${code}]`)
  Object.defineProperty(error, 'name', { value: 'SystemError', configurable: true, writable: true })
  return Object.assign(error, { code, info, errno, syscall })
}
