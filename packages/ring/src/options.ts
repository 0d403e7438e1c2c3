import { invalidArgumentType, invalidArgumentValue, outOfRange } from './errors'
import { limits } from './limits'

/** How several spans leave: as a bundle, as one vectored `SENDMSG`, or one request each (only to compare with). */
export type SendMethod = 'bundle' | 'sendmsg' | 'single'
/** How bytes arrive: bundles, one buffer a completion, or multishot `RECVMSG` (only to compare with). */
export type ReceiveMethod = 'bundle' | 'single' | 'recvmsg'

/** How a ring is made. What is absent has the default in `limits.ts`. */
export interface RingOptions {
  /** Submission queue entries: a power of two, 1 to 32768. */
  submissionEntries?: number
  /** Completion queue entries: a power of two, more than `submissionEntries`, up to 65536. */
  completionEntries?: number
  /** Size of one receive buffer in bytes, 16 to 16777216; all `receiveBuffers` together have 1 GB at most. */
  receiveBufferBytes?: number
  /** Receive buffers to begin with, 1 to 32768. */
  receiveBuffers?: number
  /** Receive buffers that the pool may grow to when it runs dry, up to 32768. */
  receiveBuffersMax?: number
  /**
   * Part of the receive buffers that forwarding may not hold, 0 to 1, and one of them at least. With little, and
   * receivers that are on this ring too, both may wait for buffers that the other has.
   */
  receiveReserveFraction?: number
  /**
   * Forwards received buffers that are neighbours in memory as one span. Default true: fewer spans, no copy. False
   * keeps
   * one span a buffer (to compare with what others measured).
   */
  mergeAdjacent?: boolean
  receiveMethod?: ReceiveMethod
  sendMethod?: SendMethod
  /**
   * Blocks of 16 KB that the send memory of streams may grow to, 1 to 65536, and that of UDP sockets, and that of Unix
   * messages. What streams write past it is sent by system calls; messages fail with `ENOBUFS`. Default 16384.
   */
  sendBlocksMax?: number
  /** Entries of a leased buffer group: a power of two, 1 to 32768. */
  groupEntries?: number
  /**
   * Bytes that streams, all together, send by system calls of their own before others have their turn, 1 to 2^30: who
   * writes to peers that read as fast as that must not have the event loop to himself. Default 2 MB.
   */
  sendBytesPerTurn?: number
  /** Completions are dispatched for at most this many rounds before the event loop's other handles have their turn. */
  roundsPerTurn?: number
  /**
   * How long the thread looks for what the kernel posts before it sleeps, in microseconds, 0 (it sleeps at once) to
   * 1000. Default 50, or what `SHEAF_BUSY_POLL` in the environment says. It looks often only while more than half of
   * the looks find something, else every 64th time. All that the event loop does waits meanwhile.
   */
  busyPollMicroseconds?: number
}

export type ResolvedRingOptions = Required<RingOptions>

function integer(name: string, value: unknown, fallback: number, min: number, max: number): number {
  if (value === undefined) return fallback
  if (typeof value !== 'number') throw invalidArgumentType(`options.${name}`, 'of type number', value)
  if (!Number.isInteger(value) || value < min || value > max) {
    throw outOfRange(`options.${name}`, `an integer >= ${min} and <= ${max}`, value)
  }
  return value
}

function powerOfTwo(name: string, value: unknown, fallback: number, max: number): number {
  const number = integer(name, value, fallback, 1, max)
  if (2 ** Math.round(Math.log2(number)) !== number) throw outOfRange(`options.${name}`, 'a power of two', value)
  return number
}

function oneOf<T extends string>(name: string, value: T | undefined, fallback: T, choices: readonly T[]): T {
  if (value === undefined) return fallback
  if (!choices.includes(value)) {
    throw invalidArgumentValue(`options.${name}`, `must be one of: ${choices.join(', ')}`, value)
  }
  return value
}

const busyPollMicrosecondsMax = 1000

/** Environment switch for {@link RingOptions.busyPollMicroseconds}: `SHEAF_BUSY_POLL=off` or microseconds. */
function defaultBusyPollMicroseconds(): number {
  const value = process.env.SHEAF_BUSY_POLL
  if (value === undefined) return limits.busyPollMicroseconds
  return /^\d+$/.test(value) ? Math.min(Number(value), busyPollMicrosecondsMax) : 0
}

/** Checks ring options and fills in the defaults. @throws TypeError, RangeError as Node would. */
export function resolveRingOptions(options: RingOptions = {}): ResolvedRingOptions {
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- callers may not use TypeScript
  if (typeof options !== 'object' || options === null) throw invalidArgumentType('options', 'of type object', options)
  const reserve = options.receiveReserveFraction ?? limits.receiveReserveFraction
  if (typeof reserve !== 'number') {
    throw invalidArgumentType('options.receiveReserveFraction', 'of type number', reserve)
  }
  if (!(reserve >= 0 && reserve <= 1)) throw outOfRange('options.receiveReserveFraction', '>= 0 and <= 1', reserve)
  const { mergeAdjacent } = options
  if (mergeAdjacent !== undefined && typeof mergeAdjacent !== 'boolean') {
    throw invalidArgumentType('options.mergeAdjacent', 'of type boolean', mergeAdjacent)
  }
  const submissionEntries = powerOfTwo('submissionEntries', options.submissionEntries, limits.submissionEntries, 32768)
  const defaultCompletionEntries = Math.min(65536, Math.max(limits.completionEntries, submissionEntries * 2))
  const receiveBuffers = integer('receiveBuffers', options.receiveBuffers, limits.receiveBuffers, 1, 32768)
  const receiveBufferBytes = integer(
    'receiveBufferBytes',
    options.receiveBufferBytes,
    limits.receiveBufferBytes,
    16,
    Math.min(2 ** 24, Math.floor(limits.receivePoolBytesMax / receiveBuffers)),
  )
  const fitting = Math.floor(limits.receivePoolBytesMax / receiveBufferBytes)
  const defaultBuffersMax = Math.min(
    Math.max(limits.receiveBuffersMax, receiveBuffers * 2),
    limits.bufferRingEntriesMax,
    fitting,
  )
  const resolved: ResolvedRingOptions = {
    submissionEntries,
    completionEntries: powerOfTwo('completionEntries', options.completionEntries, defaultCompletionEntries, 65536),
    receiveBufferBytes,
    receiveBuffers,
    receiveBuffersMax: integer(
      'receiveBuffersMax',
      options.receiveBuffersMax,
      Math.max(receiveBuffers, defaultBuffersMax),
      receiveBuffers,
      32768,
    ),
    receiveReserveFraction: reserve,
    mergeAdjacent: options.mergeAdjacent ?? true,
    receiveMethod: oneOf('receiveMethod', options.receiveMethod, 'bundle', ['bundle', 'single', 'recvmsg']),
    sendMethod: oneOf('sendMethod', options.sendMethod, 'bundle', ['bundle', 'sendmsg', 'single']),
    sendBlocksMax: integer('sendBlocksMax', options.sendBlocksMax, limits.sendBlocksMax, 1, 65536),
    groupEntries: powerOfTwo('groupEntries', options.groupEntries, limits.groupEntries, limits.bufferRingEntriesMax),
    sendBytesPerTurn: integer('sendBytesPerTurn', options.sendBytesPerTurn, limits.sendBytesPerTurn, 1, 2 ** 30),
    roundsPerTurn: integer('roundsPerTurn', options.roundsPerTurn, limits.roundsPerTurn, 1, 1024),
    busyPollMicroseconds: integer(
      'busyPollMicroseconds',
      options.busyPollMicroseconds,
      defaultBusyPollMicroseconds(),
      0,
      busyPollMicrosecondsMax,
    ),
  }
  if (resolved.receiveBuffersMax * receiveBufferBytes > limits.receivePoolBytesMax) {
    const range = `at most ${limits.receivePoolBytesMax} bytes in all`
    throw outOfRange('options.receiveBuffersMax', range, resolved.receiveBuffersMax)
  }
  if (resolved.completionEntries <= submissionEntries) {
    const range = `> submissionEntries (${submissionEntries})`
    throw outOfRange('options.completionEntries', range, resolved.completionEntries)
  }
  return resolved
}
