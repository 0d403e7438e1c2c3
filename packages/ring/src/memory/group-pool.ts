import type { NativeRing } from '@sheaf/native'
import { limits } from '../limits'
import type { Metrics } from '../metrics'
import type { SendMethod } from '../options'
import { BufferRing } from './buffer-ring'
import { BundleGroup, SingleBufferGroup } from './bundle-group'
import { receiveGroup } from './receive-pool'
import type { SendGroup, SpanOwners } from './send-group'
import { VectorGroup, vectorGroupBytes } from './vector-group'

/**
 * The groups of a ring. A group costs pages and a registration, so a connection has one only while it has several
 * spans to send, and it is kept here for the next.
 */
export class GroupPool {
  readonly #native: NativeRing
  readonly #owners: SpanOwners
  readonly #metrics: Metrics
  readonly #method: SendMethod
  readonly #entries: number
  readonly #all: SendGroup[] = []
  readonly #free: SendGroup[] = []

  constructor(
    native: NativeRing,
    owners: SpanOwners,
    metrics: Metrics,
    method: SendMethod,
    entries: number,
  ) {
    this.#native = native
    this.#owners = owners
    this.#metrics = metrics
    this.#method = method
    this.#entries = entries
  }

  /** Groups that connections have. */
  get leased(): number {
    return this.#all.length - this.#free.length
  }

  /** @returns undefined at the bound, or if the kernel or the system refuses another. */
  lease(): SendGroup | undefined {
    const group = this.#free.pop() ?? this.#create()
    if (group === undefined) return undefined
    if (group.prepare() < 0) {
      this.#free.push(group)
      return undefined
    }
    this.#metrics.groupLeases++
    return group
  }

  /** Takes an empty group back. */
  give(group: SendGroup): void {
    this.#free.push(group)
  }

  unregister(): void {
    for (const group of this.#all) group.unregister()
  }

  #create(): SendGroup | undefined {
    if (this.#all.length === limits.groupsMax) return undefined
    const id = receiveGroup + 1 + this.#all.length
    const group = this.#method === 'sendmsg' ? this.#createVector() : this.#createRing(id)
    if (group !== undefined) this.#all.push(group)
    return group
  }

  #createVector(): SendGroup | undefined {
    const region = this.#native.createRegion(vectorGroupBytes)
    return typeof region === 'number' ? undefined : new VectorGroup(region, this.#entries, this.#owners)
  }

  #createRing(id: number): SendGroup | undefined {
    let ring: BufferRing
    try {
      ring = new BufferRing(this.#native, id, this.#entries)
    } catch {
      return undefined
    }
    const Group = this.#method === 'bundle' ? BundleGroup : SingleBufferGroup
    return new Group(ring, this.#owners, this.#metrics)
  }
}
