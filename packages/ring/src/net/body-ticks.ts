import { openDefaultRing } from '@sheaf/ring'

/** The parser of a connection that a server of `http` has taken, as Node has it: it is used again for others. */
interface Parser {
  readonly incoming?: { readonly method?: string | null } | null
  [callback: number]: (this: Parser, ...details: unknown[]) => unknown
}

const known = new WeakSet<Parser>()

/**
 * Has `process.nextTick` and promise callbacks run between a part of a request's body and what comes behind it, also if
 * both have come together. They do on Node's sockets, whose bytes a server's parser takes in C++: there each callback
 * is a call of its own. Where it is given them by JavaScript, as here, all that has come is told within one.
 */
export function tickAfterBodies(socket: object): void {
  const { parser } = socket as { readonly parser?: Parser | null }
  if (parser === undefined || parser === null || known.has(parser)) return
  known.add(parser)
  const { kOnBody: index } = parser.constructor as { kOnBody?: number }
  const onBody = index === undefined ? undefined : parser[index]
  if (index === undefined || typeof onBody !== 'function') return
  parser[index] = function (...details) {
    const result = onBody.apply(this, details)
    // Of an answer a client's parser is told by JavaScript on Node's sockets, too.
    if (typeof this.incoming?.method === 'string') openDefaultRing()?.turn.endPart()
    return result
  }
}
