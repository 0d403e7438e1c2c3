import { getSocketOption, type Ring } from '@sheaf/ring'
import type { AddressFamily, FamilyKind } from './address-family'

const places = { tcp: 'ports', pipe: 'paths' } as const

const provided = new Map<FamilyKind, AddressFamily>()
const loaders = new Map<FamilyKind, () => unknown>()

/** Makes sockets of a family possible: what `@sheaf/tcp/net` and `@sheaf/unix/net` do when they are loaded. */
export function provideFamily(family: AddressFamily): void {
  provided.set(family.kind, family)
}

/**
 * Says how to get a family that is not there when it is first needed: by loading a module, which calls
 * {@link provideFamily} if it is installed, and throws if not.
 */
export function loadFamilyBy(kind: FamilyKind, load: () => unknown): void {
  loaders.set(kind, load)
}

/** The family, or undefined where its package is not installed. */
export function familyOfKind(kind: FamilyKind): AddressFamily | undefined {
  const load = loaders.get(kind)
  if (!provided.has(kind) && load !== undefined) {
    loaders.delete(kind)
    const reason = reasonAgainst(kind, load)
    if (reason !== '' && process.env.SHEAF_LOG === '1') {
      console.error(`sheaf: Node's own sockets for ${places[kind]}: ${reason}`)
    }
  }
  return provided.get(kind)
}

/** Loads a family. @returns why that was in vain; nothing if it is not installed: that is what optional means. */
function reasonAgainst(kind: FamilyKind, load: () => unknown): string {
  try {
    load()
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return code === 'MODULE_NOT_FOUND' ? '' : message
  }
  return provided.has(kind) ? '' : 'what is installed belongs to another copy of Sheaf; a bundle is to import it itself'
}

const type = [1, 3] as const
const domain = [1, 39] as const
const streamType = 1
const kinds: Record<number, FamilyKind> = { 1: 'pipe', 2: 'tcp', 10: 'tcp' }

/** What kind of stream socket a descriptor is; undefined if it is none, or there is no such descriptor. */
export function kindOfDescriptor(ring: Ring, fd: number): FamilyKind | undefined {
  try {
    return getSocketOption(ring.sockets, fd, type) === streamType
      ? kinds[getSocketOption(ring.sockets, fd, domain)]
      : undefined
  } catch {
    return undefined
  }
}
