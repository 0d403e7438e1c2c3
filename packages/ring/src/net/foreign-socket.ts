import { stockNet } from '@sheaf/ring'
import type { NetOptions } from './arguments'
import { construct } from './callable-class'
import { familyOfKind } from './families'
import type { ForeignHandle } from './foreign-handle'
import type { Socket } from './socket'
import { setState, state } from './socket-state'
import { refuseWritesAfterEnd } from './untimely-writes'

/**
 * Makes Node's own socket of an instance of a class that inherits from Sheaf's: for the handles that such a class is
 * given by test tools, which are of JavaScript. The class's own methods and `instanceof` hold; Sheaf's methods, which
 * would find nothing of theirs, are hidden behind Node's.
 * @param methods Sheaf's, from which the class inherits.
 */
export function becomeNodes(socket: object, methods: object, options: object): void {
  const prototype = Object.getPrototypeOf(socket) as object
  const node = stockNet.Socket.prototype as object
  Object.setPrototypeOf(socket, node)
  try {
    construct(stockNet.Socket, socket, options)
  } finally {
    Object.setPrototypeOf(socket, prototype)
  }
  for (const name of Reflect.ownKeys(node)) {
    if (Object.hasOwn(socket, name) || isOverridden(name, prototype, methods)) continue
    Object.defineProperty(socket, name, {
      ...Object.getOwnPropertyDescriptor(node, name), enumerable: false, configurable: true,
    })
  }
}

function isOverridden(name: string | symbol, prototype: object, methods: object): boolean {
  let holder: object | null = prototype
  while (holder !== null && holder !== methods) {
    if (Object.hasOwn(holder, name)) return true
    holder = Object.getPrototypeOf(holder) as object | null
  }
  return false
}

/** What nobody here can connect: a path where `@sheaf/unix` is not installed. */
export function isLeftToNode(socket: Socket, { path }: NetOptions): boolean {
  const { handle, boundPath } = socket[state]
  return handle === null && boundPath === undefined && familyOfKind(path ? 'pipe' : 'tcp') === undefined
}

/** As {@link becomeNodes}, of a socket that has no connection yet. @param handle Node's own, of the connection. */
export function continueAsNodes(socket: Socket, methods: object, handle?: ForeignHandle): void {
  const { allowHalfOpen, timeout } = socket
  const { _readableState, _writableState } = socket as unknown as Record<string, unknown>
  socket.off('end', refuseWritesAfterEnd)
  socket[state].idle.set(0)
  setState(socket, undefined)
  becomeNodes(socket, methods, { allowHalfOpen, handle })
  // What has been asked of the stream by now: its encoding, whether it flows, and where to.
  Object.assign(socket, { _readableState, _writableState })
  if (timeout !== undefined) socket.setTimeout(timeout)
}
