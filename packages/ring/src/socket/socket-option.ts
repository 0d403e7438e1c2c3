import type { SocketCalls } from '@sheaf/native'
import { systemError } from '../errors'

/** Level and name of a socket option, on Linux. */
export type SocketOption = readonly [level: number, name: number]

/** Options that sockets of every family have. */
export const commonSocketOption = {
  type: [1, 3],
  sendBufferSize: [1, 7],
  receiveBufferSize: [1, 8],
  acceptsConnections: [1, 30],
  linger: [1, 13],
  protocol: [1, 38],
  domain: [1, 39],
} as const satisfies Record<string, SocketOption>

/** Sets an option whose value is an `int`, or several. @throws SystemError of `setsockopt`. */
export function setSocketOption(sockets: SocketCalls, fd: number, option: SocketOption, ...values: number[]): void {
  const result = sockets.setsockopt(fd, option[0], option[1], new Uint8Array(Int32Array.from(values).buffer))
  if (result < 0) throw systemError(result, 'setsockopt')
}

/** Reads an option whose value is an `int`. @throws SystemError of `getsockopt`. */
export function getSocketOption(sockets: SocketCalls, fd: number, option: SocketOption): number {
  const value = new Int32Array(1)
  getSocketOptionBytes(sockets, fd, option, new Uint8Array(value.buffer))
  return value[0]
}

/**
 * Reads an option of any kind into `into`. @returns the bytes that the kernel wrote. @throws SystemError of
 * `getsockopt`.
 */
export function getSocketOptionBytes(
  sockets: SocketCalls,
  fd: number,
  option: SocketOption,
  into: Uint8Array,
): number {
  const result = sockets.getsockopt(fd, option[0], option[1], into)
  if (result < 0) throw systemError(result, 'getsockopt')
  return result
}
