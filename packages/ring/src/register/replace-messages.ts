import { MessagePort } from 'node:worker_threads'
import { openDefaultRing } from '@sheaf/ring'
import { offerForTransfer } from '@sheaf/ring/net'
import type { Patches } from './patches'

type PostMessage = (this: MessagePort, ...parameters: unknown[]) => unknown

/**
 * Sockets and servers of Sheaf's can be moved to other threads: Node's C++ takes handles of Node's only. And what was
 * written before a message leaves before it: who gets that may end this thread.
 */
export function replaceMessages(patches: Patches): void {
  const ports = MessagePort.prototype as unknown as { postMessage: PostMessage }
  const { postMessage } = ports
  patches.replace(ports, 'postMessage', function (...parameters) {
    openDefaultRing()?.turn.sendNow()
    const send = (): unknown => postMessage.apply(this, parameters)
    return parameters.length < 2 ? send() : offerForTransfer(listOf(parameters[1]), send)
  })
}

/** A transfer list, or options with one; what is neither is for Node to refuse. */
function listOf(given: unknown): readonly unknown[] {
  if (typeof given !== 'object' || given === null) return []
  const values: unknown = Array.isArray(given) ? given : (given as { transfer?: unknown }).transfer
  return Array.isArray(values) ? values : []
}
