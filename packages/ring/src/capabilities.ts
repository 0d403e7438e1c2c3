import { type Binding, binding as nativeBinding, unavailable } from '@sheaf/native'
import { Feature } from './abi'
import { type ResolvedRingOptions, resolveRingOptions } from './options'
import { bundlesWork, multishotReceiveWorks } from './self-test'

/** One thing that Sheaf can do where the kernel can. */
export interface Capability {
  /** The kernel can. */
  readonly supported: boolean
  /** It is used. */
  readonly enabled: boolean
  /** Why not, as a sentence; empty when it is used. */
  readonly reason: string
}

export interface Capabilities {
  /** io_uring itself, with what Sheaf needs of it. */
  readonly ring: Capability
  /** The kernel does its deferred work when it is entered, not by interrupting JavaScript. Lost if refused. */
  deferredTaskRun: Capability
  /** The kernel refuses a ring everything but the socket operations that Sheaf uses. */
  restrictions: Capability
  readonly bundledSend: Capability
  readonly bundledReceive: Capability
  /** Datagrams of one size to one destination leave in one request (`UDP_SEGMENT`). Lost for good when refused. */
  segmentedSend: Capability
  /** Datagrams that the kernel has coalesced are received together (`UDP_GRO`). */
  coalescedReceive: Capability
}

const yes: Capability = { supported: true, enabled: true, reason: '' }

function no(reason: string, supported = false): Capability {
  return { supported, enabled: false, reason }
}

/** Not for good: the next who asks may find that it is over. */
function shortage(error: unknown): Capability {
  return no(`what the kernel has could not be tested: ${(error as Error).message}`)
}

/** The first kernel with multishot receive. */
const ringFloor = [6, 0] as const
/** The first kernel whose bundles are trusted, before the self-test has its say. */
const bundleFloor = [6, 10] as const

function atLeast(release: string, floor: readonly [number, number]): boolean {
  const [major = 0, minor = 0] = release.split('.', 2).map((part) => Number.parseInt(part, 10))
  return major > floor[0] || (major === floor[0] && minor >= floor[1])
}

/** Node's permission model, which knows of networks since Node 25, keeps this process from them. */
function networkForbidden(): boolean {
  const { permission } = process as { permission?: typeof process.permission }
  return permission !== undefined && process.allowedNodeEnvironmentFlags.has('--allow-net') && !permission.has('net')
}

function ringSupport(): Capability {
  if (nativeBinding === undefined) return no(unavailable)
  if (networkForbidden()) return no('Node\'s permission model keeps this process from networks (--allow-net)')
  const { release } = nativeBinding.probe()
  if (!atLeast(release, ringFloor)) return no(`Linux ${release} has no multishot receive (it came with 6.0)`)
  return multishotReceiveWorks(nativeBinding) ? yes : no(`multishot receive failed its self-test on Linux ${release}`)
}

let ring: Capability | undefined

/** Whether this process can have a ring: asked of the kernel once. */
export function ringCapability(): Capability {
  try {
    ring ??= ringSupport()
    return ring
  } catch (error) {
    return shortage(error)
  }
}

function bundleSupport(binding: Binding): Capability {
  const { features, release } = binding.probe()
  if ((features & Feature.Bundle) === 0 || !atLeast(release, bundleFloor)) {
    return no(`Linux ${release} has no bundles (they came with 6.10)`)
  }
  return bundlesWork(binding) ? yes : no(`bundles failed their self-test on Linux ${release}`)
}

/** What was found out, once for each binding: there is one in a process, unless kernels are simulated. */
const bundleSupports = new WeakMap<Binding, Capability>()

/** Environment switch that turns bundles off: `SHEAF_BUNDLE=off|recv|send`. */
function switchedOff(direction: 'send' | 'recv'): boolean {
  const value = process.env.SHEAF_BUNDLE
  return value === 'off' || (value !== undefined && value !== 'both' && value !== direction)
}

function bundled(binding: Binding, direction: 'send' | 'recv', chosen: boolean): Capability {
  let bundles = bundleSupports.get(binding)
  try {
    if (bundles === undefined) bundleSupports.set(binding, bundles = bundleSupport(binding))
  } catch (error) {
    return shortage(error)
  }
  if (!bundles.supported) return bundles
  if (switchedOff(direction)) return no(`switched off by SHEAF_BUNDLE=${process.env.SHEAF_BUNDLE ?? ''}`, true)
  return chosen ? yes : no('not chosen in the ring options', true)
}

/** Environment switch that turns UDP offloads off: `SHEAF_UDP_OFFLOAD=off|recv|send`. */
function offload(direction: 'send' | 'recv'): Capability {
  const value = process.env.SHEAF_UDP_OFFLOAD
  if (value === undefined || value === 'both' || value === direction) return yes
  return no(`switched off by SHEAF_UDP_OFFLOAD=${value}`, true)
}

/** Environment switch that leaves rings unrestricted: `SHEAF_RESTRICTIONS=off`. */
function restricted(): Capability {
  return process.env.SHEAF_RESTRICTIONS === 'off' ? no('switched off by SHEAF_RESTRICTIONS=off', true) : yes
}

/** Environment switch that leaves deferred task run out, as kernels before 6.1 do: `SHEAF_DEFER_TASKRUN=off`. */
function deferredTaskRun(): Capability {
  return process.env.SHEAF_DEFER_TASKRUN === 'off' ? no('switched off by SHEAF_DEFER_TASKRUN=off', true) : yes
}

/** A capability that was refused when it was to be used, or lost while running. */
export function lostCapability(reason: string): Capability {
  return no(reason)
}

/** What a ring of this binding can have, given what was asked for. */
export function detectCapabilities(binding: Binding, options: ResolvedRingOptions): Capabilities {
  return {
    ring: yes,
    deferredTaskRun: deferredTaskRun(),
    restrictions: restricted(),
    bundledSend: bundled(binding, 'send', options.sendMethod === 'bundle'),
    bundledReceive: bundled(binding, 'recv', options.receiveMethod === 'bundle'),
    segmentedSend: offload('send'),
    coalescedReceive: offload('recv'),
  }
}

/** What a ring of this thread with the default options has when it is made. */
export function expectedCapabilities(): Capabilities {
  const ring = ringCapability()
  if (nativeBinding !== undefined && ring.enabled) return detectCapabilities(nativeBinding, resolveRingOptions())
  return {
    ring,
    deferredTaskRun: ring,
    restrictions: ring,
    bundledSend: ring,
    bundledReceive: ring,
    segmentedSend: ring,
    coalescedReceive: ring,
  }
}

/**
 * What sockets run on: io_uring with bundles, io_uring without, or Node's own. Smaller features, as UDP's offloads are,
 * make no tier.
 */
export type Tier = 'full' | 'ring' | 'node'

export function tierOf({ ring, bundledSend, bundledReceive }: Capabilities): Tier {
  if (!ring.enabled) return 'node'
  return bundledSend.enabled && bundledReceive.enabled ? 'full' : 'ring'
}
