import type module from 'node:module'
import { createRequire } from 'node:module'

/**
 * Loads a module of Node's and no more. An `import` reads everything that the module exports, and some of that is made
 * when it is read: of `tls` 150 root certificates, of `http` all of Node's `undici`, which then answers for `npm`'s.
 */
// Node has the one from 20.16 and 22.3 on. The other is a bundler's to answer, which may have nothing to say.
export const requireBuiltin: (name: string) => unknown
  = 'getBuiltinModule' in process ? (name) => process.getBuiltinModule(name) : createRequire('file:///')

/** Loads another package, as `file` would. Bundlers, which could not follow it, don't see it. */
export function requireFrom(file: string, name: string): unknown {
  const nodeModule = requireBuiltin('node:module') as typeof module
  return nodeModule.createRequire(file)(name) as unknown
}
