import { stockNet } from '@sheaf/ring'
import { construct } from './callable-class'

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
