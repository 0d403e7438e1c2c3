/**
 * Node's own modules as they were before a drop-in took their place (`@sheaf/tcp/register` and its siblings). Sheaf
 * itself uses Node's sockets through these: an import of `node:net` follows the replacement, and would lead back to
 * Sheaf.
 */
import * as dgram from 'node:dgram'
import * as net from 'node:net'

export const stockNet: Readonly<typeof net> = { ...net }
export const stockDatagram: Readonly<typeof dgram> = { ...dgram }
