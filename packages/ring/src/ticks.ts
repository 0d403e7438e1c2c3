import { AsyncResource } from 'node:async_hooks'
import { raise } from '@sheaf/native'

/**
 * What Node's own modules run between two timers, or two immediates, that are called from one loop of JavaScript. With
 * `--pending-deprecation` it comes in a function that warns, whose prototype is the real one.
 */
const { _tickCallback: tickCallback } = process as unknown as { _tickCallback?: () => void }
const inner: unknown = tickCallback && Object.getPrototypeOf(tickCallback)
// Else it is a Function.prototype, maybe of another realm: in a `vm` context `process` is that of the main one.
const isInner = typeof inner === 'function' && typeof Object.getPrototypeOf(inner) === 'function'
const ticks = isInner ? inner as () => void : tickCallback

/** They are running. */
export let ticking = false

/**
 * Runs what waits for the end of the event that was just told, `process.nextTick` and promise callbacks, with no async
 * context entered: see {@link Turn.eventTold}. @returns whether nobody has thrown.
 */
export function runTicks(): boolean {
  const within = ticking
  ticking = true
  try {
    ticks?.()
    return true
  } catch (error) {
    // It has left its async context entered. Thrown on, the turn's call would end in another context than it began in,
    // for which Node aborts; reported here, all contexts are left first.
    reportThrown(error)
    return false
  } finally {
    ticking = within
  }
}

/**
 * Calls what may call the application, in the async context of `resource`. What it throws is an `uncaughtException`
 * while that is still entered, as when Node calls it: by the context `node:test` knows whose error it is, and a logger
 * whose request.
 */
export function callInScope<Self, Args extends unknown[]>(
  resource: AsyncResource, call: (this: Self, ...args: Args) => unknown, self?: Self, ...args: Args
): void {
  resource.runInAsyncScope(reporting, self, call, ...args)
}

/** What `async_hooks` says of a request: whoever makes it uses {@link callLastInScope} once. */
export function requestResource(type: string): AsyncResource {
  return new AsyncResource(type, { requireManualDestroy: true })
}

/** As {@link callInScope}; nothing more is called in the context of `resource`. */
export function callLastInScope<Self, Args extends unknown[]>(
  resource: AsyncResource, call: (this: Self, ...args: Args) => unknown, self?: Self, ...args: Args
): void {
  try {
    callInScope(resource, call, self, ...args)
  } finally {
    resource.emitDestroy()
  }
}

function reporting(this: unknown, call: (...args: unknown[]) => unknown, ...args: unknown[]): void {
  try {
    Reflect.apply(call, this, args)
  } catch (error) {
    reportThrown(error)
  }
}

/** Makes it an `uncaughtException` at once. */
export function reportThrown(error: unknown): void {
  if (raise === undefined) throw error
  raise(error)
}
