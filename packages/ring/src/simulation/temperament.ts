/**
 * How a simulated kernel uses the freedom that Linux has: what it may do at any time, and how often it does. All
 * probabilities are 0 to 1.
 */
export interface Temperament {
  /** A request that could go on at once is put off to a later entry, so that independent ones are reordered. */
  readonly delay: number
  /** Sent bytes arrive at a step of the network, and not at a later one. */
  readonly delivery: number
  /**
   * A stream request that sends, or may send, everything comes back short without a cause; one that waits for room is
   * interrupted, as when the process is stopped and goes on.
   */
  readonly shortSend: number
  /** A receive ends without a cause when it is tried: interrupted, or tried too often. */
  readonly receiveInterrupted: number
  /** A request that is cancelled had won the race: it ends as it would have. */
  readonly cancelTooLate: number
  /** A cancellation does not find a request that is about to be tried again. */
  readonly cancelMisses: number
  /** Bytes that a stream's sending half holds until they have arrived. */
  readonly sendCapacityBytes: number
  /** Bytes that a stream's receiving half holds until they are read. */
  readonly receiveCapacityBytes: number
  /** Bytes that a datagram socket holds until they are read. What arrives beyond is lost, and counted. */
  readonly datagramCapacityBytes: number
  /** Messages that may wait at a Unix socket that is not connected back, and one more (`net.unix.max_dgram_qlen`). */
  readonly localQueueMax: number
  /** Sending a datagram has to wait for room. */
  readonly datagramWait: number
  /** A reset takes with it what had arrived and was not read. */
  readonly resetLosesUnread: number
  /** Datagrams are segmented; otherwise it is refused, as by a device that can't. */
  readonly segments: boolean
  /**
   * What the completion of a receive that has met the end says of a buffer: nothing, as since 6.10; the next one,
   * which stays with the kernel; or the next one, which is used up.
   */
  readonly endNames: 'nothing' | 'unused' | 'used'
  /** Bundles are supported. */
  readonly bundles: boolean
  /** A group to send from is not registered, for want of memory. */
  readonly groupRefused: number
}

/** Does everything at once, as an idle Linux of today does on a socket pair. */
export const calm: Temperament = {
  delay: 0,
  delivery: 1,
  shortSend: 0,
  cancelTooLate: 0,
  cancelMisses: 0,
  sendCapacityBytes: 256 * 1024,
  receiveCapacityBytes: 256 * 1024,
  datagramCapacityBytes: 256 * 1024,
  localQueueMax: 10,
  datagramWait: 0,
  segments: true,
  resetLosesUnread: 0,
  endNames: 'nothing',
  bundles: true,
  groupRefused: 0,
  receiveInterrupted: 0,
}
