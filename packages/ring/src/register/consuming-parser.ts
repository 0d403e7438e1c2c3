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

/** What is told of an event of a parser. */
interface Telling {
  readonly event: Exclude<keyof Events, 'kOnMessageBegin' | 'kOnExecute'>
  /** C++ runs the ticks after it. */
  readonly ticks?: boolean
  /** What a parser says that has failed as somebody has thrown there. */
  readonly code: string
  readonly reason: string
}

const completing = { code: 'HPE_CB_MESSAGE_COMPLETE', reason: '`on_message_complete` callback error' } as const
const tellings: readonly Telling[] = [
  { event: 'kOnHeaders', ticks: true, ...completing },
  { event: 'kOnHeadersComplete', code: 'HPE_CB_HEADERS_COMPLETE', reason: 'User callback error' },
  { event: 'kOnBody', ticks: true, code: 'HPE_JS_EXCEPTION', reason: 'JS Exception' },
  { event: 'kOnMessageComplete', ...completing },
]

interface Consumed {
  /**
   * Somebody has thrown who was told of what had been parsed: Node's parsers stop then, and have failed when they are
   * given more. C++ has not heard of it.
   */
  failed?: Telling
  /** Of the chunk in which that was nothing more is told. */
  givenMore: boolean
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
  const { constructor: indices, socket } = parser
  if (socket === null) return
  consumed.set(socket, { givenMore: false })
  for (const telling of tellings) {
    const index = indices[telling.event]
    const { [index]: callback } = parser
    if (callback !== null) parser[index] = parsing(callback, telling)
  }
  parser[indices.kOnMessageBegin] = reportExecuting
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

function parsing(callback: Callback, telling: Telling): Callback {
  const known = made.get(callback)
  if (known !== undefined) return known
  // What C++ calls has nine parameters at most.
  const guarded: Callback = function (a, b, c, d, e, f, g, h, i) {
    const own = consumedBy(this)
    if (own === undefined) return callback.call(this, a, b, c, d, e, f, g, h, i)
    if (own.failed !== undefined) return undefined
    let result: unknown
    try {
      result = callback.call(this, a, b, c, d, e, f, g, h, i)
    } catch (error) {
      own.failed = telling
      reportThrown(error)
    }
    // What is thrown in them would be on its way through C++, too.
    if (telling.ticks === true && !runTicks()) own.failed = telling
    return result
  }
  made.set(callback, guarded)
  made.set(guarded, guarded)
  return guarded
}

function executing(callback: Callback): Callback {
  return function (parsedBytes) {
    const own = consumedBy(this)
    try {
      if (own?.failed === undefined) callback.call(this, parsedBytes)
      else if (own.givenMore) callback.call(this, parseError(own.failed))
      else own.givenMore = true
    } catch (error) {
      reportThrown(error)
    }
    runTicks()
  }
}

/** As C++ makes it. */
function parseError({ code, reason }: Telling): Error {
  return Object.assign(new Error('Parse Error'), { bytesParsed: 0, code, reason })
}
