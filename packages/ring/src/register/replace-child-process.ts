import { ChildProcess } from 'node:child_process'
import { handOver, lentDescriptor } from '@sheaf/ring/net'
import type { Patches } from './patches'

type Send = (this: unknown, message: unknown, handle: unknown, options: unknown, callback: unknown) => boolean

/** What has a channel to another process. All of Node's ways to send, and what it sends later, go by `_send`. */
interface Channel {
  _send?: Send
}

/**
 * Sockets and servers of Sheaf's can be sent to other processes, and be among what a child begins with: Node's C++
 * takes handles of Node's only.
 */
export function replaceChildProcess(patches: Patches): void {
  const children = ChildProcess.prototype as unknown as { spawn: (this: Channel, options: object) => unknown }
  const { spawn } = children
  patches.replace(children, 'spawn', function (options) {
    const result = spawn.call(this, inheritable(options))
    if (this._send !== undefined) this._send = sending(this._send)
    return result
  })
  const own = process as Channel
  if (own._send !== undefined) patches.replace(own as Required<Channel>, '_send', sending(own._send))
}

function inheritable(options: object): object {
  const { stdio } = options as { stdio?: unknown }
  return Array.isArray(stdio)
    ? { ...options, stdio: stdio.map((entry: unknown) => lentDescriptor(entry) ?? entry) }
    : options
}

const sendableTypes = new Set(['string', 'object', 'number', 'boolean'])

function sending(send: Send): Send {
  return function (message, handle, options, callback) {
    // Else Node throws, and the socket stays what it is.
    const sends = sendableTypes.has(typeof message)
    const { keepOpen = false } = (options ?? {}) as { keepOpen?: boolean }
    return send.call(this, message, sends ? handOver(handle, keepOpen) : handle, options, callback)
  }
}
