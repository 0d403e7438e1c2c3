import { Ring, type RingOptions } from '@sheaf/ring'
import type { Binding } from '@sheaf/native'

/** A ring on a binding of the caller's, such as a simulated kernel's. Throws as `createRing` does. */
export function createRingOn(binding: Binding, options?: RingOptions): Ring {
  return Ring.on(binding, options)
}
