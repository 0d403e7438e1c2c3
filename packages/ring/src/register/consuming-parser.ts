import { reportThrown, runTicks } from '@sheaf/ring'
import type { Patches } from './patches'

type Callback = (this: Parser, ...parameters: unknown[]) => unknown

/** Where a parser has what C++ calls. */
interface Events {
  readonly kOnMessageBegin: number
  readonly kOnHeaders: number
  readonly kOnHeadersComplete: number
  readonly kOnBody: number
  readonly kOnMessageComplete: number
  readonly kOnExecute: number
}

/** Node's parser of HTTP. */
export interface Parser extends Record<number, Callback | null> {
  readonly constructor: Events & (new () => Parser)
  readonly socket: object | null
  /** C++ gives it what the socket has received, past JavaScript. */
  readonly _consumed: boolean
}

interface Consumed {
  /**
   * Somebody has thrown who was told of what had been parsed: Node's parsers stop then, and have failed when they are
   * given more. C++ has not heard of it.
   */
  failed?: 'now' | 'before'
}

/** The sockets: Node uses a parser again, for those that are not Sheaf's, too. */
const consumed = new WeakMap<object, Consumed>()

function consumedBy({ _consumed: consumes, socket }: Parser): Consumed | undefined {
  return consumes && socket !== null ? consumed.get(socket) : undefined
}

/** Of a TLS socket. */
interface Handle {
  /** A parser has it. */
  _consumed?: boolean
}

/**
 * Calls {@link reportParsing} with the parsers that C++ is to give what TLS sockets have decrypted.
 * @param prototype of the handles of all TLS sockets.
 * @param parserOf the parser of one whose connection is Sheaf's.
 */
export function reportParsers(
  patches: Patches, prototype: object, parserOf: (handle: object) => Parser | undefined,
): void {
  Object.defineProperty(prototype, '_consumed', {
    configurable: true,
    get: () => undefined,
    // As `http` says it just before.
    set(this: Handle, _consumed: boolean) {
      Object.defineProperty(this, '_consumed', {
        value: _consumed, configurable: true, enumerable: true, writable: true,
      })
      const parser = parserOf(this)
      if (parser !== undefined) reportParsing(parser)
    },
  })
  patches.add(() => { Reflect.deleteProperty(prototype, '_consumed') })
}

/**
 * Has what is thrown by those whom a parser tells be an `uncaughtException` at once, not on its way through the C++ of
 * a TLS socket: see {@link reportListeners}.
 * @param parser which is about to be given what the socket receives.
 */
function reportParsing(parser: Parser): void {
  const { kOnMessageBegin, kOnHeaders, kOnHeadersComplete, kOnBody, kOnMessageComplete } = parser.constructor
  if (parser.socket === null) return
  consumed.set(parser.socket, {})
  for (const event of [kOnHeaders, kOnHeadersComplete, kOnBody, kOnMessageComplete]) {
    const { [event]: callback } = parser
    if (callback !== null) parser[event] = parsing(callback)
  }
  parser[kOnMessageBegin] = reportExecuting
}

/** Called before anything else: what C++ calls last for each chunk is set when it consumes the socket already. */
function reportExecuting(this: Parser): void {
  const { kOnMessageBegin, kOnExecute } = this.constructor
  this[kOnMessageBegin] = null
  const { [kOnExecute]: callback } = this
  if (callback !== null) this[kOnExecute] = executing(callback)
}

/** What has been made of Node's functions, which are four. */
const made = new WeakMap<Callback, Callback>()

function parsing(callback: Callback): Callback {
  const known = made.get(callback)
  if (known !== undefined) return known
  // What C++ calls has nine parameters at most.
  const guarded: Callback = function (a, b, c, d, e, f, g, h, i) {
    const own = consumedBy(this)
    if (own === undefined) return callback.call(this, a, b, c, d, e, f, g, h, i)
    if (own.failed !== undefined) return undefined
    try {
      return callback.call(this, a, b, c, d, e, f, g, h, i)
    } catch (error) {
      own.failed = 'now'
      reportThrown(error)
      return undefined
    }
  }
  made.set(callback, guarded)
  made.set(guarded, guarded)
  return guarded
}

function executing(callback: Callback): Callback {
  return function (parsedBytes) {
    const own = consumedBy(this)
    if (own?.failed === 'now') {
      own.failed = 'before'
      return
    }
    try {
      callback.call(this, own?.failed === undefined ? parsedBytes : stopped())
    } catch (error) {
      reportThrown(error)
    }
    runTicks()
  }
}

/** As C++ makes it. */
function stopped(): Error {
  return Object.assign(new Error('Parse Error'), {
    bytesParsed: 0, code: 'HPE_JS_EXCEPTION', reason: 'JS Exception',
  })
}
