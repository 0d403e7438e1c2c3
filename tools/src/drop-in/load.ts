/**
 * Loads an application of `server.ts` for a while, and prints how many messages came back, in or out, a second. It is
 * the same program, on Node's own sockets, for whatever is measured.
 */
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

const [application = '', address = '', connections = '1', seconds = '1', pipelined = '1', size = '0']
  = process.argv.slice(2)
const messageBytes = size === '0' ? 32 : Number(size)
const batch = Buffer.alloc(messageBytes * Number(pipelined), 'sheaf')
let received = 0
let running = true

/**
 * Of streams, all that is read goes to one buffer: a reader that takes a new one for each read measures its own page
 * faults, and keeps up with neither kind of sender.
 */
const onread = {
  buffer: Buffer.alloc(256 * 1024),
  callback: (bytes: number): boolean => {
    received += bytes
    return true
  },
}

function open(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const where = application === 'unix' ? { path: address } : { host: '127.0.0.1', port: Number(address) }
    const target = { ...where, ...application === 'stream' && { onread } }
    const socket = application === 'tls'
      ? connectTls({ ...target, rejectUnauthorized: false }, () => resolve(socket))
      : connectTcp({ ...target, noDelay: true }, () => resolve(socket))
    socket.on('error', reject)
  })
}

/** Sends a batch, and the next one when it has come back. */
function exchange(socket: Socket): void {
  let missing = batch.byteLength
  socket.on('data', (chunk: Buffer) => {
    missing -= chunk.byteLength
    received += chunk.byteLength
    if (missing !== 0 || !running) return
    missing = batch.byteLength
    socket.write(batch)
  })
  socket.write(batch)
}

/** Sends batches as fast as they are taken. */
function feed(socket: Socket): void {
  socket.write(batch, () => {
    received += batch.byteLength
    // Not in the same iteration of the loop, which would never end: the kernel may take it at once, again and again.
    if (running) setImmediate(feed, socket)
  })
}

const sockets = await Promise.all(Array.from({ length: Number(connections) }, open))
const startedMs = performance.now()
received = 0
if (application === 'sink') sockets.forEach(feed)
else if (application !== 'stream') sockets.forEach(exchange)
setTimeout(() => {
  running = false
  const elapsedSeconds = (performance.now() - startedMs) / 1000
  console.log(received / messageBytes / elapsedSeconds)
  process.exit()
}, Number(seconds) * 1000)
