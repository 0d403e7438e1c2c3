import { CompletionFlag } from '../abi'
import { invariant } from '../errors'
import { limits } from '../limits'
import type { Metrics } from '../metrics'

/** What a request was for. With the slot it makes the low half of a request's user data, so it has four bits. */
export const enum Operation {
  Receive,
  Send,
  Accept,
  Connect,
  Cancel,
  CancelAll,
  Close,
  HangUp,
  Writable,
  /** The cancellation of sends that are to be made in another way. */
  Recall,
}
const operationBits = 4

/**
 * Top bit of the user data: the result is a descriptor, or descriptors may come with what is received; they must not
 * get lost (see `NativeRing.descriptors`).
 */
const descriptorBit = 0x80000000
const generationMask = 0x7fffffff

/** The low half of the user data of a slot's requests of one kind. */
export function userDataLow(slot: number, operation: Operation): number {
  return ((slot << operationBits) | operation) >>> 0
}

/** @param low the low half of a request's user data. */
export function slotOf(low: number): number {
  return low >>> operationBits
}

function operationOf(low: number): Operation {
  // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- `userDataLow` put one there
  return low & ((1 << operationBits) - 1)
}

/** @param low the low half of a request's user data. */
export function isOfSend(low: number): boolean {
  return operationOf(low) === Operation.Send
}

/** Whoever has requests in the kernel. */
export interface OperationOwner {
  /**
   * `complete` calls nothing of the application's, so it may be called ahead of others'. A send's never does; what
   * receives into a pool is quiet as all its users are.
   */
  readonly quiet?: boolean
  /** Its receives may bring descriptors. Never changes. */
  readonly receivesDescriptors?: boolean
  /** `flags` without `More` is the last completion of its request. */
  complete(operation: Operation, result: number, flags: number): void
}

/**
 * Whose request a completion belongs to. A slot belongs to one owner from `allocate` until `release`, and it can't be
 * released while the kernel holds a request of it. The high half of the user data is the slot's generation, so that a
 * completion that comes later than it may is recognised and never reaches the slot's next owner.
 */
export class OperationTable {
  readonly #metrics: Metrics
  readonly #owners: (OperationOwner | undefined)[] = []
  readonly #free: number[] = []
  #generations = new Uint32Array(64)
  /** Requests of each slot that have a completion still to come. */
  #outstanding = new Int32Array(64)

  constructor(metrics: Metrics) {
    this.#metrics = metrics
  }

  /** Slots in use. */
  get size(): number {
    return this.#owners.length - this.#free.length
  }

  allocate(owner: OperationOwner): number {
    let slot = this.#free.pop()
    if (slot === undefined) {
      slot = this.#owners.length
      invariant(slot < limits.operationSlotsMax, 'operation slots exhausted')
      if (slot === this.#generations.length) this.#grow()
    }
    this.#owners[slot] = owner
    return slot
  }

  release(slot: number): void {
    invariant(this.#outstanding[slot] === 0, 'a slot is released while a request of it is in the kernel')
    this.#owners[slot] = undefined
    this.#generations[slot] = (this.#generations[slot] + 1) & generationMask
    this.#free.push(slot)
  }

  /** The ring is closed: no request of the slot will complete. */
  abandon(slot: number): void {
    this.#outstanding[slot] = 0
  }

  outstanding(slot: number): number {
    return this.#outstanding[slot]
  }

  /** The high half of the user data of a slot's requests of one kind. */
  userDataHigh(slot: number, operation: Operation): number {
    const generation = this.#generations[slot]
    const bringsDescriptors = operation === Operation.Accept
      || (operation === Operation.Receive && this.#owners[slot]?.receivesDescriptors === true)
    return bringsDescriptors ? (generation | descriptorBit) >>> 0 : generation
  }

  /** Low half of the user data of a request, which counts as outstanding from now on. */
  begin(slot: number, operation: Operation): number {
    this.#outstanding[slot]++
    return userDataLow(slot, operation)
  }

  /** Whether a completion makes its owner call nothing of the application's. */
  isQuiet(low: number): boolean {
    return isOfSend(low) || this.#owners[slotOf(low)]?.quiet === true
  }

  /** Hands a completion to its owner. */
  complete(userDataLow: number, userDataHigh: number, result: number, flags: number): void {
    const slot = slotOf(userDataLow)
    const owner = this.#owners[slot]
    if (owner === undefined || this.#generations[slot] !== (userDataHigh & generationMask)) {
      this.#metrics.staleCompletions++
      return
    }
    if ((flags & CompletionFlag.More) === 0) {
      const outstanding = this.#outstanding[slot] - 1
      invariant(outstanding >= 0, 'a request completed twice')
      this.#outstanding[slot] = outstanding
    }
    owner.complete(operationOf(userDataLow), result, flags)
  }

  #grow(): void {
    const generations = new Uint32Array(this.#generations.length * 2)
    generations.set(this.#generations)
    this.#generations = generations
    const outstanding = new Int32Array(this.#outstanding.length * 2)
    outstanding.set(this.#outstanding)
    this.#outstanding = outstanding
  }
}
