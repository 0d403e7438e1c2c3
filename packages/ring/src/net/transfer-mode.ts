import { transferableAbortSignal } from 'node:util'
import { stockNet } from '@sheaf/ring'

function symbolOf(object: object, name: string): symbol | undefined {
  return Object.getOwnPropertySymbols(object).find(({ description }) => description === name)
}

/**
 * What Node's C++ asks of an object in the transfer list of a message to another thread: its handles, what to send in
 * its place, and to become what was sent. Undefined before 24.21, where sockets and servers can't be transferred.
 */
export const [handlesSymbol, sendSymbol, receiveSymbol] = ['transfer_list', 'transfer', 'deserialize'].map((name) =>
  symbolOf(stockNet.Server.prototype, `messaging_${name}_symbol`))

const signalSymbol = symbolOf(new AbortController().signal, 'kAborted')

export const canBeTransferred = handlesSymbol !== undefined && signalSymbol !== undefined

/** For {@link markTransferable}, whose function of Node's takes only what looks like a signal. */
export function letMark(prototype: object): void {
  if (canBeTransferred) Object.defineProperty(prototype, signalSymbol as symbol, { value: false })
}

/**
 * Has Node's C++ ask the object, as Node's own constructors have it for sockets and servers. The mark can't be seen,
 * and one exported function sets it.
 */
export function markTransferable(object: object): void {
  if (canBeTransferred) transferableAbortSignal(object as AbortSignal)
}
