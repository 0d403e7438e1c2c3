import { performance } from 'node:perf_hooks'
import timers from 'node:timers'

/**
 * Node's own, whatever a program puts in their place later: tests that stop the clock (`sinon`, `jest`, `vitest`) put
 * theirs among the globals and into `node:timers`, and sockets go on all the same, as Node's do.
 */
export let { clearImmediate, clearTimeout, setImmediate, setTimeout } = timers
/** Milliseconds since the process began, and fractions of them. */
export let nowMs: () => number = performance.now.bind(performance)
export const { queueMicrotask } = globalThis

export interface Timers
  extends Pick<typeof timers, 'clearImmediate' | 'clearTimeout' | 'setImmediate' | 'setTimeout'> {
  readonly nowMs: () => number
}

/** Has rings and sockets keep another clock: a simulated kernel's time is virtual. @returns what they had before. */
export function replaceTimers(by: Timers): Timers {
  const before = { clearImmediate, clearTimeout, nowMs, setImmediate, setTimeout };
  ({ clearImmediate, clearTimeout, nowMs, setImmediate, setTimeout } = by)
  return before
}
