// Sends as many bytes as it is told, in pieces of all sizes, and takes what comes back.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:tls'

const [port, certificatePath, totalBytes] = process.argv.slice(2)
const socket = connect({
  host: '127.0.0.1',
  port: Number(port),
  ca: readFileSync(certificatePath),
  servername: 'localhost',
  allowHalfOpen: true,
})
await once(socket, 'secureConnect')
const protocol = socket.getProtocol()
const sent = createHash('sha256')
for (let left = Number(totalBytes); left > 0;) {
  const chunk = randomBytes(Math.min(left, 1 + Math.floor(Math.random() * 100_000)))
  left -= chunk.length
  sent.update(chunk)
  if (!socket.write(chunk)) await once(socket, 'drain')
}
socket.end()
const received = createHash('sha256')
let receivedBytes = 0
for await (const chunk of socket) {
  received.update(chunk)
  receivedBytes += chunk.length
}
const hashes = { received: received.digest('hex'), sent: sent.digest('hex') }
console.log(JSON.stringify({ receivedBytes, protocol, authorized: socket.authorized, ...hashes }))
