import timers from 'node:timers'

/**
 * Node's own, whatever a program puts in their place later: tests that stop the clock (`sinon`, `jest`, `vitest`) put
 * theirs among the globals and into `node:timers`, and sockets go on all the same, as Node's do.
 */
export const { clearImmediate, clearTimeout, setImmediate, setTimeout } = timers
export const { queueMicrotask } = globalThis
