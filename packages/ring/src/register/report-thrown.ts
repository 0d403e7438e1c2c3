import { reportThrown, runTicks } from '@sheaf/ring'
import type { Patches } from './patches'
import { type HandleBeneath, streamBeneath } from './stream-handle'

/** A handle of Node's, or a request that it has been given. */
export type Handle = HandleBeneath & Record<string, unknown>
type Callback = (this: Handle, ...parameters: unknown[]) => unknown

/** What C++ calls of a TLS socket's handle. */
const callbacks = [
  'onhandshakestart', 'onhandshakedone', 'onclienthello', 'oncertcb', 'onnewsession', 'onocspresponse',
  'onkeylog', 'onerror',
]

/** What is asked of it with a request, whose `oncomplete` it calls. */
const methods = [
  'writev', 'writeBuffer', 'writeAsciiString', 'writeLatin1String', 'writeUcs2String', 'writeUtf8String', 'shutdown',
]

/**
 * Has what listeners of a TLS socket throw be an `uncaughtException` at once, as it is when libuv has called C++. When
 * JavaScript has, the exception is on its way through C++, which goes on with what it has: others are told of what came
 * after it, and theirs is the only one that is seen; that of Node 20 has what it writes then fail, and the end that it
 * tells reaches nobody.
 * @param handle of the socket, which has set its callbacks.
 */
export function reportListeners(handle: Handle): void {
  for (const name of callbacks) {
    const { [name]: callback } = handle
    if (typeof callback === 'function') handle[name] = reporting(callback as Callback)
  }
  handle.onread = reportingTicks(handle.onread as Callback)
}

/**
 * The same for what completes the requests of TLS sockets that are on connections of Sheaf's. It is a change to the
 * prototype of all handles: with so many properties of its own V8 would keep those of a handle in a hash table.
 */
export function reportCompletions(patches: Patches, prototype: Handle): void {
  for (const name of methods) patches.replace(prototype, name, completing(prototype[name] as Callback))
}

/** A method that is given a request; without one (Node 24) it does what can be done at once. */
function completing(method: Callback): Callback {
  return function (request, first, second) {
    const { oncomplete } = (request ?? {}) as Handle
    if (typeof oncomplete === 'function' && streamBeneath(this) !== undefined) {
      (request as Handle).oncomplete = reporting(oncomplete as Callback)
    }
    return method.call(this, request, first, second)
  }
}

/** What has been made of Node's functions, which are few. */
const made = new WeakMap<Callback, Callback>()

function reporting(callback: Callback): Callback {
  const known = made.get(callback)
  if (known !== undefined) return known
  // What Node calls has three parameters at most.
  const guarded: Callback = function (first, second, third) {
    try {
      return callback.call(this, first, second, third)
    } catch (error) {
      streamBeneath((this.handle as Handle | undefined) ?? this)?.thrown()
      reportThrown(error)
      return undefined
    }
  }
  made.set(callback, guarded)
  return guarded
}

/** As well what is thrown in the ticks after it: else C++ runs them, with more to tell. */
function reportingTicks(callback: Callback): Callback {
  const guarded = reporting(callback)
  return function (first) {
    guarded.call(this, first)
    runTicks()
  }
}
