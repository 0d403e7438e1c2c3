import { limits } from '../limits'
import type { MessageRequest } from './request'

/**
 * What one socket has to send to one destination, in order. Datagrams of different lanes may overtake each other, those
 * of one lane never do: its requests form one chain in the kernel, and no other is submitted before that has ended.
 */
export class Lane {
  /** The `sockaddr`; empty for the peer of a connected socket. */
  readonly name: Uint8Array
  /** For error messages. */
  address: string | undefined
  readonly port: number | undefined
  /** The first {@link inFlight} of them are in the kernel. */
  requests: MessageRequest[] = []
  inFlight = 0
  /** On the socket's list of lanes that have something to submit. */
  active = false
  /** Whether the kernel is to say `EAGAIN` rather than wait where the destination is full. */
  readonly refusable: boolean
  /** What it has said (`-errno`): the lane waits for room. 0 if it does not. */
  refusal = 0
  /** Requests that are submitted as one chain; fewer after a refusal, which ends a chain for nothing. */
  chainMax: number = limits.messageChainMax
  /** Larger datagrams are not bundled: the path takes them only in fragments, which bundles can't be. */
  segmentBytesMax = Infinity

  constructor(name: Uint8Array, address?: string, port?: number, refusable = false) {
    this.name = name
    this.address = address
    this.port = port
    this.refusable = refusable
  }

  get idle(): boolean {
    return this.requests.length === 0
  }

  /** What is not in the kernel yet goes to `name`. */
  redirect(name: Uint8Array): void {
    for (let index = this.inFlight; index < this.requests.length; index++) this.requests[index].address(name)
  }

  /** The request that further datagrams may join. */
  get open(): MessageRequest | undefined {
    const count = this.requests.length
    return count === this.inFlight ? undefined : this.requests[count - 1]
  }
}
