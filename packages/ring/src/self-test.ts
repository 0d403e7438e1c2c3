import type { Binding, NativeRing } from '@sheaf/native'
import { CompletionFlag, EnterFlag, SetupFlag } from './abi'
import { lockedMemoryError } from './errors'
import { BufferRing } from './memory/buffer-ring'
import { Metrics } from './metrics'
import { CompletionQueue } from './queue/completion-queue'
import { Operation, OperationTable } from './queue/operation-table'
import { SubmissionQueue } from './queue/submission-queue'

const unixFamily = 1
const streamType = 1
/** Three buffers in a bundle of six bytes; the pool's buffers hold two each, so receiving takes three as well. */
const pieces = ['a', 'bcd', 'ef']
const text = pieces.join('')
const receiveBufferBytes = 2
const entries = 8
const sendGroupId = 0
const receiveGroupId = 1

/**
 * Sends one bundle through a socket pair and receives it as one: a millisecond, once a process. Feature bits are not
 * enough: kernels have shipped with bundles that lost their length or their end.
 */
export function bundlesWork(binding: Binding): boolean {
  return throughSocketPair(binding, (native, from, to) => arrives(native, from, to, true))
}

/** Shortages that say nothing of the kernel. */
const shortages = new Set<unknown>(['ENOMEM', 'EMFILE', 'ENFILE'])

/** The least that Sheaf needs, in the same way: a provided-buffer ring (5.19) and a multishot receive (6.0). */
export function multishotReceiveWorks(binding: Binding): boolean {
  return throughSocketPair(binding, (native, from, to) => arrives(native, from, to, false))
}

/** @throws SystemError if there is no memory, or no descriptor, for a test. */
function throughSocketPair(binding: Binding, test: (native: NativeRing, from: number, to: number) => boolean): boolean {
  const native = binding.createRing({
    submissionEntries: 8,
    completionEntries: 16,
    optionalFlags: SetupFlag.CompletionSize | SetupFlag.SubmitAll,
  })
  if (typeof native === 'number') throw lockedMemoryError(native, 'io_uring_setup')
  const pair = new Int32Array(2)
  const paired = binding.sockets.socketpair(unixFamily, streamType, pair) === 0
  try {
    return paired && test(native, pair[0], pair[1])
  } catch (error) {
    if (shortages.has((error as NodeJS.ErrnoException).code)) throw error
    return false
  } finally {
    native.close()
    if (paired) for (const fd of pair) binding.sockets.close(fd)
  }
}

interface Seen {
  readonly bytes: number
  readonly flags: number
}

/** A bundle must arrive in one completion; otherwise one multishot receive makes a completion for each buffer. */
function arrives(native: NativeRing, from: number, to: number, bundle: boolean): boolean {
  const metrics = new Metrics()
  const table = new OperationTable(metrics)
  const submissions = new SubmissionQueue(native, table, metrics)
  const completions = new CompletionQueue(native, table, metrics)
  const region = native.createRegion(4096)
  if (typeof region === 'number') return false
  const memory = Buffer.from(region.buffer)
  memory.write(text)
  const received = memory.subarray(2048)
  const receiveRing = new BufferRing(native, receiveGroupId, entries).open()
  for (let id = 0; id < entries; id++) {
    receiveRing.push(region.address + 2048 + id * receiveBufferBytes, receiveBufferBytes, id)
  }
  receiveRing.publish()

  const sent: number[] = []
  const receives: Seen[] = []
  const slot = table.allocate({
    complete(operation, bytes, flags) {
      if (operation === Operation.Send) sent.push(bytes)
      else receives.push({ bytes, flags })
    },
  })
  if (bundle) sendBundle(native, submissions, slot, from, region.address)
  else submissions.send(slot, from, region.address, text.length)
  submissions.receiveMultishot(slot, to, receiveGroupId, bundle)
  submissions.publish()
  const expected = bundle ? 1 : text.length / receiveBufferBytes
  // Beyond the last completion of both, waiting would be for ever.
  while (sent.length === 0 || (receives.length < expected && receives.every(hasMore))) {
    if (native.enter(1, EnterFlag.GetEvents) < 0) return false
    completions.drain()
  }
  return (
    sent[0] === text.length
    && receives.length === expected
    && receives.every(({ bytes, flags }) => bytes === text.length / expected && (flags & CompletionFlag.Buffer) !== 0)
    && received.toString('latin1', 0, text.length) === text
  )
}

function hasMore({ flags }: Seen): boolean {
  return (flags & CompletionFlag.More) !== 0
}

function sendBundle(
  native: NativeRing,
  submissions: SubmissionQueue,
  slot: number,
  from: number,
  address: number,
): void {
  const sendRing = new BufferRing(native, sendGroupId, entries).open()
  let offset = 0
  pieces.forEach((piece, id) => {
    sendRing.push(address + offset, piece.length, id)
    offset += piece.length
  })
  sendRing.publish()
  submissions.sendBundle(slot, from, sendGroupId)
}
