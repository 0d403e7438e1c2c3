import type { RingOptions } from '@sheaf/ring'
import type { Temperament } from '@sheaf/ring/testing'
import type { ReactionOptions } from './reactions'

/**
 * One step of a program. `at` and `to` choose among the ends of connections that there are at that time; a step that
 * makes no sense there and then (writing to an end that has ended) does nothing.
 */
export type StreamStep
  = | { readonly do: 'open', readonly ring: number, readonly pair: boolean }
    | { readonly do: 'write', readonly at: number, readonly sizeBytes: number, readonly times: number }
    | { readonly do: 'proxy', readonly at: number, readonly to: number }
    | { readonly do: 'forward', readonly at: number, readonly to: number }
    | { readonly do: 'listenAnew', readonly ring: number }
    | { readonly do: 'pause' | 'resume' | 'end' | 'destroy' | 'reset' | 'flush' | 'cancel', readonly at: number }
    | { readonly do: 'run', readonly iterations: number }

/** What somebody does, to whomever it is, who is told something. */
export type StreamReaction
  = Exclude<StreamStep, { readonly do: 'open' | 'proxy' | 'forward' | 'listenAnew' | 'run' }>

export type StreamFamilyName = 'tcp' | 'unix'

/** What a run of connections does, and in which world. The same program always runs the same. */
export interface StreamProgram extends ReactionOptions<StreamReaction> {
  readonly family: StreamFamilyName
  /** Of everything that the simulated kernel chooses. */
  readonly seed: number
  readonly temperament: Partial<Temperament>
  readonly ring: RingOptions
  readonly writableHighWaterMark: number
  readonly allowHalfOpen: boolean
  /** Descriptors that may be open at a time: whoever opens or accepts one more has to do without. */
  readonly descriptorsMax: number
  /** Ends pause themselves after so many chunks; 0 is never. */
  readonly pausesEvery: number
  /** Ends that pause themselves resume themselves, soon after. */
  readonly resumes: boolean
  /**
   * Everything comes to rest after each step, but between two that send: what can be seen then does not depend on when
   * it happened. What is sent fits in the buffers of any kernel.
   */
  readonly rests: boolean
  readonly steps: readonly StreamStep[]
}

/** As {@link StreamStep}; `at` and `to` choose among sockets. */
export type DatagramStep
  = | { readonly do: 'bind', readonly ring: number, readonly coalesce: boolean }
    | { readonly do: 'connect', readonly ring: number, readonly to: number, readonly coalesce: boolean }
    | {
      readonly do: 'send'
      readonly at: number
      readonly to: number
      readonly sizeBytes: number
      readonly times: number
      /** All in one call. */
      readonly together: boolean
      /** Descriptors that go along with each, where the family has that. */
      readonly descriptors: number
    }
    | { readonly do: 'pair', readonly ring: number, readonly coalesce: boolean }
    | { readonly do: 'pause' | 'resume' | 'flush' | 'end' | 'close' | 'destroy', readonly at: number }
    | { readonly do: 'run', readonly iterations: number }

/** As {@link StreamReaction}. */
export type DatagramReaction = Exclude<DatagramStep, { readonly do: 'bind' | 'connect' | 'pair' | 'run' }>

export type MessageFamilyName = 'udp' | 'datagram' | 'seqpacket'

/** What a number of sockets that keep message boundaries do. */
export interface DatagramProgram extends ReactionOptions<DatagramReaction> {
  readonly family: MessageFamilyName
  /** Descriptors that come along are received, where the family has that. */
  readonly receiveDescriptors: boolean
  readonly seed: number
  readonly temperament: Partial<Temperament>
  readonly ring: RingOptions
  readonly writableHighWaterMark: number
  /** As of a {@link StreamProgram}. */
  readonly rests: boolean
  readonly steps: readonly DatagramStep[]
}
