import { addressError, alreadyConnected, blocked, notConnected } from './errors'
import { bind } from './bind'
import { BindState, ConnectState, type SocketState } from './state'
import { systemError } from '@sheaf/ring'

type ConnectCallback = (error?: Error) => void

export function connect(
  state: SocketState,
  port: number,
  address: string,
  callback: ConnectCallback | undefined,
): void {
  state.checkRunning()
  if (state.connectState !== ConnectState.Disconnected) throw alreadyConnected()
  state.connectState = ConnectState.Connecting
  if (state.bindState === BindState.Unbound) bind(state, { port: 0, exclusive: true }, undefined, undefined)
  if (state.bindState === BindState.Bound) resolveAndConnect(state, port, address, callback)
  else state.whenBound(() => resolveAndConnect(state, port, address, callback))
}

function resolveAndConnect(
  state: SocketState,
  port: number,
  address: string,
  callback: ConnectCallback | undefined,
): void {
  if (callback !== undefined) state.socket.once('connect', callback)
  state.resolve(address, (lookupError, ip) => {
    if (state.endpoint === undefined) return
    const error = lookupError ?? connectTo(state, port, address === '' ? ip : address, ip)
    if (error === undefined) {
      state.connectState = ConnectState.Connected
      process.nextTick(() => state.socket.emit('connect'))
      return
    }
    state.connectState = ConnectState.Disconnected
    process.nextTick(() => {
      if (callback === undefined) {
        state.socket.emit('error', error)
      } else {
        state.socket.removeListener('connect', callback)
        callback(error)
      }
    })
  })
}

/** @returns why it could not. */
export function connectTo(state: SocketState, port: number, address: string, ip: string): Error | undefined {
  if (state.options.sendBlockList?.check(ip, state.ipv6 ? 'ipv6' : 'ipv4') === true) return blocked(ip)
  const result = state.endpoint?.connect({ address: ip, port }) ?? 0
  return result < 0 ? addressError(result, 'connect', address, port) : undefined
}

export function disconnect(state: SocketState): void {
  if (state.connectState !== ConnectState.Connected) throw notConnected()
  const result = state.running.disconnect()
  if (result < 0) throw systemError(result, 'connect')
  state.connectState = ConnectState.Disconnected
}
