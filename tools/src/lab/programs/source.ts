/**
 * Sends as fast as the other side takes it. Writes are a megabyte, so that this costs far less than the proxy that is
 * measured. Driven over IPC (see messages.ts).
 */
import { connect, type Socket } from 'node:net'
import type { FromProgram, StartSending, ToProgram } from '../messages'
import { createPattern, headerBytes, patternBytes, startOf } from '../pattern'

const pattern = createPattern()
const sockets = new Set<Socket>()
let stopping = false
let sentBytes = 0
let failure: string | undefined

function tell(message: FromProgram): void {
  process.send?.(message)
}

function pump(socket: Socket, start: number, bytesEach: number): void {
  let position = start
  let left = bytesEach
  const writeOn = (): void => {
    for (;;) {
      if (stopping || left === 0) {
        socket.end()
        return
      }
      const length = Math.min(left, patternBytes - position)
      const accepted = socket.write(pattern.subarray(position, position + length))
      position = (position + length) % patternBytes
      left -= length
      if (!accepted) return
    }
  }
  const header = Buffer.alloc(headerBytes)
  header.writeUInt32LE(start)
  socket.write(header)
  socket.on('drain', writeOn)
  writeOn()
}

function start(options: StartSending): void {
  stopping = false
  sentBytes = 0
  failure = undefined
  for (let i = 0; i < options.connections; i++) {
    const socket = connect({ host: options.host, port: options.port })
    sockets.add(socket)
    // A target that talks back must not stall: nothing is done with what it says.
    socket.resume()
    socket.once('connect', () => { pump(socket, startOf(i), options.bytesEach ?? Infinity) })
    socket.once('error', (error) => { failure ??= error.message })
    socket.once('close', () => {
      sentBytes += socket.bytesWritten
      sockets.delete(socket)
      if (sockets.size === 0) tell({ kind: 'sent', bytes: sentBytes, ...failure !== undefined && { error: failure } })
    })
  }
}

/** Ends the connections, once what Node and the kernel have accepted is on its way. */
function stop(): void {
  stopping = true
  for (const socket of sockets) socket.destroySoon()
}

process.on('message', (message: ToProgram) => {
  if (message.kind === 'start') start(message)
  if (message.kind === 'stop') stop()
})
// The lab has gone, however it ended.
process.on('disconnect', () => process.exit())
tell({ kind: 'ready' })
