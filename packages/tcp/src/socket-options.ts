import { type SocketCalls, systemError } from '@sheaf/ring'

/** Level and name of each socket option used, on Linux. */
export const socketOption = {
  reuseAddress: [1, 2],
  sendBufferSize: [1, 7],
  receiveBufferSize: [1, 8],
  keepAlive: [1, 9],
  linger: [1, 13],
  reusePort: [1, 15],
  mark: [1, 36],
  type: [1, 3],
  acceptsConnections: [1, 30],
  protocol: [1, 38],
  typeOfService: [0, 1],
  trafficClass: [41, 67],
  ipv6Only: [41, 26],
  noDelay: [6, 1],
  keepAliveIdle: [6, 4],
  keepAliveInterval: [6, 5],
  keepAliveProbes: [6, 6],
  info: [6, 11],
  quickAck: [6, 12],
  congestionControl: [6, 13],
  userTimeout: [6, 18],
  notSentLowWater: [6, 25],
} as const satisfies Record<string, readonly [level: number, name: number]>

export type SocketOptionName = keyof typeof socketOption

/** Sets an option whose value is an `int`, or several. @throws SystemError of `setsockopt`. */
export function setOption(sockets: SocketCalls, fd: number, name: SocketOptionName, ...values: number[]): void {
  const [level, option] = socketOption[name]
  const result = sockets.setsockopt(fd, level, option, new Uint8Array(Int32Array.from(values).buffer))
  if (result < 0) throw systemError(result, 'setsockopt')
}

/** Reads an option whose value is an `int`. @throws SystemError of `getsockopt`. */
export function getOption(sockets: SocketCalls, fd: number, name: SocketOptionName): number {
  const value = new Int32Array(1)
  getOptionBytes(sockets, fd, name, new Uint8Array(value.buffer))
  return value[0]
}

/**
 * Reads an option of any kind into `into`. @returns the bytes that the kernel wrote. @throws SystemError of
 * `getsockopt`.
 */
export function getOptionBytes(sockets: SocketCalls, fd: number, name: SocketOptionName, into: Uint8Array): number {
  const [level, option] = socketOption[name]
  const result = sockets.getsockopt(fd, level, option, into)
  if (result < 0) throw systemError(result, 'getsockopt')
  return result
}
