import { chmodSync, statSync } from 'node:fs'
import { libuvIsAtLeast, openSocket, type SystemError } from '@sheaf/ring'
import type { AddressFamily } from '@sheaf/ring/net'
import { RingUnixConnection } from './connection'
import { listenOnRing } from './listening'
import { unixStreamSocket } from './socket'
import { encodeUnixAddress, nonBlockingType } from './unix-address'

/** Since 1.51 what a server asks for is all that the mode of its file has. */
const libuvAddsToModes = !libuvIsAtLeast(1, 51)
const enoent = -2
const eacces = -13

/** Unix stream sockets, for `net.Socket` and `net.Server`. */
export const pathFamily: AddressFamily = {
  kind: 'pipe',

  open: (ring) => {
    const { domain, type } = unixStreamSocket
    return resultOf(() => openSocket(ring, domain, type | nonBlockingType, 0))
  },

  bind: (ring, fd, { address }) => ring.sockets.bind(fd, encodeUnixAddress(address, 'bind')),

  encode: (_ring, { address }) => encodeUnixAddress(address, 'connect'),

  connection: (ring, fd, handler, options) => new RingUnixConnection(ring, fd, handler, options),

  listen: (ring, { address: path, backlog, mode }, handler, accept) => {
    const listener = resultOf(() => listenOnRing(ring, unixStreamSocket, { path, backlog }, handler, accept))
    if (mode !== 0 && typeof listener !== 'number') {
      chmodSync(path, libuvAddsToModes ? statSync(path).mode | mode : mode)
    }
    // As Node has it: a directory that is not there does not let us.
    return listener === enoent ? eacces : listener
  },

  listener: (ring, fd, handler, accept) => listenOnRing(ring, unixStreamSocket, { fd }, handler, accept),

  // Node's have none either.
  name: () => ({}),
}

/** @returns the result of `call`, or the `-errno` of the system call that it failed in. */
function resultOf<T>(call: () => T): T | number {
  try {
    return call()
  } catch (error) {
    const { errno } = error as Partial<SystemError>
    if (errno === undefined) throw error
    return errno
  }
}
