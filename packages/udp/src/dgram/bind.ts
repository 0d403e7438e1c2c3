import { EventEmitter } from 'node:events'
import { nodeMajor, systemError } from '@sheaf/ring'
import { checkString } from './arguments'
import { shareAddress, type SharedAddress, type SharedHandle, sharesAddresses } from './cluster'
import { addressError, alreadyBound } from './errors'
import { bufferSize, BufferOption } from './socket-calls'
import { BindState, type SocketState } from './state'

/** `UV_UDP_IPV6ONLY`, `UV_UDP_REUSEADDR`: the primary process of a cluster knows them. */
const ipv6OnlyFlag = 1
const reuseAddressFlag = 4

interface BindTarget {
  port?: number | null
  address?: string
  fd?: number
  exclusive?: boolean
}

/** `bind`, with the arguments it was called with. */
export function bind(state: SocketState, target: unknown, address: unknown, callback: unknown): void {
  const { socket } = state
  state.checkRunning()
  if (state.bindState !== BindState.Unbound) throw alreadyBound()
  state.bindState = BindState.Binding
  if (typeof callback === 'function') onceListening(socket, callback as () => void)

  const options = typeof target === 'object' ? target as BindTarget | null : null
  const fd = options?.fd
  const shared = sharesAddresses() && options?.exclusive !== true
  if (options !== null && 'recvStart' in options) {
    // Node's own handle of a UDP socket, which is this one's from here on.
    const handle = options as unknown as SharedHandle
    adopt(state, handle.fd, true)
    handle.close()
  } else if (Number.isInteger(fd) && (fd as number) > 0) {
    const wanted = { address: null, port: null, addressType: typeOf(state), fd: fd as number, flags: 0 }
    if (shared) bindShared(state, wanted, (errno) => systemError(errno, 'open'))
    else adopt(state, fd as number, false)
  } else {
    const host = options === null ? address : options.address
    const port = options === null ? target : options.port
    if (host && typeof host !== 'function') checkString('hostname', host)
    bindTo(state, typeof host === 'string' ? host : '', Number(port) & 0xffff, shared)
  }
}

/** A failure takes the listener away. Before Node 24 it counts as heard, too. */
const failure = nodeMajor < 24 ? 'error' : EventEmitter.errorMonitor

function onceListening(socket: EventEmitter, callback: () => void): void {
  const forget = (): void => {
    socket.removeListener(failure, forget)
    socket.removeListener('listening', listening)
  }
  const listening = (): void => {
    forget()
    callback.call(socket)
  }
  socket.on(failure, forget)
  socket.on('listening', listening)
}

function typeOf(state: SocketState): 'udp4' | 'udp6' {
  return state.ipv6 ? 'udp6' : 'udp4'
}

function adopt(state: SocketState, fd: number, duplicate: boolean): void {
  const result = state.running.adopt(fd, duplicate)
  if (result < 0) throw systemError(result, 'open')
  listen(state)
}

function bindTo(state: SocketState, address: string, port: number, shared: boolean): void {
  const host = address === '' ? state.ipv6 ? '::' : '0.0.0.0' : address
  state.resolve(host, (error, ip) => {
    if (state.endpoint === undefined) return
    if (error) {
      failed(state, error)
      return
    }
    const { options } = state
    if (shared && !options.reusePort) {
      const flags = (options.reuseAddress ? reuseAddressFlag : 0) | (options.ipv6Only ? ipv6OnlyFlag : 0)
      const wanted = { address: ip, port, addressType: typeOf(state), fd: -1, flags }
      bindShared(state, wanted, (errno) => addressError(errno, 'bind', ip, port))
      return
    }
    const result = state.endpoint.bind(ip, port, options)
    if (result < 0) failed(state, addressError(result, 'bind', ip, port))
    else listen(state)
  })
}

function failed(state: SocketState, error: Error): void {
  state.bindState = BindState.Unbound
  state.socket.emit('error', error)
}

/** Takes a socket that the primary process of the cluster has bound, for all workers that ask for the address. */
function bindShared(state: SocketState, wanted: SharedAddress, errorOf: (errno: number) => Error): void {
  shareAddress(state.socket, wanted, (errno, handle) => {
    if (state.endpoint === undefined) {
      handle?.close()
      return
    }
    const result = handle === null ? errno : state.endpoint.adopt(handle.fd, true)
    if (handle === null || result < 0) {
      handle?.close()
      failed(state, errorOf(result))
      return
    }
    closeTogether(state, handle)
    listen(state)
  })
}

/**
 * When the cluster disconnects it closes its handles, and waits for each: for all that the socket's `close` has others
 * do, as they may have something to send to the primary. When the socket closes its handle does, at once: by that the
 * cluster knows, in `listening`, that the socket has no address any more.
 */
function closeTogether(state: SocketState, handle: SharedHandle): void {
  const closeHandle = handle.close.bind(handle)
  state.shared = { close: () => closeHandle() }
  handle.close = (callback) => {
    if (state.endpoint === undefined) closeHandle(callback)
    else state.socket.close(callback)
  }
}

function listen(state: SocketState): void {
  receive(state)
  state.socket.emit('listening')
}

/** Receives from now on, being bound. */
export function receive(state: SocketState): void {
  const endpoint = state.running
  endpoint.start()
  state.bindState = BindState.Bound
  const { receiveBufferSize, sendBufferSize } = state.options
  if (receiveBufferSize !== 0) bufferSize(endpoint.descriptor, BufferOption.Receive, receiveBufferSize)
  if (sendBufferSize !== 0) bufferSize(endpoint.descriptor, BufferOption.Send, sendBufferSize)
}
