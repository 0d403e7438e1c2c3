import type nodeNet from 'node:net'
import type { ConnectionOptions, TLSSocket as NodeTlsSocket, TLSSocketOptions } from 'node:tls'
import { stockNet } from '@sheaf/ring'
import { announceClient, announcesConnecting, connectSilently, net, type Socket } from '@sheaf/ring/net'
import { inherit } from './inherit'
import { nodeTls } from './node-modules'
import type { Patches } from './patches'
import { type Parser, reportParsers } from './consuming-parser'
import { type Handle, reportCompletions, reportListeners } from './report-thrown'
import { giveErrorsTo, giveStreamHandle, type HandleBeneath, streamBeneath } from './stream-handle'

/** The prototype of TLS sockets. */
export const tlsSocket: object = nodeTls.TLSSocket.prototype

type Constructor = new (...parameters: unknown[]) => object
type Callback = (() => void) | undefined

/** Events of a socket that is connecting, which are those of the TLS socket on it. It passes on `connect` by itself. */
const connectionEvents = [
  'lookup', 'connectionAttempt', 'connectionAttemptFailed', 'connectionAttemptTimeout', 'ready',
] as const

/** What all TLS sockets do to be put on another, also those that Node's own modules make. */
interface Wrapping {
  /** Sets the callbacks of the handle. */
  _init(this: NodeTlsSocket & { readonly _handle: Handle | null }, ...parameters: unknown[]): void
  _wrapHandle(this: NodeTlsSocket, wrap: unknown, handle: HandleBeneath | undefined, ...more: unknown[]): object
}

/** Options that are the TLS socket's, not those of the socket beneath. */
type TlsOnly = 'signal' | 'timeout'

/**
 * Has TLS use Sheaf's sockets. A TLS socket stays Node's, on the C++ that it is made of; the connection beneath it is
 * Sheaf's.
 * @param Server what is in `net.Server`.
 */
export function replaceTls(patches: Patches, Server: typeof nodeNet.Server): void {
  const { connect, TLSSocket } = nodeTls
  const construct = TLSSocket as unknown as (this: unknown, ...parameters: unknown[]) => undefined
  inherit(nodeTls.Server, Server)
  patches.add(() => { inherit(nodeTls.Server, stockNet.Server) })

  const prototype = TLSSocket.prototype as unknown as Partial<Wrapping>
  const { _init: initialise, _wrapHandle: wrapHandle } = prototype
  if (initialise !== undefined) {
    let isFirst = true
    patches.replace(prototype, '_init', function (...parameters) {
      initialise.apply(this, parameters)
      const { _handle: handle } = this
      if (handle === null || streamBeneath(handle) === undefined) return
      reportListeners(handle)
      if (isFirst) changeHandles(patches, Object.getPrototypeOf(handle) as Handle)
      isFirst = false
    })
  }
  if (wrapHandle !== undefined) {
    patches.replace(prototype, '_wrapHandle', function (this: NodeTlsSocket, wrap, handle, ...more) {
      giveErrorsTo(this, handle)
      return wrapHandle.call(this, wrap, handle, ...more)
    })
  }

  patches.replace(nodeTls, 'connect', (...parameters: unknown[]) => {
    const [options, callback] = connectArguments(parameters)
    const { socket, port, path } = options
    giveStreamHandle(socket, 'tls')
    const isNodes = Boolean(socket) || 'handle' in options || 'onread' in options
    if (isNodes || (port === undefined && path === undefined)) {
      return (connect as (...parameters: unknown[]) => NodeTlsSocket)(...parameters)
    }
    return connectBeneath(options, (raw) => connect({ ...options, socket: raw }, callback))
  })

  function Wrapped(this: unknown, socket: nodeNet.Socket, options?: TLSSocketOptions): object | undefined {
    giveStreamHandle(socket, 'tls')
    const parameters = [socket, options]
    const target = new.target as unknown as Constructor | undefined
    const made = target === self ? TLSSocket : target
    if (made !== undefined) return Reflect.construct(TLSSocket, parameters, made) as object
    construct.apply(this, parameters)
    return undefined
  }
  const self = Wrapped as unknown as Constructor
  Object.setPrototypeOf(Wrapped, TLSSocket)
  Object.defineProperties(Wrapped, {
    name: { value: TLSSocket.name },
    prototype: { value: TLSSocket.prototype },
  })
  patches.replace(nodeTls, 'TLSSocket', Wrapped as unknown as typeof TLSSocket)
}

/** @param prototype of the handles of TLS sockets, which is not exported. */
function changeHandles(patches: Patches, prototype: Handle): void {
  reportCompletions(patches, prototype)
  reportParsers(patches, prototype, (handle) => {
    const secure = streamBeneath(handle)?.secure as { readonly parser?: Parser } | undefined
    return secure?.parser
  })
}

/** As `tls.connect` reads its arguments: options beside a port and host are merged, and win. */
function connectArguments(parameters: readonly unknown[]): [ConnectionOptions, Callback] {
  const { _normalizeArgs: normalize } = stockNet as unknown as {
    _normalizeArgs: (parameters: readonly unknown[]) => [ConnectionOptions, Callback | null]
  }
  const [options, callback] = normalize(parameters)
  const more = [parameters[1], parameters[2]].find((value) => typeof value === 'object' && value !== null)
  return [Object.assign(options, more), callback ?? undefined]
}

/** Connects a socket of Sheaf's, and puts a TLS socket on it. */
function connectBeneath(options: ConnectionOptions, put: (raw: Socket) => NodeTlsSocket): NodeTlsSocket {
  const rest: Omit<ConnectionOptions, TlsOnly> & Partial<Record<TlsOnly, unknown>> = { ...options }
  delete rest.signal
  delete rest.timeout
  const raw = connectSilently(() => net.connect(rest as nodeNet.NetConnectOpts)) as unknown as Socket
  let secure: NodeTlsSocket
  try {
    giveStreamHandle(raw, 'tls')
    secure = put(raw)
  } catch (error) {
    // A secure context that can't be made.
    raw.destroy()
    throw error
  }
  if (announcesConnecting) announceClient(secure)
  // Nobody else has that socket: what goes wrong with it is the TLS socket's error, and that closes it.
  raw.removeAllListeners('error').on('error', (error) => secure.destroy(error))
  const destroy = raw.destroy.bind(raw)
  raw.destroy = (error) => {
    if (error && !secure.destroyed) secure.destroy(error)
    return destroy()
  }
  const target = secure as Partial<Pick<Socket, '_host' | '_sockname' | 'autoSelectFamilyAttemptedAddresses'>>
  target._host = raw._host
  // Whoever has asked before found nothing, which is remembered.
  raw.prependOnceListener('connect', () => { target._sockname = null })
  for (const event of connectionEvents) {
    raw.on(event, (...details: unknown[]) => {
      const attempted = raw.autoSelectFamilyAttemptedAddresses
      if (attempted !== undefined) target.autoSelectFamilyAttemptedAddresses = attempted
      secure.emit(event, ...details)
    })
  }
  if (options.timeout) secure.setTimeout(options.timeout)
  return secure
}
