// 32 connections, half of them compressed, with messages of all sizes; one of 8 MB; pings; a close with a reason.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import WebSocket from 'ws'

const url = `ws://127.0.0.1:${process.argv[2]}`
let payloadBytes = 0
await Promise.all(Array.from({ length: 32 }, async (_, index) => {
  const socket = new WebSocket(url, { perMessageDeflate: index % 2 === 0 })
  await once(socket, 'open')
  const sent = Array.from({ length: 100 }, (_, size) => randomBytes(Math.floor(1.12 ** size)))
  const echoes = []
  const done = new Promise((resolve) => {
    socket.on('message', (data) => { if (echoes.push(data) === sent.length) resolve() })
  })
  for (const message of sent) {
    payloadBytes += message.length
    socket.send(message)
  }
  await done
  for (const [at, message] of sent.entries()) assert.ok(message.equals(echoes[at]), `message ${at} came back changed`)
  const pong = once(socket, 'pong')
  socket.ping('alive')
  assert.equal((await pong)[0].toString(), 'alive')
  socket.close(4001, 'enough')
  assert.equal((await once(socket, 'close'))[0], 4001)
}))

const socket = new WebSocket(url, { perMessageDeflate: false })
await once(socket, 'open')
const large = randomBytes(8 * 1024 * 1024)
payloadBytes += large.length
socket.send(large)
assert.ok((await once(socket, 'message'))[0].equals(large))
socket.send('übergrößen')
const [text, isBinary] = await once(socket, 'message')
assert.deepEqual([text.toString(), isBinary], ['übergrößen', false])
socket.close()
await once(socket, 'close')
console.log(JSON.stringify({ received: payloadBytes, sent: payloadBytes }))
