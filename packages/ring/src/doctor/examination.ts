import { readFileSync } from 'node:fs'
import { release } from 'node:os'
import { resolve } from 'node:path'
import { type Capabilities, capabilities, createRing, type Tier, tierOf } from '@sheaf/ring'

/** What `sheaf doctor --json` prints. */
export interface Examination {
  /** Version of `@sheaf/ring`. */
  readonly sheaf: string
  readonly node: string
  readonly platform: string
  readonly architecture: string
  /** As `uname -r` says. */
  readonly kernel: string
  readonly tier: Tier
  readonly capabilities: Capabilities
  readonly limits: Limits
  /** The variables that Sheaf heeds, as far as they are set. */
  readonly environment: Record<string, string>
}

/** Undefined is what this system does not tell. */
interface Limits {
  readonly openFiles: { readonly soft: string, readonly hard: string } | undefined
  readonly lockedMemory: { readonly soft: string, readonly hard: string } | undefined
  /** `kernel.io_uring_disabled`: 0 allows io_uring, 1 to one group, 2 to nobody. */
  readonly ioUringDisabled: number | undefined
  readonly seccompFilter: boolean | undefined
  /** Bounds of a listener's backlog, and of a socket's buffers in bytes. */
  readonly backlog: number | undefined
  readonly receiveBufferBytes: number | undefined
  readonly sendBufferBytes: number | undefined
}

/** Looks at this process and its machine. Never throws because of what it finds. */
export function examine(): Examination {
  const found = ringCapabilities()
  return {
    sheaf: ownVersion(),
    node: process.versions.node,
    platform: process.platform,
    architecture: process.arch,
    kernel: release(),
    tier: tierOf(found),
    capabilities: found,
    limits: {
      openFiles: limit('Max open files'),
      lockedMemory: limit('Max locked memory'),
      ioUringDisabled: setting('kernel/io_uring_disabled'),
      seccompFilter: seccompFilter(),
      backlog: setting('net/core/somaxconn'),
      receiveBufferBytes: setting('net/core/rmem_max'),
      sendBufferBytes: setting('net/core/wmem_max'),
    },
    environment: Object.fromEntries(
      Object.entries(process.env).filter(([name]) => name.startsWith('SHEAF_')),
    ) as Record<string, string>,
  }
}

/** Those of a ring that was really made: some things only show then. */
function ringCapabilities(): Capabilities {
  const expected = capabilities()
  if (!expected.ring.enabled) return expected
  try {
    const ring = createRing()
    ring.close()
    return ring.capabilities
  } catch (error) {
    const reason = `making a ring failed: ${(error as Error).message}`
    return { ...expected, ring: { supported: true, enabled: false, reason } }
  }
}

/** This file is built into the package's `dist`. */
function ownVersion(): string {
  const text = read(resolve(import.meta.filename, '../../package.json'))
  return text === undefined ? 'unknown' : (JSON.parse(text) as { version: string }).version
}

function limit(name: string): { soft: string, hard: string } | undefined {
  const found = new RegExp(`^${name} +(\\S+) +(\\S+)`, 'm').exec(read('/proc/self/limits') ?? '')
  return found === null ? undefined : { soft: found[1], hard: found[2] }
}

function setting(path: string): number | undefined {
  const text = read(`/proc/sys/${path}`)
  return text === undefined ? undefined : Number(text)
}

function seccompFilter(): boolean | undefined {
  const found = /^Seccomp:\s*(\d)/m.exec(read('/proc/self/status') ?? '')
  return found === null ? undefined : found[1] !== '0'
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
