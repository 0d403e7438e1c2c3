import { Duplex } from 'node:stream'
import { checkSignalOption, defaultRing, stockNet } from '@sheaf/ring'
import { kindOfBound } from './bound-socket'
import { callableClass, construct } from './callable-class'
import { type ForeignHandle, isForeignHandle, takeDescriptor } from './foreign-handle'
import { becomeNodes, continueAsNodes } from './foreign-socket'
import { adopt, adoptBound, setHandle } from './give-handle'
import { SocketHandle } from './socket-handle'
import { SocketMethods } from './socket-methods'
import { checkOptions, isNodes, type SocketOptions } from './socket-options'
import { newState, type Receiver, setState, state } from './socket-state'
import { markTransferable } from './transfer-mode'
import { refuseWritesAfterEnd } from './untimely-writes'

export type Socket = SocketMethods

/** `net.Socket`, on a connection of Sheaf's. */
export const Socket = callableClass('Socket', SocketMethods, stockNet.Socket, initialise)

/** @returns Node's own socket for what no connection of Sheaf's can be made of. */
function initialise(socket: Socket, given?: SocketOptions | number): object | undefined {
  const options: SocketOptions = typeof given === 'number' ? { fd: given } : { ...given }
  checkOptions(options)
  const { fd, handle } = options
  if ((fd !== undefined || Boolean(handle)) && isNodes(options)) {
    if (Object.getPrototypeOf(socket) === Socket.prototype) return new stockNet.Socket(options)
    setState(socket, undefined)
    becomeNodes(socket, Socket.prototype, options)
    return undefined
  }
  // All this before the stream is made: a signal that is aborted already destroys it at once.
  const own = newState(socket, options)
  setState(socket, own)
  socket.connecting = false
  socket._hadError = false
  socket._parent = null
  socket._host = null
  socket._sockname = null
  socket._pendingData = null
  socket._pendingEncoding = ''
  socket._closeAfterHandlingError = false
  socket.server = null
  socket._server = null
  options.allowHalfOpen = Boolean(options.allowHalfOpen)
  // `close` is told when the kernel has let go; and strings are encoded where they are sent from.
  construct(Duplex, socket, { ...options, emitClose: false, autoDestroy: true, decodeStrings: false })
  socket.on('end', refuseWritesAfterEnd)
  // So one is made that is to become what another thread has sent.
  if (given === undefined) markTransferable(socket)
  if (handle instanceof SocketHandle) setHandle(socket, handle)
  else if (kindOfBound(handle) !== undefined) adoptBound(socket, handle)
  else if (isForeignHandle(handle)) adoptForeign(socket, handle)
  else if (fd !== undefined) adopt(socket, fd)
  if (own.handle !== null && options.readable !== false) {
    if (options.pauseOnCreate) (socket as { readableFlowing: boolean | null }).readableFlowing = false
    else if (!options.manualStart) socket.read(0)
  }
  if (options.signal) abortConnecting(socket, options.signal)
  return undefined
}

/** Makes the socket's handle of one of Node's. Where there is no other descriptor to be had, Node needs none. */
export function adoptForeign(socket: Socket, handle: ForeignHandle): void {
  const fd = takeDescriptor(defaultRing(), handle)
  if (fd < 0) continueAsNodes(socket, Socket.prototype, handle)
  else adopt(socket, fd)
}

/** A socket for a connection that a server has accepted. */
export function acceptedSocket(handle: SocketHandle, options: SocketOptions): Socket {
  return new Socket({ ...options, handle })
}

function abortConnecting(socket: Socket, signal: AbortSignal): void {
  checkSignalOption(signal)
  const abort = (): void => { socket._aborted = true }
  process.nextTick(() => {
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
}

/**
 * From now on `receiver` is given what the connection beneath `socket` receives.
 * @param shown what is in the socket's `_handle` until it is closed: a TLS socket that is destroyed by an error of the
 * socket waits for that.
 */
export function divert(socket: Socket, receiver: Receiver, shown: object): void {
  const own = socket[state]
  own.receiver = receiver
  own.shown = shown
  own.handle?.divert(receiver)
  socket.once('close', () => { own.shown = undefined })
}

/** The connection beneath a socket of Sheaf's, or what is to become one; null while there is none, or for another's. */
export function handleOf(socket: object): SocketHandle | null {
  return (socket as Partial<Socket>)[state]?.handle ?? null
}

/** Not one of Node's, which may inherit from Sheaf's. */
export function isSheafs(socket: object): boolean {
  // Not by `in`: V8 is slow at that where many kinds of objects are asked.
  return (socket as Partial<Socket>)[state] !== undefined
}
