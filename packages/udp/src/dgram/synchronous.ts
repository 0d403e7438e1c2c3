import { isIP } from 'node:net'
import { invalidArgumentType } from '@sheaf/ring'
import { checkString, portOf } from './arguments'
import { receive } from './bind'
import { connectTo } from './connect'
import { addressError, alreadyBound, alreadyConnected, badAddress } from './errors'
import { BindState, ConnectState, type SocketState } from './state'

/*
 * Binding and connecting within the call, which Node has from 24 on. The events are told all the same, in the next
 * tick. A cluster's workers share no address that is bound in this way.
 */

/** `bindSync`. @throws what the checks find, and SystemError: the socket is as it was then. */
export function bindNow(state: SocketState, options: unknown): void {
  state.checkRunning()
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw invalidArgumentType('options', 'of type object', options)
  }
  if (state.bindState !== BindState.Unbound) throw alreadyBound()
  const { port: wanted, address } = options as { port?: unknown, address?: unknown }
  const port = portOf(wanted ?? 0, 'options.port', 0)
  // Whatever is falsy is none.
  const given = address ? numericAddress(address, 'options.address', 'bindSync') : undefined
  const host = given ?? (state.ipv6 ? '::' : '0.0.0.0')
  const result = state.running.bind(host, port, state.options)
  if (result < 0) throw addressError(result, 'bind', host, port)
  receive(state)
  tellLater(state, 'listening')
}

/** `connectSync`, which binds first where need be. @throws as {@link bindNow}. */
export function connectNow(state: SocketState, port: unknown, address: unknown): void {
  state.checkRunning()
  const number = portOf(port)
  if (state.connectState !== ConnectState.Disconnected) throw alreadyConnected()
  const given = address === null || address === '' ? undefined : address
  const host = numericAddress(given, 'address', 'connectSync') ?? (state.ipv6 ? '::1' : '127.0.0.1')
  if (state.bindState === BindState.Unbound) bindNow(state, {})
  else if (state.bindState !== BindState.Bound) throw alreadyBound()
  const error = connectTo(state, number, host, host)
  if (error !== undefined) throw error
  state.connectState = ConnectState.Connected
  tellLater(state, 'connect')
}

/** @returns undefined if there is none. */
function numericAddress(value: unknown, name: string, caller: string): string | undefined {
  if (value === undefined) return undefined
  checkString(name, value)
  if (isIP(value) === 0) throw badAddress(name, value, caller)
  return value
}

function tellLater(state: SocketState, event: 'listening' | 'connect'): void {
  process.nextTick(() => {
    if (state.endpoint !== undefined) state.socket.emit(event)
  })
}
