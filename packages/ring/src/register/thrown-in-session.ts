import { executionAsyncResource } from 'node:async_hooks'
import type { EventEmitter } from 'node:events'
import { reportThrown } from '@sheaf/ring'

type Call = (this: unknown, ...parameters: unknown[]) => unknown
type Methods = Record<string, Call>

/** Whether what C++ has been asked to do is a session's; undefined while it has been asked nothing. */
let serves: (() => boolean) | undefined
/** C++ of a session is calling, and not by way of a tick. */
let within = false

/**
 * Asks C++ of an HTTP/2 session something, and has what listeners throw of that be an `uncaughtException` at once, as
 * it is when libuv has called C++. When JavaScript has, the exception is on its way through C++, which goes on with
 * what it has: of several only the last is told, and that of Node 20 ends the process when it has not been able to tell
 * of a request and is to hand over its body. C++ tells nearly everything in ticks that what it calls makes.
 * @param of whether it is a session: as long as TLS has not agreed on what it carries that may become known.
 */
export function reportingOfSession(ask: () => void, of: () => boolean): void {
  const outer = serves
  const { nextTick } = process as { nextTick: Call }
  const reporting = reportingTicks(nextTick)
  const outerWithin = within
  const isPut = putNextTick(reporting)
  serves = of
  within = true
  try {
    ask()
  } finally {
    within = outerWithin
    serves = outer
    // Whoever has put something else there meanwhile takes it away, too.
    if (isPut && process.nextTick === reporting) putNextTick(nextTick)
  }
}

/** @returns false where it can't be changed: ticks are then as they are. */
function putNextTick(nextTick: Call): boolean {
  try {
    process.nextTick = nextTick
    return true
  } catch {
    return false
  }
}

/** Those that have been made, by what they stand in for; and they themselves. */
const made = new WeakMap<Call, Call>()

/** What a program may keep: it does what `nextTick` does whenever C++ of a session has not been asked something. */
function reportingTicks(nextTick: Call): Call {
  let reporting = made.get(nextTick)
  if (reporting === undefined) {
    reporting = (callback, ...parameters) => {
      if (serves === undefined || typeof callback !== 'function' || !serves()) {
        nextTick(callback, ...parameters)
      } else {
        if (guards.size !== 0) guardAll(...parameters)
        nextTick(callReporting, callback, ...parameters)
      }
    }
    made.set(nextTick, reporting)
    made.set(reporting, reporting)
  }
  return reporting
}

function guardAll(...met: readonly unknown[]): void {
  for (const each of met) guard(each)
}

function callReporting(callback: Call, ...parameters: readonly unknown[]): void {
  const before = within
  within = false
  try {
    callback(...parameters)
  } catch (error) {
    reportThrown(error)
  } finally {
    within = before
  }
}

/**
 * What is done to classes of HTTP/2, which are not exported, when the first of theirs is met. It stays, and does
 * nothing unless C++ has been asked something.
 */
const guards = new Map<unknown, (prototype: Methods) => void>([
  ['Http2Stream', (prototype) => {
    guardEvents(prototype)
    for (const name of ['_write', '_writev', '_final']) guardCallback(prototype, name)
  }],
  ['Http2Session', (prototype) => {
    guardEvents(prototype)
    for (const name of ['ping', 'settings']) guardCallback(prototype, name)
  }],
])

/** Guards the class of `met`, if it is one of those. */
export function guard(met: unknown): void {
  if (typeof met !== 'object' || met === null) return
  const prototype: unknown = Object.getPrototypeOf(Object.getPrototypeOf(met) ?? {})
  const { constructor: maker } = (prototype ?? {}) as { constructor?: { name?: unknown } }
  const name = maker?.name
  const guarding = guards.get(name)
  if (guarding === undefined) return
  guards.delete(name)
  guarding(prototype as Methods)
}

/** Guards the class of the sessions that `server` makes, the first of which it tells of next. */
export function guardSessionOf(server: EventEmitter): void {
  if (guards.has('Http2Session')) server.prependOnceListener('session', guard)
}

/**
 * Some C++ has told at once: what a stream receives, if somebody listens. Each event passes here: what is only spread
 * does not become an array.
 */
function guardEvents(prototype: Methods): void {
  const inherited = Object.getPrototypeOf(prototype) as Methods
  prototype.emit = function (...parameters) {
    return within ? emitReported.call(this, ...parameters) : inherited.emit.call(this, ...parameters)
  }

  function emitReported(this: unknown, ...parameters: unknown[]): unknown {
    return reported(() => inherited.emit.apply(this, parameters))
  }
}

/** The last parameter is what is called when it is done. */
function guardCallback(prototype: Methods, name: string): void {
  const { [name]: method } = prototype
  prototype[name] = function (...parameters) {
    const done = parameters.at(-1)
    if (typeof done === 'function') {
      const call = done as Call
      parameters[parameters.length - 1] = function (this: unknown, ...told: unknown[]) {
        return within ? reported(() => call.apply(this, told)) : call.apply(this, told)
      }
    }
    return method.apply(this, parameters)
  }
}

/**
 * C++ has been spared something thrown in what it calls now. That leaves all async contexts: C++ that still calls can't
 * be told by its own any more.
 */
let hasReported = false

/** Calls what C++ has called, or what a promise's callback has, which C++ runs as well. */
function reported(call: () => unknown): unknown {
  within = false
  try {
    return call()
  } catch (error) {
    if (!hasReported && !isOfNative()) throw error
    hasReported = true
    // When C++ has called, ticks run before promises' callbacks.
    process.nextTick(() => { hasReported = false })
    reportThrown(error)
    return true
  } finally {
    within = true
  }
}

/** C++ calls in the async context of an object of its own, and promises' callbacks are in none, or a promise's. */
function isOfNative(): boolean {
  return typeof (executionAsyncResource() as { getProviderType?: unknown }).getProviderType === 'function'
}
