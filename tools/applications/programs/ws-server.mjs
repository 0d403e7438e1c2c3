// Echoes whatever comes, with compression where the client wants it.
import { WebSocketServer } from 'ws'

const server = new WebSocketServer({
  host: '127.0.0.1', port: 0, maxPayload: 32 * 1024 * 1024, perMessageDeflate: { threshold: 512 },
})
server.on('connection', (socket) => {
  socket.on('message', (data, isBinary) => { socket.send(data, { binary: isBinary }) })
})
server.on('listening', () => { console.log(`listening on ${server.address().port}`) })
process.once('SIGTERM', () => { server.close() })
