import { Duplex } from 'node:stream'
import { nodeTls } from './node-modules'

/** What C++ is to be told when it has been done. */
export interface Request {
  /** -1 when C++ has given it up. */
  getAsyncId(): number
}

/** Node's `JSStream`: a stream for C++ whose other side is JavaScript. It calls the methods of `StreamHandle`. */
export interface JsStream {
  /** Called with what is received while C++ does not listen; without anything at the end. */
  onread: (received?: ArrayBuffer) => void
  readBuffer(chunk: Uint8Array): void
  emitEOF(): void
  finishWrite(request: Request, status: number): void
  finishShutdown(request: Request, status: number): void
}

/** Node does not export the class, but makes such a stream beneath a TLS socket that is put on a JavaScript stream. */
export function findJsStream(): new () => JsStream {
  // With `ca` it need not read the root certificates.
  const secureContext = nodeTls.createSecureContext({ ca: [] })
  const stream = new Duplex({ read: () => undefined, write: () => undefined })
  const socket = new nodeTls.TLSSocket(stream, { isServer: true, secureContext })
  const { _handle } = socket as unknown as { _handle: { _parent: { constructor: new () => JsStream } } }
  const { constructor } = _handle._parent
  socket.on('error', () => undefined).destroy()
  return constructor
}
