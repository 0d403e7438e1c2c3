import { ChildProcess } from 'node:child_process'
import { openDefaultRing, stockNet } from '@sheaf/ring'
import { copyToSend, handOver, lentDescriptor, net } from '@sheaf/ring/net'
import type { Patches } from './patches'

type Send = (this: Channel, message: unknown, handle: unknown, options: unknown, callback: unknown) => boolean

/** What has a channel to another process. All of Node's ways to send, and what it sends later, go by `_send`. */
interface Channel {
  _send?: Send
  /** What waits until the child has said that it has the last handle. */
  readonly _handleQueue?: object | null
  emit(event: 'error', error: Error): unknown
}

/**
 * Sockets and servers of Sheaf's can be sent to other processes, and be among what a child begins with: Node's C++
 * takes handles of Node's only. And what was written before a message leaves before it: who gets that may end this
 * process.
 */
export function replaceChildProcess(patches: Patches): void {
  const children = ChildProcess.prototype as unknown as { spawn: (this: Channel, options: object) => unknown }
  const { spawn } = children
  patches.replace(children, 'spawn', function (options) {
    const result = spawn.call(this, inheritable(options))
    if (this._send !== undefined) this._send = sending(this._send)
    return result
  })
  const own = process as unknown as Channel
  if (own._send !== undefined) patches.replace(own as Required<Channel>, '_send', sending(own._send))
}

function inheritable(options: object): object {
  const { stdio } = options as { stdio?: unknown }
  return Array.isArray(stdio)
    ? { ...options, stdio: stdio.map((entry: unknown) => lentDescriptor(entry) ?? entry) }
    : options
}

const sendableTypes = new Set(['string', 'object', 'number', 'boolean'])

interface SendOptions {
  readonly keepOpen?: boolean
  readonly swallowErrors?: boolean
}

type Sent = (error: Error | null) => void

function sending(send: Send): Send {
  return function (message, handle, options, callback) {
    openDefaultRing()?.turn.sendNow()
    // Node throws; or comes back with the socket when the one before has arrived, if the channel is still there then.
    const staysHere = !sendableTypes.has(typeof message) || (Boolean(this._handleQueue) && isNodesKind(handle))
    if (staysHere) return send.call(this, message, handle, options, callback)
    const { keepOpen, swallowErrors } = (options ?? {}) as SendOptions
    const copy = keepOpen ? copyToSend(handle) : undefined
    const given = copy ?? handOver(handle)
    try {
      if (copy === undefined) return send.call(this, message, given, options, callback)
      // It is told in any case: the copy is to be closed.
      return send.call(this, message, copy, { keepOpen, swallowErrors: false }, (error: Error | null) => {
        copy.destroy()
        if (error && swallowErrors) return
        if (typeof callback === 'function') (callback as Sent)(error)
        else if (error) this.emit('error', error)
      })
    } catch (error) {
      // The message can't be serialised.
      if (given !== handle && given instanceof stockNet.Socket) given.destroy()
      throw error
    }
  }
}

/** What Node keeps until it can send it. */
function isNodesKind(handle: unknown): boolean {
  return handle instanceof stockNet.Socket || handle instanceof stockNet.Server
    || handle instanceof net.Socket || handle instanceof net.Server
}
