// Takes all that comes on a connection, answers its end with as much of its own, and says the hash of both.
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:tls'

const [keyPath, certificatePath, totalBytes] = process.argv.slice(2)
const server = createServer({
  key: readFileSync(keyPath),
  cert: readFileSync(certificatePath),
  minVersion: 'TLSv1.3',
  allowHalfOpen: true,
}, (socket) => {
  const protocol = socket.getProtocol()
  const received = createHash('sha256')
  let receivedBytes = 0
  socket.on('data', (chunk) => {
    received.update(chunk)
    receivedBytes += chunk.length
  })
  socket.on('end', async () => {
    const sent = createHash('sha256')
    for (let left = Number(totalBytes); left > 0;) {
      const chunk = randomBytes(Math.min(left, 1 + Math.floor(Math.random() * 100_000)))
      left -= chunk.length
      sent.update(chunk)
      if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve))
    }
    const hashes = { received: received.digest('hex'), sent: sent.digest('hex') }
    console.log(JSON.stringify({ receivedBytes, protocol, ...hashes }))
    socket.end()
  })
})
server.listen(0, '127.0.0.1', () => { console.log(`listening on ${server.address().port}`) })
process.once('SIGTERM', () => { server.close() })
