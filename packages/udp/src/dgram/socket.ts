import type dgram from 'node:dgram'
import diagnostics from 'node:diagnostics_channel'
import { EventEmitter } from 'node:events'
import { BlockList } from 'node:net'
import { checkSignalOption, invalidArgumentType, stockDatagram } from '@sheaf/ring'
import { checkNumber, checkString, checkUint32, payloadOf, portOf, slice } from './arguments'
import { bind } from './bind'
import { connect, disconnect } from './connect'
import { addDeprecated } from './deprecated'
import { alreadyConnected, badBufferSize, badType, missingArgument, notConnected } from './errors'
import { type SendCallback, sendTo, sendToPeer } from './send'
import {
  bufferSize, BufferOption, changeMembership, changeSourceMembership, hops, type Membership, membership,
  multicastHops, multicastLoopback, setBroadcast, setMulticastInterface, setPairedOption,
} from './socket-calls'
import { bindNow, connectNow } from './synchronous'
import { BindState, ConnectState, type Lookup, type SocketOptions, SocketState } from './state'

const stateKey = Symbol('sheaf.dgram')

/** `node:dgram`'s socket. */
export interface Socket extends dgram.Socket {
  type: dgram.SocketType
  [stateKey]: SocketState
}

type Callback = (...args: unknown[]) => void

const created = diagnostics.channel('udp.socket')

function construct(socket: Socket, type: unknown, listener: unknown): void {
  EventEmitter.call(socket)
  const options = typeof type === 'object' && type !== null ? type as Record<string, unknown> : {}
  const name = typeof type === 'object' ? options.type : type
  if (name !== 'udp4' && name !== 'udp6') throw badType()
  const { signal } = options
  checkSignalOption(signal)
  const checked = checkOptions(options)
  socket.type = name
  Object.defineProperty(socket, stateKey, { value: new SocketState(socket, name === 'udp6', checked) })
  if (typeof listener === 'function') socket.on('message', listener as Callback)
  if (signal !== undefined) closeOnAbort(socket, signal as AbortSignal)
  if (created.hasSubscribers) created.publish({ socket })
}

function checkOptions(options: Record<string, unknown>): SocketOptions {
  const { lookup, recvBufferSize, sendBufferSize, receiveBlockList, sendBlockList } = options
  if (lookup !== undefined && typeof lookup !== 'function') {
    throw invalidArgumentType('lookup', 'of type function', lookup)
  }
  if (recvBufferSize) checkUint32('options.recvBufferSize', recvBufferSize)
  if (sendBufferSize) checkUint32('options.sendBufferSize', sendBufferSize)
  return {
    reuseAddress: Boolean(options.reuseAddr),
    reusePort: Boolean(options.reusePort),
    ipv6Only: Boolean(options.ipv6Only),
    receiveBufferSize: recvBufferSize ? recvBufferSize as number : 0,
    sendBufferSize: sendBufferSize ? sendBufferSize as number : 0,
    lookup: lookup as Lookup | undefined,
    receiveBlockList: blockList('receiveBlockList', receiveBlockList),
    sendBlockList: blockList('sendBlockList', sendBlockList),
  }
}

function blockList(name: string, value: unknown): BlockList | undefined {
  if (!value) return undefined
  if (value instanceof BlockList) return value
  throw invalidArgumentType(`options.${name}`, 'an instance of net.BlockList', value)
}

function closeOnAbort(socket: Socket, signal: AbortSignal): void {
  const abort = (): void => {
    if (socket[stateKey].endpoint !== undefined) socket.close()
  }
  if (signal.aborted) {
    abort()
    return
  }
  signal.addEventListener('abort', abort, { once: true })
  socket.once('close', () => signal.removeEventListener('abort', abort))
}

function membershipCall(socket: Socket, option: Membership, group: string, on?: string | null): void {
  const { running } = socket[stateKey]
  if (!group) throw missingArgument('multicastAddress')
  changeMembership((ipv6) => running.bindAny(ipv6, option.call), option, group, on ?? undefined)
}

function sourceMembershipCall(
  socket: Socket,
  option: Membership,
  source: string,
  group: string,
  on?: string | null,
): void {
  const { running } = socket[stateKey]
  checkString('sourceAddress', source)
  checkString('groupAddress', group)
  changeSourceMembership((ipv6) => running.bindAny(ipv6, option.call), option, source, group, on ?? undefined)
}

function setBufferSize(socket: Socket, option: BufferOption, sizeBytes: number): void {
  if (!Number.isInteger(sizeBytes) || sizeBytes < 0 || sizeBytes > 0xffffffff) throw badBufferSize()
  bufferSize(socket[stateKey].running.descriptor, option, sizeBytes)
}

const methods: Record<string, unknown> & ThisType<Socket> = {
  bind(...args: unknown[]) {
    bind(this[stateKey], args[0], args[1], args.at(-1))
    return this
  },

  connect(port: unknown, address?: unknown, callback?: unknown) {
    const number = portOf(port)
    const told = typeof address === 'function' ? address : callback
    const host = address === undefined || typeof address === 'function' ? '' : address
    checkString('address', host)
    connect(this[stateKey], number, host, typeof told === 'function' ? told as () => void : undefined)
  },

  disconnect() {
    disconnect(this[stateKey])
  },

  sendto(bytes: unknown, offset: unknown, length: unknown, port: unknown, address: unknown, callback?: unknown) {
    checkNumber('offset', offset)
    checkNumber('length', length)
    checkNumber('port', port)
    checkString('address', address)
    ;(this.send as Callback)(bytes, offset, length, port, address, callback)
  },

  send(message: unknown, ...rest: unknown[]) {
    const state = this[stateKey]
    const connected = state.connectState === ConnectState.Connected
    const { bytes, port, address, callback } = connected ? peerArguments(message, rest) : sendArguments(message, rest)
    state.checkRunning()
    if (state.bindState === BindState.Unbound) bind(state, { port: 0, exclusive: true }, undefined, undefined)
    if (state.bindState !== BindState.Bound) {
      // The caller may change it as soon as `send` has returned, and this goes out later.
      const copy = Buffer.from(bytes)
      state.whenBound(() => sendTo(state, copy, port, address, callback))
    } else if (connected) {
      sendToPeer(state, bytes, callback)
    } else {
      sendTo(state, bytes, port, address, callback)
    }
  },

  close(callback?: unknown) {
    if (typeof callback === 'function') this.on('close', callback as () => void)
    const state = this[stateKey]
    if (state.queue !== undefined) state.queue.push(() => this.close())
    else state.close()
    return this
  },

  address() {
    return this[stateKey].running.address('getsockname')
  },

  remoteAddress() {
    const state = this[stateKey]
    state.checkRunning()
    if (state.connectState !== ConnectState.Connected) throw notConnected()
    return state.running.address('getpeername')
  },

  setBroadcast(flag: unknown) {
    setBroadcast(this[stateKey].running.descriptor, Boolean(flag))
  },

  setTTL(ttl: unknown) {
    checkNumber('ttl', ttl)
    setPairedOption(this[stateKey].running.descriptor, hops, ttl)
    return ttl
  },

  setMulticastTTL(ttl: unknown) {
    checkNumber('ttl', ttl)
    setPairedOption(this[stateKey].running.descriptor, multicastHops, ttl)
    return ttl
  },

  setMulticastLoopback(flag: unknown) {
    setPairedOption(this[stateKey].running.descriptor, multicastLoopback, flag ? 1 : 0)
    return flag
  },

  setMulticastInterface(address: unknown) {
    const { running } = this[stateKey]
    checkString('interfaceAddress', address)
    setMulticastInterface(running.descriptor, address)
  },

  addMembership(group: string, on?: string | null) {
    membershipCall(this, membership.join, group, on)
  },

  dropMembership(group: string, on?: string | null) {
    membershipCall(this, membership.leave, group, on)
  },

  addSourceSpecificMembership(source: string, group: string, on?: string | null) {
    sourceMembershipCall(this, membership.joinSource, source, group, on)
  },

  dropSourceSpecificMembership(source: string, group: string, on?: string | null) {
    sourceMembershipCall(this, membership.leaveSource, source, group, on)
  },

  ref() {
    this[stateKey].endpoint?.ref()
    return this
  },

  unref() {
    this[stateKey].endpoint?.unref()
    return this
  },

  setRecvBufferSize(sizeBytes: number) {
    setBufferSize(this, BufferOption.Receive, sizeBytes)
  },

  setSendBufferSize(sizeBytes: number) {
    setBufferSize(this, BufferOption.Send, sizeBytes)
  },

  getRecvBufferSize() {
    return bufferSize(this[stateKey].running.descriptor, BufferOption.Receive, 0)
  },

  getSendBufferSize() {
    return bufferSize(this[stateKey].running.descriptor, BufferOption.Send, 0)
  },

  getSendQueueSize() {
    return this[stateKey].running.bytesQueued
  },

  getSendQueueCount() {
    return this[stateKey].running.messagesQueued
  },
}

/**
 * As in `node:dgram`, no class: programs written before there were classes call it on objects of their own.
 */
export function Socket(this: Socket | undefined, type: unknown, listener?: unknown): Socket | undefined {
  if (!(this instanceof Socket)) return create(type, listener)
  construct(this, type, listener)
  return undefined
}
Object.setPrototypeOf(Socket, EventEmitter)
Socket.prototype = Object.create(EventEmitter.prototype, {
  constructor: { value: Socket, writable: true, configurable: true },
}) as Socket
Object.assign(Socket.prototype, methods)
Object.defineProperty(Socket.prototype, Symbol.asyncDispose, {
  configurable: true,
  writable: true,
  async value(this: Socket) {
    if (this[stateKey].endpoint === undefined) return
    await new Promise<void>((closed) => this.close(closed))
  },
})
const synchronous: Record<string, unknown> & ThisType<Socket> = {
  bindSync(options: unknown = {}) {
    const state = this[stateKey]
    bindNow(state, options)
    return state.running.address('getsockname')
  },

  connectSync(port: unknown, address?: unknown) {
    connectNow(this[stateKey], port, address)
  },
}
for (const [name, method] of Object.entries(synchronous)) {
  if (name in stockDatagram.Socket.prototype) Object.assign(Socket.prototype, { [name]: method })
}
addDeprecated<Socket>(Socket.prototype, (socket) => socket[stateKey])

export function createSocket(type: unknown, listener?: unknown): dgram.Socket {
  return create(type, listener)
}

function create(type: unknown, listener: unknown): Socket {
  return new (Socket as unknown as new (type: unknown, listener: unknown) => Socket)(type, listener)
}

interface SendArguments {
  readonly bytes: Uint8Array
  readonly port: number
  readonly address: string
  readonly callback: SendCallback | undefined
}

/** `send(message, [offset, length,] port, [address,] [callback])` */
function sendArguments(message: unknown, rest: unknown[]): SendArguments {
  const [, , third, fourth] = rest
  const isPart = Boolean(fourth) || (Boolean(third) && typeof third !== 'function')
  const bytes = isPart ? slice(message, rest[0], rest[1]) : payloadOf(message)
  const [port, address, callback] = isPart ? rest.slice(2) : rest
  const number = portOf(port)
  if (typeof address === 'function') return { bytes, port: number, address: '', callback: callbackOf(address) }
  if (address !== undefined && address !== null) checkString('address', address)
  return { bytes, port: number, address: address ?? '', callback: callbackOf(callback) }
}

/** `send(message, [offset, length,] [callback])` */
function peerArguments(message: unknown, rest: unknown[]): SendArguments {
  const [offset, length, third, fourth] = rest
  const isPart = typeof length === 'number'
  const bytes = isPart ? slice(message, offset, length) : payloadOf(message)
  const isCallback = isPart && typeof third === 'function'
  if ((third && !isCallback) || fourth) throw alreadyConnected()
  return { bytes, port: 0, address: '', callback: callbackOf(isPart ? third : offset) }
}

function callbackOf(value: unknown): SendCallback | undefined {
  return typeof value === 'function' ? value as SendCallback : undefined
}
