import type { RingOptions } from '@sheaf/ring'
import type { Temperament } from '@sheaf/ring/testing'

/**
 * One step of a program. `at` and `to` choose among the ends of connections that there are at that time; a step that
 * makes no sense there and then (writing to an end that has ended) does nothing.
 */
export type StreamStep
  = | { readonly do: 'open', readonly ring: number, readonly pair: boolean }
    | { readonly do: 'write', readonly at: number, readonly sizeBytes: number, readonly times: number }
    | { readonly do: 'proxy', readonly at: number, readonly to: number }
    | { readonly do: 'forward', readonly at: number, readonly to: number }
    | { readonly do: 'pause' | 'resume' | 'end' | 'destroy' | 'reset' | 'flush' | 'cancel', readonly at: number }
    | { readonly do: 'run', readonly iterations: number }

export type StreamFamilyName = 'tcp' | 'unix'

/** What a run of connections does, and in which world. The same program always runs the same. */
export interface StreamProgram {
  readonly family: StreamFamilyName
  /** Of everything that the simulated kernel chooses. */
  readonly seed: number
  readonly temperament: Partial<Temperament>
  readonly ring: RingOptions
  readonly writableHighWaterMark: number
  readonly allowHalfOpen: boolean
  readonly steps: readonly StreamStep[]
}
