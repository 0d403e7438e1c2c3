/* Knows nothing of Sheaf until it looks whether its bytes have gone there. */
const assert = require('node:assert')
const { createSocket } = require('node:dgram')
const { once } = require('node:events')
const http = require('node:http')

const body = Buffer.alloc(1 << 20, 'sheaf')

async function request() {
  const server = http.createServer((_request, response) => response.end(body))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const [response] = await once(http.get({ host: '127.0.0.1', port: server.address().port }), 'response')
  const chunks = await response.toArray()
  assert(Buffer.concat(chunks).equals(body), 'another body came back')
  server.close()
}

async function datagram() {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  socket.send('to itself', socket.address().port, '127.0.0.1')
  const [chunk] = await once(socket, 'message')
  assert(chunk.toString() === 'to itself')
  socket.close()
}

async function main() {
  await Promise.all([request(), datagram()])
  const { defaultRing } = await import('@sheaf/ring')
  if (process.env.SHEAF_DISABLE === '1') assert.throws(() => defaultRing(), { code: 'ERR_SHEAF_UNAVAILABLE' })
  else assert(defaultRing().metrics.bytesRead > body.length, 'Node\'s own sockets had the bytes')
}

void main()
