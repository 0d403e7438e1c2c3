import { CompletionFlag, Errno } from '../abi'
import type { BufferGroup } from './buffer-group'
import type { OpenFile } from './descriptors'
import type { NamedMemory } from './named-memory'
import type { Waiter } from './socket'
import type { Submission } from './submission'
import type { SimulatedMemory } from './memory'
import type { Choices } from './choices'
import type { Temperament } from './temperament'

/**
 * Room for vectors that requests have left behind, the latest last: the kernel keeps it for the next request (its
 * `netmsg_cache`), which then peeks at as many buffers even if it does not know of any bytes.
 */
export class VectorCache {
  readonly #kept: number[] = []

  take(): number {
    return this.#kept.pop() ?? 1
  }

  give(vectors: number): void {
    this.#kept.push(vectors)
  }
}

/** What a request needs of the ring that it was submitted to. */
export interface RequestRing {
  readonly memory: SimulatedMemory
  readonly named: NamedMemory
  readonly choices: Choices
  readonly temperament: Temperament
  readonly vectorCache: VectorCache
  group(id: number): BufferGroup | undefined
  /** Has `request` tried again when the kernel is entered for events. */
  ready(request: Request): void
  /** Posts a completion that is not the last. @returns false if there is no room: then the request must end. */
  post(request: Request, result: number, flags: number): boolean
  /** Posts the last completion. */
  ended(request: Request, result: number, flags: number): void
  violated(what: string): void
}

const interruptions = [-Errno.EAGAIN, -Errno.EINTR, -Errno.ECANCELED] as const

/** A request in the kernel, from its submission to its last completion. */
export abstract class Request implements Waiter {
  readonly ring: RequestRing
  readonly submission: Submission
  readonly file: OpenFile | undefined
  /** What begins when this has succeeded (`IOSQE_IO_LINK`). */
  next: Request | undefined
  /** Among those that the kernel goes on with when it is entered for events. */
  queued = false
  over = false
  /** Over without having done all that it was to do: what is linked to it does not begin. */
  failed = false
  /** Nothing has a hold of it while it is about to be tried again. */
  protected readonly canBeMissed: boolean = true
  #begun = false
  #cancelled = false

  constructor(ring: RequestRing, submission: Submission, file: OpenFile | undefined) {
    this.ring = ring
    this.submission = submission
    this.file = file
    file?.refer()
  }

  /** Goes on as far as it can: ends, or waits to be woken. */
  protected abstract go(): void

  /** Whether a receive that has nothing yet ends here, though nothing has happened. */
  protected interrupted(): boolean {
    const { choices, temperament } = this.ring
    if (temperament.receiveInterrupted === 0 || !choices.chance(temperament.receiveInterrupted)) return false
    this.end(interruptions[choices.below(interruptions.length)])
    return true
  }

  /** Leaves what it waits for. */
  protected abstract leave(): void

  /** What a request that is cancelled says: whatever it has done counts. */
  protected cancelled(): void {
    this.end(-Errno.ECANCELED, 0, true)
  }

  #missed(): boolean {
    return this.ring.choices.chance(this.ring.temperament.cancelMisses)
  }

  run(): void {
    if (this.over) return
    this.#begun = true
    if (!this.#cancelled || this.ring.choices.chance(this.ring.temperament.cancelTooLate)) this.go()
    // It was too late for one step, but the request is not to stay.
    // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- `go` may have ended it
    if (this.#cancelled && !this.over) this.cancelled()
  }

  wake(): void {
    if (this.#begun && !this.over) this.ring.ready(this)
  }

  /**
   * @returns false if it can't be cancelled: any more, or yet, as one that is linked to another or is about to be tried
   *   again. @param surely the latter is, too.
   */
  cancel(surely: boolean): boolean {
    if (this.over || this.#cancelled || !(this.#begun || this.queued)) return false
    if (!surely && this.queued && this.canBeMissed && this.#missed()) return false
    this.#cancelled = true
    this.ring.ready(this)
    return true
  }

  /** Ends without having begun, as the request before it failed. */
  skip(): void {
    this.end(-Errno.ECANCELED, 0, true)
  }

  protected end(result: number, flags = 0, failed = result < 0): void {
    this.over = true
    this.failed = failed
    this.leave()
    this.ring.ended(this, result, flags)
    this.file?.leave()
  }

  protected post(result: number, flags: number): boolean {
    return this.ring.post(this, result, flags | CompletionFlag.More)
  }
}
