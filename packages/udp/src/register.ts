/*
 * `node --import @sheaf/udp/register app.js`, or `-r`: whoever asks for `node:dgram` gets Sheaf's sockets.
 * `SHEAF_LOG=1` has it say so, or why not.
 */
import nodeDatagram from 'node:dgram'
import { Registration } from '@sheaf/ring/register'
import { createSocket, Socket } from '@sheaf/udp/dgram'

const registration = new Registration('@sheaf/udp', 'node:dgram', (patches) => {
  patches.replace(nodeDatagram, 'createSocket', createSocket)
  patches.replace(nodeDatagram, 'Socket', Socket)
})

/** Puts Sheaf's sockets in the place of Node's, as importing this module does. @returns whether it could. */
export function register(): boolean {
  return registration.register()
}

/** Puts Node's sockets back. Those of Sheaf that are open go on. */
export function unregister(): void {
  registration.unregister()
}

register()
