import type { Metrics } from '@sheaf/ring'

/** What runs consisted of, added up. */
export class Operations {
  /** Calls of Sheaf's interface that programs made. */
  calls = 0
  /** Requests that simulated kernels took, and completions that they posted. */
  submissions = 0
  completions = 0
  /** Times that something could not be opened for want of a descriptor. */
  descriptorsLacked = 0
  /** Sums of the rings' metrics, by name. */
  readonly metrics = new Map<string, number>()

  /** All three. What fast-check, the clock and the checks do is none. */
  get total(): number {
    return this.calls + this.submissions + this.completions
  }

  addRing(metrics: Metrics): void {
    this.submissions += metrics.submissions
    this.completions += metrics.completions
    for (const [name, value] of Object.entries(metrics)) {
      if (typeof value === 'number') this.metrics.set(name, (this.metrics.get(name) ?? 0) + value)
    }
  }

  add(other: Operations): void {
    this.calls += other.calls
    this.submissions += other.submissions
    this.completions += other.completions
    this.descriptorsLacked += other.descriptorsLacked
    for (const [name, value] of other.metrics) this.metrics.set(name, (this.metrics.get(name) ?? 0) + value)
  }
}
