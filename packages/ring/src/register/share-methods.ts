import { isSheafs } from '@sheaf/ring/net'
import type { Patches } from './patches'

type Method = (this: object, ...parameters: unknown[]) => unknown

/**
 * Has the sockets of a class of Node's find what an application puts on the prototype that is in `net.Socket`, as
 * tracing agents and tests do: Sheaf's, whose public methods do for Node's sockets what those of Node's do. All else
 * of the class stays Node's.
 * @param derived the prototype of the class. @param sheafs that of Sheaf's sockets. @param nodes that of Node's.
 */
export function shareMethods(patches: Patches, derived: object, sheafs: object, nodes: object): void {
  const between = Object.create(sheafs) as object
  for (const name of new Set([...Reflect.ownKeys(nodes), ...Reflect.ownKeys(sheafs)])) {
    const method = Object.getOwnPropertyDescriptor(nodes, name)
    if (isPublic(name) && typeof method?.value === 'function') {
      const target = sheafs as Record<string, Method>
      patches.replace(target, name, shared(name, target[name], method.value as Method))
    } else {
      Object.defineProperty(between, name, method ?? { value: undefined, writable: true, configurable: true })
    }
  }
  // Node's constructor asks whether what it is called with is one of its own.
  patches.reparent(sheafs, nodes)
  patches.reparent(derived, between)
}

function isPublic(name: string | symbol): name is string {
  return typeof name === 'string' && name !== 'constructor' && !name.startsWith('_')
}

/** A method that is Sheaf's for Sheaf's sockets, and Node's for Node's. */
function shared(name: string, sheafs: Method, nodes: Method): Method {
  const { [name]: method } = {
    [name](this: object, ...parameters: unknown[]): unknown {
      return (isSheafs(this) ? sheafs : nodes).apply(this, parameters)
    },
  }
  Object.defineProperty(method, 'length', { value: sheafs.length })
  return method
}
