import { binding as loaded, type Binding, type NativeRing, type Region, unavailable } from '@sheaf/native'
import { onTestFinished } from 'vitest'
import { SetupFlag } from '../src/abi'
import { Metrics } from '../src/metrics'
import { CompletionQueue } from '../src/queue/completion-queue'
import { type Operation, OperationTable } from '../src/queue/operation-table'
import { SubmissionQueue } from '../src/queue/submission-queue'

if (loaded === undefined) throw new Error(`these tests need io_uring: ${unavailable}`)
export const binding: Binding = loaded

/** The queues of a real ring, without an event loop: the test enters the kernel itself. */
export class Kernel {
  readonly metrics = new Metrics()
  readonly table = new OperationTable(this.metrics)
  readonly native: NativeRing
  readonly submissions: SubmissionQueue
  readonly completions: CompletionQueue
  readonly seen: { operation: Operation, result: number, flags: number }[] = []
  readonly slot: number

  constructor(submissionEntries = 64) {
    const native = binding.createRing({
      submissionEntries,
      completionEntries: submissionEntries * 4,
      optionalFlags: SetupFlag.CompletionSize | SetupFlag.SubmitAll,
    })
    if (typeof native === 'number') throw new Error(`createRing: ${native}`)
    this.native = native
    this.submissions = new SubmissionQueue(native, this.table, this.metrics)
    this.completions = new CompletionQueue(native, this.table, this.metrics)
    this.slot = this.table.allocate({
      complete: (operation, result, flags) => this.seen.push({ operation, result, flags }),
    })
    onTestFinished(() => {
      native.close()
    })
  }

  /** Submits and reaps. @param atLeast completions to wait for. */
  enter(atLeast: number): void {
    this.submissions.publish()
    this.native.enter(atLeast, 1)
    this.completions.drain()
  }
}

/** A connected pair of stream sockets, closed when the test is over. */
export function socketPair(): [number, number] {
  const pair = new Int32Array(2)
  if (binding.sockets.socketpair(1, 1, pair) < 0) throw new Error('socketpair failed')
  onTestFinished(() => {
    for (const fd of pair) binding.sockets.close(fd)
  })
  return [pair[0], pair[1]]
}

/** The regions that are made by `native` from now on. */
export function watchRegions(native: NativeRing): Region[] {
  const regions: Region[] = []
  const createRegion = native.createRegion.bind(native)
  native.createRegion = (sizeBytes) => {
    const region = createRegion(sizeBytes)
    if (typeof region !== 'number') regions.push(region)
    return region
  }
  return regions
}
