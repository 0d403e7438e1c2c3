/** Loads an echo server: each connection has one message under way. Prints how many came back. */
import { connect, type TcpConnection } from '@sheaf/tcp'

const [port = '', connections = '64', sizeBytes = '32', seconds = '3'] = process.argv.slice(2)
const message = Buffer.alloc(Number(sizeBytes), 'sheaf')
const missing = new WeakMap<TcpConnection, number>()
let echoes = 0
let running = true

function send(connection: TcpConnection): void {
  missing.set(connection, message.byteLength)
  connection.write(message)
}

const open = await Promise.all(Array.from({ length: Number(connections) }, () =>
  connect({ host: '127.0.0.1', port: Number(port), backend: 'ring' }, {
    data(connection, chunk) {
      const left = (missing.get(connection) ?? 0) - chunk.byteLength
      missing.set(connection, left)
      if (left !== 0) return
      echoes++
      if (running) send(connection)
    },
  })))
const started = process.hrtime.bigint()
for (const connection of open) send(connection)
setTimeout(() => {
  running = false
  const elapsedSeconds = Number(process.hrtime.bigint() - started) / 1e9
  console.log(JSON.stringify({ echoes, elapsedSeconds }))
  for (const connection of open) connection.destroy()
}, Number(seconds) * 1000)
