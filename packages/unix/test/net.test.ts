import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type SocketFamily, testSameAsNode, testSockets } from '@sheaf/ring/testing'
import { afterAll, describe, it } from 'vitest'
import net from '../src/net'

const directory = mkdtempSync(join(tmpdir(), 'sheaf-'))
afterAll(() => rmSync(directory, { recursive: true }))
let servers = 0

const family: SocketFamily = { net, place: () => ({ path: join(directory, String(++servers)) }) }

testSockets('Unix', family, { describe, it })
testSameAsNode('Unix', family, { describe, it })
