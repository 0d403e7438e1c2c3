import { setImmediate } from './timers'

/** The process ends: the event loop may not turn again, so what is asked for is done at once. */
export let processEnds = false
const finishers: (() => void)[] = []

/**
 * Has `finish` called when the process ends: what was written before leaves, as it would have by system calls of
 * `node:net`. Listeners of `exit` that are called later may still ask for more.
 */
export function whenProcessEnds(finish: () => void): void {
  finishers.push(finish)
}

process.on('exit', () => {
  processEnds = true
  for (const finish of finishers) finish()
  // Somebody may only have said so.
  setImmediate(() => { processEnds = false })
})
