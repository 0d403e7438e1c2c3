import type { Binding, NativeRing, Region } from '@sheaf/native'
import { SetupFlag } from '../src/abi'
import { Metrics } from '../src/metrics'
import { CompletionQueue } from '../src/queue/completion-queue'
import { OperationTable } from '../src/queue/operation-table'
import { SubmissionQueue } from '../src/queue/submission-queue'

/** A ring on one kernel, real or simulated, for requests as they are. */
export class RawRing {
  readonly native: NativeRing
  readonly submissions: SubmissionQueue
  readonly completions: CompletionQueue
  readonly table: OperationTable

  constructor(binding: Binding) {
    const native = binding.createRing({
      submissionEntries: 64,
      completionEntries: 256,
      optionalFlags: SetupFlag.CompletionSize | SetupFlag.SubmitAll | SetupFlag.SingleIssuer | SetupFlag.DeferTaskRun
        | SetupFlag.TaskRunFlag,
    })
    if (typeof native === 'number') throw new Error(`createRing: ${native}`)
    this.native = native
    const metrics = new Metrics()
    this.table = new OperationTable(metrics)
    this.submissions = new SubmissionQueue(native, this.table, metrics)
    this.completions = new CompletionQueue(native, this.table, metrics)
  }

  map(sizeBytes: number): Region {
    const region = this.native.createRegion(sizeBytes)
    if (typeof region === 'number') throw new Error(`createRegion: ${region}`)
    return region
  }
}
