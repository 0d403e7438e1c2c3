import type http from 'node:http'
import type tls from 'node:tls'
import { requireBuiltin } from '@sheaf/ring'

/** Those of Node's modules that `import` would load too much with. */
export const nodeHttp = requireBuiltin('node:http') as typeof http
export const nodeTls = requireBuiltin('node:tls') as typeof tls
