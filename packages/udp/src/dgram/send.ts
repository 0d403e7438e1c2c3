import { callLastInScope, requestResource, type SystemError, type WriteCallback } from '@sheaf/ring'
import { addressError, blocked } from './errors'
import { ConnectState, type SocketState } from './state'

export type SendCallback = (error: Error | null, bytes?: number) => void

const cancelled = -125

/** Sends to the peer of a connected socket. */
export function sendToPeer(state: SocketState, bytes: Uint8Array, callback: SendCallback | undefined): void {
  const told = callback === undefined ? undefined : tell(callback, bytes.byteLength, undefined, 0)
  state.endpoint?.send(bytes, undefined, told)
}

/** Sends to an address that may have to be resolved; empty is this host. */
export function sendTo(
  state: SocketState,
  bytes: Uint8Array,
  port: number,
  address: string,
  callback: SendCallback | undefined,
): void {
  const numeric = state.numeric(address)
  if (numeric !== undefined) {
    sendResolved(state, bytes, port, address, numeric, callback)
    return
  }
  state.resolve(address, (error, ip) => {
    if (error) fail(state, error, callback)
    else sendResolved(state, bytes, port, address, ip, callback)
  })
}

function sendResolved(
  state: SocketState,
  bytes: Uint8Array,
  port: number,
  address: string,
  ip: string,
  callback: SendCallback | undefined,
): void {
  if (state.endpoint === undefined) return
  if (state.options.sendBlockList?.check(ip, state.ipv6 ? 'ipv6' : 'ipv4') === true) {
    fail(state, blocked(ip), callback)
    return
  }
  // It was connected while the name was being resolved.
  if (state.connectState === ConnectState.Connected) {
    sendToPeer(state, bytes, callback)
    return
  }
  let told: WriteCallback | undefined
  if (callback !== undefined) {
    const tick = state.currentTick()
    told = tell(callback, bytes.byteLength, address === '' ? ip : address, port, () => state.closedIn(tick))
  }
  state.endpoint.send(bytes, { address: ip, port }, told)
}

function fail(state: SocketState, error: Error, callback: SendCallback | undefined): void {
  if (callback === undefined) process.nextTick(() => state.socket.emit('error', error))
  else process.nextTick(callback, error)
}

/** The transport's callback that calls one of `node:dgram`, in the context of the call of `send`. */
function tell(
  callback: SendCallback,
  sizeBytes: number,
  address: string | undefined,
  port: number,
  forgotten?: () => boolean,
): WriteCallback {
  const resource = requestResource('UDPSENDWRAP')
  return (error) => {
    if (forgotten?.() === true) {
      resource.emitDestroy()
      return
    }
    if (error === undefined) {
      callLastInScope(resource, callback, undefined, null, sizeBytes)
      return
    }
    // What has no number is Sheaf's: the socket was closed with the datagram in its queue.
    const { errno = cancelled } = error as Partial<SystemError>
    callLastInScope(resource, callback, undefined, addressError(errno, 'send', address, port))
  }
}
