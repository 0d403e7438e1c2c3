import { channel } from 'node:diagnostics_channel'
import { nodeMajor } from '@sheaf/ring'

const clientSocket = channel('net.client.socket')

/** Whether Node tells of each socket that connects, or, as before Node 22, of those that `net.connect` makes. */
export const announcesConnecting = nodeMajor >= 22

let silent = false

/** Does something of which the first socket to connect is not told: another stands for it. */
export function connectSilently<T>(connect: () => T): T {
  silent = true
  try {
    return connect()
  } finally {
    silent = false
  }
}

/** Tells those who look for clients of `node:net` of one. */
export function announceClient(socket: object): void {
  if (silent) {
    silent = false
    return
  }
  if (clientSocket.hasSubscribers) clientSocket.publish({ socket })
}
