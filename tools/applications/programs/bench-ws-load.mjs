// Messages of 64 bytes and their echoes, one after another on each of 64 connections.
import { once } from 'node:events'
import WebSocket from 'ws'
import { measure, one } from './bench-measure.mjs'

const [port, seconds] = process.argv.slice(2).map(Number)
const sockets = Array.from({ length: 64 }, () => new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false }))
await Promise.all(sockets.map((socket) => once(socket, 'open')))
const message = Buffer.alloc(64, 'sheaf')
await measure(seconds, sockets.map((socket) => one(async () => {
  socket.send(message)
  await once(socket, 'message')
})))
for (const socket of sockets) socket.close()
