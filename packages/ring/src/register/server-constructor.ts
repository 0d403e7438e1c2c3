import type { EventEmitter } from 'node:events'
import type nodeNet from 'node:net'
import { nodeTls } from './node-modules'
import { giveStreamHandle } from './stream-handle'
import { guardSessionOf } from './thrown-in-session'

type Listener = (this: unknown, socket: unknown) => void
type Constructor = (new (...parameters: unknown[]) => object) & ((this: unknown, ...parameters: unknown[]) => void)
type Class = abstract new (...parameters: never) => unknown

const hasInstance = Function.prototype[Symbol.hasInstance]

/**
 * What is to be in `net.Server`: Sheaf's, whose connections C++ can use where Node's modules want that.
 * @param http2Server the class of `http2.createServer()`.
 */
export function serverConstructor(dropIn: typeof nodeNet.Server, http2Server: object): typeof nodeNet.Server {
  const sheaf = dropIn as unknown as Constructor
  const isHttp2 = (target: Class): boolean =>
    target === http2Server || target.prototype instanceof (http2Server as Class)

  function Server(this: unknown, options?: unknown, listener?: Listener): object | undefined {
    const target = new.target as unknown as Class | undefined
    if (target !== undefined) {
      const isNodes = listener?.name === 'connectionListener' && isHttp2(target)
      return Reflect.construct(sheaf, [options, isNodes ? afterGiving(listener, 'http2') : listener], target) as object
    }
    if (!(this instanceof sheaf)) return new sheaf(options, listener)
    const isNodes = listener?.name === 'tlsConnectionListener' && this instanceof nodeTls.Server
    sheaf.call(this, options, isNodes ? afterGiving(listener, 'tls') : listener)
    return undefined
  }
  Object.setPrototypeOf(Server, sheaf)
  Object.defineProperties(Server, {
    prototype: { value: sheaf.prototype as unknown },
    [Symbol.hasInstance]: {
      // Subclasses inherit this. Sheaf's class holds Node's own servers for instances, too.
      value(this: unknown, value: unknown): boolean {
        return this === Server ? value instanceof sheaf : hasInstance.call(this, value)
      },
    },
  })
  return Server as unknown as typeof nodeNet.Server
}

/** The listener of one of Node's own servers, which goes on in C++. */
function afterGiving(listener: Listener, user: 'http2' | 'tls'): Listener {
  return function connectionListener(socket) {
    giveStreamHandle(socket, user)
    if (user === 'http2') guardSessionOf(this as EventEmitter)
    listener.call(this, socket)
  }
}
