import type { MessageRequest } from './request'

/**
 * What one socket has to send to one destination, in order. Datagrams of different lanes may overtake each other, those
 * of one lane never do: its requests form one chain in the kernel, and no other is submitted before that has ended; or
 * they are sent by calls, where they may be refused.
 */
export class Lane {
  /** The `sockaddr`; empty for the peer of a connected socket. */
  readonly name: Uint8Array
  /** For error messages. */
  address: string | undefined
  readonly port: number | undefined
  /** Its requests, each of which knows the next. */
  first: MessageRequest | undefined
  #last: MessageRequest | undefined
  count = 0
  /** So many of the first are in the kernel. */
  inFlight = 0
  /** The next lane on the list that {@link active} tells of. */
  nextActive: Lane | undefined
  /** On the socket's list of lanes that have something to submit. */
  active = false
  /**
   * Whether the kernel is to say `EAGAIN` rather than wait where the destination is full
   * (`docs/decisions/0010-unix-messages.md`). What is sent then is sent by calls of its own
   * (`docs/decisions/0018-chains-of-messages.md`).
   */
  readonly refusable: boolean
  /** What it has said (`-errno`): the lane waits for room. 0 if it does not. */
  refusal = 0
  /** A probe has told of room since something was sent. */
  probed = false
  /** Larger datagrams are not bundled: the path takes them only in fragments, which bundles can't be. */
  segmentBytesMax = Infinity

  constructor(name: Uint8Array, address?: string, port?: number, refusable = false) {
    this.name = name
    this.address = address
    this.port = port
    this.refusable = refusable
  }

  get idle(): boolean {
    return this.count === 0
  }

  push(request: MessageRequest): void {
    if (this.#last === undefined) this.first = request
    else this.#last.next = request
    this.#last = request
    this.count++
  }

  /** Takes the first request off. @returns undefined if there is none. */
  shift(): MessageRequest | undefined {
    const { first } = this
    if (first === undefined) return undefined
    this.first = first.next
    if (this.first === undefined) this.#last = undefined
    first.next = undefined
    this.count--
    return first
  }

  /** What it has goes to `name`. None of it may be in the kernel. */
  redirect(name: Uint8Array): void {
    for (let request = this.first; request !== undefined; request = request.next) request.address(name)
  }

  /** The request that further datagrams may join. */
  get open(): MessageRequest | undefined {
    return this.count === this.inFlight ? undefined : this.#last
  }
}
