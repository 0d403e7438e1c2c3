// With `connector`, undici is given sockets of Sheaf's and nothing is registered. Without, it makes its own.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { Pool } from 'undici'

const [port, how] = process.argv.slice(2)
const options = { connections: 16, pipelining: 4 }
if (how === 'connector') {
  const { connect } = await import('@sheaf/tcp/net')
  options.connect = ({ hostname, port }, callback) => {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true })
    socket.once('connect', () => { callback(null, socket) })
    socket.once('error', (error) => { callback(error, null) })
    return socket
  }
}
const pool = new Pool(`http://127.0.0.1:${port}`, options)
const hash = (bytes) => createHash('sha256').update(bytes).digest('hex')

await Promise.all(Array.from({ length: 2000 }, async () => {
  const { statusCode, body } = await pool.request({ path: '/', method: 'GET' })
  assert.deepEqual([statusCode, await body.json()], [200, { hello: 'world' }])
}))
const large = randomBytes(10_000_000)
await Promise.all(Array.from({ length: 3 }, async () => {
  const headers = { 'content-type': 'application/octet-stream' }
  const { body } = await pool.request({ path: '/echo', method: 'POST', body: large, headers })
  assert.equal(hash(Buffer.from(await body.arrayBuffer())), hash(large))
}))
await pool.close()
console.log(JSON.stringify({ received: 3 * large.length, sent: 3 * large.length }))
