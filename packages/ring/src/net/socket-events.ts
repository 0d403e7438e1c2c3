import type { Chunk } from '@sheaf/ring'
import { callError } from './errors'
import type { Socket } from './socket'
import type { HandleEvents, SocketHandle } from './socket-handle'
import { state } from './socket-state'

/** What a socket does of what its connection tells. */
export const handleEvents: HandleEvents = {
  connect(handle, error) {
    if (this.destroyed || this[state].attempts?.ended(handle, error) !== true) return
    const own = this[state]
    own.attempts = undefined
    this.connecting = false
    this._sockname = null
    this._unrefTimer()
    if (own.noDelay) handle.setNoDelay(true)
    if (own.keepAlive) {
      handle.setKeepAlive(true, own.keepAliveDelaySeconds, own.keepAliveIntervalSeconds, own.keepAliveProbes)
    }
    if (own.typeOfService !== undefined) {
      const result = handle.typeOfService(own.typeOfService) ?? 0
      if (result < 0) this.emit('error', callError(result, 'setTypeOfService'))
    }
    this.emit('connect')
    this.emit('ready')
    if (!this.isPaused()) this.read(0)
  },

  data(chunk) {
    const own = this[state]
    this._unrefTimer()
    if (own.readBuffer !== undefined) own.readBuffer.deliver(chunk, own.handle as SocketHandle)
    else if (flowsFreely(this)) emitData(this, chunk)
    else if (!this.push(chunk)) own.handle?.readStop()
  },

  end() {
    this._unrefTimer()
    const { receiver, readBuffer, handle } = this[state]
    if (receiver !== undefined) receiver.ended()
    else if (readBuffer !== undefined) readBuffer.end(() => endReading(this), handle as SocketHandle)
    else endReading(this)
  },

  written(done) {
    this._unrefTimer()
    this[state].queuedAtTimeout = 0
    done()
  },

  lost(error) {
    const { receiver, handle } = this[state]
    // A write that waits is cut off by what is read.
    const done = error.syscall === 'read' ? undefined : handle?.takeWrite()
    if (done !== undefined) done(error)
    else if (receiver?.failed(error) !== true) this.destroy(error)
  },
}

function endReading(socket: Socket): void {
  socket.push(null)
  socket.read(0)
}

/** What of a stream's state this file uses: names as old as streams, as Node's own modules use them. */
interface ReadableState {
  readonly flowing: boolean | null
  readonly length: number
  readonly decoder: unknown
  dataEmitted: boolean
}

type WithReadableState = Socket & { readonly _readableState: ReadableState }

/** A chunk would go through the stream's buffer straight to the `data` listeners. */
function flowsFreely(socket: Socket): boolean {
  const { flowing, length, decoder } = (socket as WithReadableState)._readableState
  return flowing === true && length === 0 && !decoder && socket.listenerCount('data') > 0
}

/**
 * What `push` comes to then, without its asking for more in another tick: more comes without being asked for.
 * (An HTTP request has 1 µs of `nextTick` and `read(0)` less.)
 */
function emitData(socket: Socket, chunk: Chunk): void {
  (socket as WithReadableState)._readableState.dataEmitted = true
  socket.emit('data', chunk)
}
