import { type EventLoopUtilization, performance } from 'node:perf_hooks'
import { openDefaultRing } from '@sheaf/ring'
import { sharedChange } from './patches'

const prototype = Object.getPrototypeOf(performance) as typeof performance

function utilization(idle: number, active: number): EventLoopUtilization {
  const all = idle + active
  return { idle, active, utilization: all === 0 ? 0 : active / all }
}

/** What the ring, or one before it, has looked for work. */
let lookedMs = 0

/**
 * Has `performance.eventLoopUtilization` count busy polling as idle: with one busy client all of the time would be
 * active, for which programs turn clients away.
 */
export const replacePerformance = sharedChange(() => {
  const { eventLoopUtilization: ofNode } = prototype
  /** Node's, but what the thread has looked for work in vain, or until it came, is idle. */
  function eventLoopUtilization(first?: EventLoopUtilization, second?: EventLoopUtilization): EventLoopUtilization {
    // Between two that were returned before.
    if (second !== undefined) return ofNode(first, second)
    const { idle, active } = ofNode()
    lookedMs = Math.max(lookedMs, openDefaultRing()?.counters.busyPollMs ?? 0)
    const looked = Math.min(lookedMs, active)
    return utilization(idle + looked - (first?.idle ?? 0), active - looked - (first?.active ?? 0))
  }
  prototype.eventLoopUtilization = eventLoopUtilization
  return () => { prototype.eventLoopUtilization = ofNode }
})
