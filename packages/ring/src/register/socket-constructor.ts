import type net from 'node:net'
import { stockNet } from '@sheaf/ring'

type Constructor = new (options?: object) => object

const standardDescriptors = 2
const hasInstance = Function.prototype[Symbol.hasInstance]
// eslint-disable-next-line @typescript-eslint/unbound-method -- called with what it is asked of
const { isPrototypeOf } = Object.prototype

/**
 * What is to be in `net.Socket`. Node's own code shares the object that it is exported by, and makes with it what must
 * be made of Node's handles: TLS sockets (on a C++ stream), terminals, and the pipes of standard input and output and
 * of child processes. Those stay Node's; all else is Sheaf's. `instanceof` holds for both.
 * @param nodesOwn the prototype of a class of Node's that inherits from Sheaf's: {@link shareMethods}.
 */
export function socketConstructor(dropIn: typeof net.Socket, nodesOwn: object): typeof net.Socket {
  const node = stockNet.Socket as unknown as Constructor
  const sheaf = dropIn as unknown as Constructor
  const inherits = (value: object, prototype: unknown): boolean => isPrototypeOf.call(prototype as object, value)
  const inheritsSheafs = (value: object): boolean => inherits(value, sheaf.prototype) && !inherits(value, nodesOwn)

  function Socket(this: unknown, options?: object): object | undefined {
    const target = new.target as unknown as Constructor | undefined
    if (target !== undefined && target !== self) return Reflect.construct(sheaf, [options], target)
    if (target === undefined && typeof this === 'object' && this !== null) {
      // The constructor of a class that inherits in the way of `util.inherits`: one of Node's, or anybody's.
      const base = inheritsSheafs(this) ? sheaf : this instanceof node ? node : undefined
      if (base !== undefined) {
        Reflect.apply(base, this, [options])
        return undefined
      }
    }
    // Without `new`, `child_process` makes the pipes to its children.
    return isNodes(options) || (target === undefined && hasHandle(options)) ? new node(options) : new sheaf(options)
  }
  const self = Socket as unknown as Constructor
  Object.setPrototypeOf(Socket, sheaf)
  Object.defineProperties(Socket, {
    prototype: { value: sheaf.prototype as unknown },
    length: { value: 1 },
    [Symbol.hasInstance]: {
      value(this: unknown, value: unknown): boolean {
        // Subclasses inherit this.
        if (this !== Socket) return hasInstance.call(this, value)
        return value instanceof sheaf || value instanceof node
      },
    },
  })
  return Socket as unknown as typeof net.Socket
}

function hasHandle(options: object | undefined): boolean {
  return (options as { handle?: unknown } | undefined)?.handle !== undefined
}

/** Of the standard descriptors, and of a handle that is no TCP socket's, Node makes what it needs. */
function isNodes(options: object | null | undefined): boolean {
  const { fd, handle } = (options ?? {}) as { fd?: unknown, handle?: object }
  if (typeof fd === 'number' && fd >= 0 && fd <= standardDescriptors) return true
  return handle?.constructor.name === 'Pipe'
}
