import type { Link } from './link'
import type { Variant } from './variants'

/** One measurement. */
export interface Sample {
  readonly megabitsPerSecond: number
  readonly cpuSecondsPerGigabyte: number
}

/** One variant at one buffer size: medians over the rounds. */
export interface Result extends Sample {
  readonly variant: string
  readonly bufferBytes: number
  readonly buffers: number
  /** Buffers a completion covered on average; absent for `node:net`. */
  readonly buffersPerReceive?: number
  readonly buffersPerSend?: number
  readonly samples: readonly Sample[]
}

export interface LabResults {
  readonly takenAt: string
  readonly machine: {
    readonly kernel: string
    readonly node: string
    readonly cpu: string
    readonly cpus: number
  }
  readonly method: {
    readonly hosts: string
    readonly congestionControl: string
    readonly placement: string
    readonly rounds: number
    readonly windowMs: number
    readonly connections: number
    readonly link?: Link
  }
  readonly variants: readonly Variant[]
  readonly results: readonly Result[]
  /** With `--link`: for each variant the smallest buffer that fills the link. */
  readonly fills?: readonly LinkFill[]
  /** With `--reference`: CPU per byte of Sheaf's proxy over the C program's, medians of the pairs. */
  readonly referenceRatios?: readonly ReferenceRatio[]
}

export interface LinkFill {
  readonly variant: string
  /** Absent: none of those measured. */
  readonly smallestBufferBytes?: number
}

export interface ReferenceRatio {
  readonly bufferBytes: number
  readonly cpuRatio: number
}
