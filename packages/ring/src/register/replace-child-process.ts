import { ChildProcess } from 'node:child_process'
import { openDefaultRing } from '@sheaf/ring'
import { copyToSend, handOver, lentDescriptor } from '@sheaf/ring/net'
import type { Patches } from './patches'

type Send = (this: Channel, message: unknown, handle: unknown, options: unknown, callback: unknown) => boolean

/** What has a channel to another process. All of Node's ways to send, and what it sends later, go by `_send`. */
interface Channel {
  _send?: Send
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

function sending(send: Send): Send {
  return function (message, handle, options, callback) {
    openDefaultRing()?.turn.sendNow()
    // Else Node throws, and the socket stays what it is.
    if (!sendableTypes.has(typeof message)) return send.call(this, message, handle, options, callback)
    const { keepOpen, swallowErrors } = (options ?? {}) as SendOptions
    const copy = keepOpen ? copyToSend(handle) : undefined
    if (copy === undefined) return send.call(this, message, handOver(handle), options, callback)
    return send.call(this, message, copy, options, (error: Error | null) => {
      copy.destroy()
      if (typeof callback === 'function') (callback as (error: Error | null) => void)(error)
      else if (error && !swallowErrors) this.emit('error', error)
    })
  }
}
