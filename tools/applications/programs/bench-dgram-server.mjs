import { createSocket } from 'node:dgram'

const socket = createSocket('udp4')
socket.on('message', (message, { port, address }) => { socket.send(message, port, address) })
socket.bind(0, '127.0.0.1', () => { console.log(`listening on ${socket.address().port}`) })
process.once('SIGTERM', () => { socket.close() })
