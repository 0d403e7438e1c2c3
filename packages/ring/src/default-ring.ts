import { type Capabilities, expectedCapabilities, ringCapability } from './capabilities'
import { createRing, type Ring } from './ring'

let shared: Ring | undefined

/** The ring of this thread if it was made, for whoever wants to look at it and not to use it. */
export function openDefaultRing(): Ring | undefined {
  return shared?.closed === false ? shared : undefined
}

/** The ring of this thread, made when first asked for. Throws as {@link createRing} does. */
export function defaultRing(): Ring {
  if (shared === undefined || shared.closed) shared = createRing()
  return shared
}

/** What this thread's default ring has, or would have if it was made. It may have lost some of it since. */
export function capabilities(): Capabilities {
  return openDefaultRing()?.capabilities ?? expectedCapabilities()
}

/** Why this thread can have no ring, as text for people; empty if it has one, which it does from then on. */
export function whyNoRing(): string {
  const { reason } = ringCapability()
  if (reason !== '') return reason
  try {
    defaultRing()
    return ''
  } catch (error) {
    return (error as Error).message
  }
}
