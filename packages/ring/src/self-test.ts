import type { Binding, NativeRing } from '@sheaf/native'
import { CompletionFlag, EnterFlag, SetupFlag } from './abi'
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
  const native = binding.createRing({
    submissionEntries: 8,
    completionEntries: 16,
    optionalFlags: SetupFlag.CompletionSize | SetupFlag.SubmitAll,
  })
  if (typeof native === 'number') return false
  const pair = new Int32Array(2)
  const paired = binding.sockets.socketpair(unixFamily, streamType, pair) === 0
  try {
    return paired && bundleArrives(binding, native, pair[0], pair[1])
  } catch {
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

function bundleArrives(binding: Binding, native: NativeRing, from: number, to: number): boolean {
  const metrics = new Metrics()
  const table = new OperationTable(metrics)
  const submissions = new SubmissionQueue(native, table, metrics)
  const completions = new CompletionQueue(native, table, metrics)
  const region = binding.createRegion(4096)
  if (typeof region === 'number') return false
  const memory = Buffer.from(region.buffer)

  const sendRing = new BufferRing(binding, native, sendGroupId, entries)
  let offset = 0
  pieces.forEach((piece, id) => {
    memory.write(piece, offset)
    sendRing.push(region.address + offset, piece.length, id)
    offset += piece.length
  })
  sendRing.publish()
  const received = memory.subarray(2048)
  const receiveRing = new BufferRing(binding, native, receiveGroupId, entries)
  for (let id = 0; id < entries; id++) {
    receiveRing.push(region.address + 2048 + id * receiveBufferBytes, receiveBufferBytes, id)
  }
  receiveRing.publish()

  const seen = new Map<Operation, Seen>()
  const slot = table.allocate({
    complete(operation, bytes, flags) {
      if (!seen.has(operation)) seen.set(operation, { bytes, flags })
    },
  })
  submissions.sendBundle(slot, from, sendGroupId)
  submissions.receiveMultishot(slot, to, receiveGroupId, true)
  submissions.publish()
  for (let attempt = 0; attempt < 8 && seen.size < 2; attempt++) {
    if (native.enter(1, EnterFlag.GetEvents) < 0) return false
    completions.drain()
  }
  const sent = seen.get(Operation.Send)
  const got = seen.get(Operation.Receive)
  return (
    sent?.bytes === text.length
    && got?.bytes === text.length
    && (got.flags & CompletionFlag.Buffer) !== 0
    && received.toString('latin1', 0, text.length) === text
  )
}
