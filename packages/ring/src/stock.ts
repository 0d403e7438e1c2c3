/**
 * Node's own modules as they were before a drop-in took their place (`@sheaf/tcp/register` and its siblings). Sheaf
 * itself uses Node's sockets through these: an import of `node:net` follows the replacement, and would lead back to
 * Sheaf.
 */
import dgram from 'node:dgram'
import net from 'node:net'

/** What the first copy of Sheaf in this thread has found, as whatever later ones find may be Sheaf's. */
const key = Symbol.for('@sheaf/ring: stock')

function stock<T extends object>(module: T): Readonly<T> {
  const found = (module as { [key]?: Readonly<T> })[key]
  if (found !== undefined) return found
  const copy = { ...module }
  Object.defineProperty(module, key, { value: copy })
  return copy
}

export const stockNet = stock(net)
export const stockDatagram = stock(dgram)
