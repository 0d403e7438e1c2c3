import { Duplex } from 'node:stream'
import { reportThrown, runTicks } from '@sheaf/ring'

type Call = (this: unknown, ...parameters: unknown[]) => unknown

/** C++ of a session is calling, and not by way of a tick. */
let within = false

/**
 * Gives C++ of an HTTP/2 session something to read, and has what listeners throw of that be an `uncaughtException` at
 * once, as it is when libuv has called C++. When JavaScript has, the exception is on its way through C++, which goes on
 * with what it has: of several only the last is told, and that of Node 20 ends the process when it has not been able to
 * tell of a request and is to hand over its body. What C++ calls tells nearly everything in ticks that it makes.
 * @param serves whether it is a session: as long as TLS has not agreed on what it carries that may become known.
 */
export function reportingOfSession(give: () => void, serves: () => boolean): void {
  const { nextTick } = process as { nextTick: Call }
  // What has waited until now is none of these.
  runTicks()
  const reporting = (callback: unknown, ...parameters: unknown[]): void => {
    for (const parameter of parameters) if (parameter instanceof Duplex) guardStreams(parameter)
    if (typeof callback === 'function' && serves()) nextTick(callReporting, callback, parameters)
    else nextTick(callback, ...parameters)
  }
  process.nextTick = reporting
  within = true
  try {
    give()
  } finally {
    within = false
    // Whoever has put something else there meanwhile takes it away, too.
    if (process.nextTick === reporting) process.nextTick = nextTick
  }
}

function callReporting(callback: Call, parameters: readonly unknown[]): void {
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

/** Streams of HTTP/2, whose class is not exported, have been met. */
let guarded = false

/** What a stream receives it tells at once, if somebody listens. The change to its class stays, and is none else. */
function guardStreams(made: Duplex): void {
  if (guarded) return
  const streams = Object.getPrototypeOf(Object.getPrototypeOf(made)) as { emit: Call }
  if (streams.constructor.name !== 'Http2Stream') return
  guarded = true
  const { emit } = streams
  streams.emit = function (...parameters) {
    if (!within || parameters[0] !== 'data') return emit.apply(this, parameters)
    within = false
    try {
      return emit.apply(this, parameters)
    } catch (error) {
      reportThrown(error)
      return true
    } finally {
      within = true
    }
  }
}
