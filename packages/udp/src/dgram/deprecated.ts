import { deprecate } from 'node:util'
import type { EventEmitter } from 'node:events'
import { BindState, type SocketState } from './state'

const code = 'DEP0112'

/** Adds what `node:dgram` still has under `DEP0112`. @param stateOf what is behind a socket. */
export function addDeprecated<S extends EventEmitter>(prototype: S, stateOf: (socket: S) => SocketState): void {
  const property = (name: string, read: (state: SocketState) => unknown): void => {
    const message = `Socket.prototype.${name} is deprecated`
    Object.defineProperty(prototype, name, {
      configurable: true,
      get: deprecate(function (this: S) { return read(stateOf(this)) }, message, code),
      // What is behind them is not the module's own handle, which was replaced by setting them.
      set: deprecate(function (this: S, _value: unknown) { /* nothing */ }, message, code),
    })
  }
  property('_handle', ({ endpoint }) => endpoint === undefined
    ? null
    : {
        get fd() { return endpoint.fd },
      })
  property('_receiving', (state) => state.endpoint !== undefined && state.bindState === BindState.Bound)
  property('_bindState', (state) => state.bindState)
  property('_queue', (state) => state.queue)
  property('_reuseAddr', (state) => state.options.reuseAddress)
  Object.assign(prototype, {
    _healthCheck: deprecate(function (this: S) {
      stateOf(this).checkRunning()
    }, 'Socket.prototype._healthCheck() is deprecated', code),
    _stopReceiving: deprecate(function (this: S) {
      stateOf(this).endpoint?.pause()
    }, 'Socket.prototype._stopReceiving() is deprecated', code),
  })
}
