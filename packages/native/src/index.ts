/**
 * Linux io_uring for the other Sheaf packages, if this process can have it. Importing this never fails: where there is
 * no io_uring, {@link binding} is undefined and {@link unavailable} says why.
 */
import { release } from 'node:os'
import type { Addon, Binding, KernelProbe } from './binding.js'
import { loadAddon } from './load.js'

export type {
  Binding, KernelProbe, NativeCounters, NativeRing, NativeRingOptions, Region, RingOffsets, RingRestrictions,
  SocketCalls,
} from './binding.js'

const loaded = loadAddon()
const kernel: KernelProbe = loaded.addon?.probe() ?? {
  available: false, reason: loaded.reason, errno: 0, release: release(), features: 0, opcodes: new Uint8Array(),
}

/** What the kernel has, or why there is nothing: asked once, when this module is loaded. */
export function probe(): KernelProbe {
  return kernel
}

/** The native half; undefined where io_uring can't be had. */
export const binding: Binding | undefined = kernel.available ? loaded.addon : undefined

/** See `Addon.detach`; undefined where {@link binding} is. */
export const detach: Addon['detach'] | undefined = kernel.available ? loaded.addon?.detach : undefined

/** See `Addon.raise`; undefined where {@link binding} is. */
export const raise: Addon['raise'] | undefined = kernel.available ? loaded.addon?.raise : undefined

/** One sentence that says why {@link binding} is undefined; empty when it is there. */
export const unavailable: string = kernel.reason
