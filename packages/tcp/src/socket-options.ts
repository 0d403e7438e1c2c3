import { getSocketOption, setSocketOption, type SocketCalls, type SocketOption } from '@sheaf/ring'

/** Level and name of each socket option used, on Linux. */
export const socketOption = {
  reuseAddress: [1, 2],
  keepAlive: [1, 9],
  linger: [1, 13],
  reusePort: [1, 15],
  mark: [1, 36],
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
} as const satisfies Record<string, SocketOption>

export type SocketOptionName = keyof typeof socketOption

/** Sets an option whose value is an `int`, or several. @throws SystemError of `setsockopt`. */
export function setOption(sockets: SocketCalls, fd: number, name: SocketOptionName, ...values: number[]): void {
  setSocketOption(sockets, fd, socketOption[name], ...values)
}

/** Reads an option whose value is an `int`. @throws SystemError of `getsockopt`. */
export function getOption(sockets: SocketCalls, fd: number, name: SocketOptionName): number {
  return getSocketOption(sockets, fd, socketOption[name])
}
