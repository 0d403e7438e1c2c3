/**
 * Plain numbers that only grow (but for the gauges, named so), readable at any time. One object per ring.
 */
export class Metrics {
  /** Requests put in the submission queue. */
  submissions = 0
  /** Completions taken from the completion queue. */
  completions = 0
  /** Calls from the event loop into the ring. */
  turns = 0
  /** Of those, the ones in which answers left one by one and not together: the loop had been woken for little. */
  promptTurns = 0
  /** Times the submission queue was full in the middle of a turn and was submitted there. */
  submissionQueueFull = 0
  /** Times the kernel was seen to keep completions that did not fit the completion queue. */
  completionOverflows = 0
  /** Completions whose operation had ended already. Always 0 unless something is wrong. */
  staleCompletions = 0

  /** Bytes received from sockets. */
  bytesRead = 0
  /** Bytes that the kernel took for sending. */
  bytesWritten = 0

  /** Receive completions with data, and the buffers they covered. */
  receives = 0
  receiveBuffers = 0
  /** Receive completions by the number of buffers they covered: index `i` counts those of 2^i to 2^(i+1)-1. */
  readonly receiveBundles: Float64Array = new Float64Array(16)
  /** Multishot receives armed: one for each connection, and another whenever the kernel or a pause has ended one. */
  receivesArmed = 0
  /** System calls that received what the pool had no buffers for. */
  directReceives = 0
  /** Receives that the kernel ended because the pool was empty. */
  poolExhausted = 0
  /** Times that a connection that forwards, or a message socket, had to wait for buffers. */
  parks = 0
  /** Times the pool was enlarged. */
  poolGrowths = 0
  /** Buffer-ring positions used; each `entries` of them is one wrap. */
  poolPositions = 0

  /** Send completions, and the buffers or spans they covered. */
  sends = 0
  sendBuffers = 0
  /** Send completions by the number of buffers they covered: index `i` counts those of 2^i to 2^(i+1)-1. */
  readonly sendBundles: Float64Array = new Float64Array(16)
  /** Bundles that needed more than one completion (over 256 buffers). */
  chainedBundles = 0
  /** Sends that ended with fewer bytes than asked for. */
  shortSends = 0
  /** System calls that sent a large chunk, or a part of one, from where it lay. */
  sendsInPlace = 0
  /** Buffer groups leased to connections with several spans to send. */
  groupLeases = 0
  /** Groups registered anew because entries that the kernel had not taken were left in them. */
  groupResets = 0
  /** Times a `write` went past the high-water mark. */
  backPressure = 0
  /** Bytes of forwarded data copied out of the receive pool because it, or the receiver's group, was full. */
  spilledBytes = 0
  /** Times a forwarding connection was held back because its receiver was full. */
  forwardPauses = 0

  /** Datagrams received, and those that the kernel took for sending. */
  messagesRead = 0
  messagesWritten = 0
  /** Datagrams that were not sent because of an error of their own. */
  messageErrors = 0
  /** Bundles of datagrams that the kernel refused to segment; they were sent one by one. */
  segmentationRefusals = 0

  /** Connections that listeners have accepted, and that `connect` has made. */
  accepted = 0
  connected = 0
  /** Connections closed that had been open, those of `adopt` and `socketpair` too. */
  closed = 0
  /** Times accepting stopped for lack of descriptors or memory. */
  acceptPauses = 0
}

/** Counts a bundle of `buffers` in a histogram of powers of two. */
export function countBundle(histogram: Float64Array, buffers: number): void {
  const index = 31 - Math.clz32(buffers)
  histogram[index]++
}
