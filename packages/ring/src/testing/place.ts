import assert from 'node:assert/strict'
import { type BackendOptions, createRing, type Metrics, nodeSockets, type Ring, type RingOptions } from '@sheaf/ring'
import { until, untilIdle } from './fixtures'

/** Where a test's sockets are: on a ring of its own, or on Node's own sockets. */
export interface Place {
  /** What puts a socket there. */
  readonly options: BackendOptions
  readonly metrics: Metrics
  /** Waits until nothing is left there. @throws Error if something stays. */
  assertIdle(): Promise<void>
  close(): void
}

/** What a kernel offers, which decides what sockets run on. */
export interface Tier {
  readonly name: string
  /** Undefined where there is no io_uring. */
  readonly ring: RingOptions | undefined
  /** What is set in the environment while the ring is made. */
  readonly environment?: Readonly<Record<string, string>>
}

export const fullTier: Tier = { name: 'bundles', ring: {} }
export const nodeTier: Tier = { name: 'Node\'s own sockets', ring: undefined }

/** Each must keep the whole contract. */
export const tiers: readonly Tier[] = [
  fullTier,
  { name: 'vectored sends and single receives', ring: { sendMethod: 'sendmsg', receiveMethod: 'single' } },
  { name: 'multishot recvmsg', ring: { receiveMethod: 'recvmsg' } },
  { name: 'a ring without deferred task run', ring: {}, environment: { SHEAF_DEFER_TASKRUN: 'off' } },
  nodeTier,
]

/** @param options of this test's own; the tier's take precedence. */
export function placeOn(tier: Tier, options?: RingOptions): Place {
  if (tier.ring === undefined) return new NodePlace()
  const before = { ...process.env }
  Object.assign(process.env, tier.environment)
  try {
    return new RingPlace(createRing({ ...options, ...tier.ring }))
  } finally {
    for (const name of Object.keys(tier.environment ?? {})) {
      if (before[name] === undefined) Reflect.deleteProperty(process.env, name)
      else process.env[name] = before[name]
    }
  }
}

class RingPlace implements Place {
  readonly options: { readonly ring: Ring }
  readonly metrics: Metrics

  constructor(ring: Ring) {
    this.options = { ring }
    this.metrics = ring.metrics
  }

  async assertIdle(): Promise<void> {
    await untilIdle(this.options.ring)
    assert.equal(this.metrics.staleCompletions, 0)
  }

  close(): void {
    this.options.ring.close()
  }
}

class NodePlace implements Place {
  readonly options = { backend: 'node' } as const
  readonly metrics = nodeSockets.metrics
  readonly #before = new Set(nodeSockets.members)

  assertIdle(): Promise<void> {
    const mine = (): number => [...nodeSockets.members].filter((member) => !this.#before.has(member)).length
    return until(() => mine() === 0, 'Node\'s sockets to be closed')
  }

  close(): void {
    // There is nothing but the sockets, which their owners close.
  }
}
