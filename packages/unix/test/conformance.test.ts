import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PathAddress } from '@sheaf/ring'
import { testStreams } from '@sheaf/ring/testing'
import { afterAll, describe, it } from 'vitest'
import { connect, listen, type UnixConnection } from '../src/index'

const directory = mkdtempSync(join(tmpdir(), 'sheaf-'))
afterAll(() => rmSync(directory, { recursive: true }))
let sockets = 0

testStreams<UnixConnection>('Unix streams', {
  // Half of them abstract, where they can be: Node 20 has other names for them.
  listen: (handler, options) => {
    const name = join(directory, String(++sockets))
    const path = sockets % 2 === 0 && options.backend !== 'node' ? `\0${name}` : name
    return listen({ path, ...options }, handler)
  },
  connect: (listener, handler, options) =>
    connect({ path: (listener.address as PathAddress).path, ...options }, handler),
}, { describe, it })
