import { defaultRing } from '@sheaf/ring'
import { notTransferable } from './errors'
import { type ForeignHandle, isForeignHandle } from './foreign-handle'
import { ListenHandle } from './listen-handle'
import { nodeListenHandle } from './node-handle'
import { Server } from './server'
import { adoptForeign, handleOf, Socket } from './socket'
import {
  canBeTransferred, handlesSymbol, letMark, markTransferable, receiveSymbol, sendSymbol,
} from './transfer-mode'

/*
 * Sockets and servers in the transfer list of a message to another thread, which Node has from 24.21 on. What goes over
 * is Node's handle, and what comes out at the other end is what `node:net` has there: Sheaf's sockets or Node's.
 */

/** Node's handle of a socket or server that is in a message under way. */
interface Offer {
  readonly handle: ForeignHandle
  readonly owner: Socket | Server
  taken: boolean
}

/** Those of the message that is being sent. */
let offers: Offer[] | undefined

/**
 * Does what sends a message, in whose transfer list are `values`. Sockets and servers of Sheaf's among them have let go
 * of their connections and listeners when it has been sent, and go on if it could not be.
 */
export function offerForTransfer<T>(values: readonly unknown[], send: () => T): T {
  const sockets = canBeTransferred ? values.filter(isSocket) : []
  for (const socket of sockets) markTransferable(socket)
  const before = offers
  const own = offers = [] as Offer[]
  try {
    return send()
  } finally {
    offers = before
    for (const { handle, owner, taken } of own) if (!taken) withdraw(handle, owner)
  }
}

function isSocket(value: unknown): value is Socket {
  return typeof value === 'object' && value !== null && handleOf(value) !== null
}

function withdraw(handle: ForeignHandle, owner: Socket | Server): void {
  handle.close()
  const own = handleOf(owner)
  if (own?.reading === true) own.readStart()
}

/** @returns a descriptor, or `-errno` if it can't be had. */
function offered(owner: Socket | Server): number {
  if (isServer(owner)) {
    const listener: unknown = owner._handle
    return listener instanceof ListenHandle && listener.family.kind === 'tcp' ? listener.lend() : -1
  }
  const handle = handleOf(owner)
  const isFresh = !owner.destroyed && !owner.connecting && owner.bytesRead === 0 && owner.bytesWritten === 0
    && owner.readableLength === 0 && owner.writableLength === 0 && owner.readableEncoding === null
  return isFresh && handle?.family.kind === 'tcp' ? handle.offer() : -1
}

function isServer(value: Socket | Server): value is Server {
  return value instanceof Server
}

function offer(owner: Socket | Server): ForeignHandle {
  const fd = offers === undefined ? -1 : offered(owner)
  if (fd < 0) {
    const own = handleOf(owner)
    if (own?.reading === true) own.readStart()
    throw notTransferable(isServer(owner) ? 'net.Server' : 'net.Socket')
  }
  const handle = nodeListenHandle(defaultRing(), fd)
  offers?.push({ handle, owner, taken: false })
  return handle
}

/** Marks the offer as taken. @returns Node's handle. */
function take(owner: Socket | Server): ForeignHandle {
  const found = offers?.find((one) => one.owner === owner)
  if (found === undefined) throw notTransferable(isServer(owner) ? 'net.Server' : 'net.Socket')
  found.taken = true
  return found.handle
}

interface Sent {
  readonly handle: ForeignHandle
}

interface SentServer extends Sent {
  readonly allowHalfOpen: boolean
  readonly pauseOnConnect: boolean
  readonly noDelay: boolean
  readonly keepAlive: boolean
  /** In ms. */
  readonly keepAliveInitialDelay: number
  readonly highWaterMark: number
}

interface SentSocket extends Sent {
  readonly allowHalfOpen: boolean
}

function sendSocket(this: Socket): { data: SentSocket, deserializeInfo: string } {
  const data = { handle: take(this), allowHalfOpen: this.allowHalfOpen }
  const own = handleOf(this)
  this._handle = null
  own?.close()
  this.destroy()
  return { data, deserializeInfo: 'net:Socket' }
}

function receiveSocket(this: Socket, data: Partial<SentSocket> | undefined): void {
  if (!isForeignHandle(data?.handle)) throw notTransferable('net.Socket')
  this.allowHalfOpen = Boolean(data.allowHalfOpen)
  adoptForeign(this, data.handle)
}

function sendServer(this: Server): { data: SentServer, deserializeInfo: string } {
  const { allowHalfOpen, pauseOnConnect, noDelay, keepAlive, keepAliveInitialDelay, highWaterMark } = this
  const data = {
    handle: take(this), allowHalfOpen, pauseOnConnect, noDelay, keepAlive,
    keepAliveInitialDelay: keepAliveInitialDelay * 1000, highWaterMark,
  }
  this._handle?.leave()
  this._handle = null
  return { data, deserializeInfo: 'net:Server' }
}

function receiveServer(this: Server, data: Partial<SentServer> | undefined): void {
  if (!isForeignHandle(data?.handle)) throw notTransferable('net.Server')
  this.allowHalfOpen = Boolean(data.allowHalfOpen)
  this.pauseOnConnect = Boolean(data.pauseOnConnect)
  this.noDelay = Boolean(data.noDelay)
  this.keepAlive = Boolean(data.keepAlive)
  this.keepAliveInitialDelay = Math.trunc((data.keepAliveInitialDelay ?? 0) / 1000)
  this.highWaterMark = data.highWaterMark ?? this.highWaterMark
  // As what another process has sent: Node accepts.
  this.listen(data.handle)
}

function offerHandle(this: Socket | Server): ForeignHandle[] {
  return [offer(this)]
}

function define(prototype: object, methods: readonly unknown[]): void {
  letMark(prototype)
  for (const [index, name] of [handlesSymbol, sendSymbol, receiveSymbol].entries()) {
    if (name === undefined) continue
    Object.defineProperty(prototype, name, { value: methods[index], writable: true, configurable: true })
  }
}

define(Socket.prototype, [offerHandle, sendSocket, receiveSocket])
define(Server.prototype, [offerHandle, sendServer, receiveServer])
