import { createRequire } from 'node:module'

/**
 * Loads a module of Node's and no more. An `import` reads everything that the module exports, and some of that is made
 * when it is read: of `tls` 150 root certificates, of `http` all of Node's `undici`, which then answers for `npm`'s.
 */
export const requireBuiltin = createRequire(process.execPath)
