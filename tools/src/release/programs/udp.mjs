import assert from 'node:assert'
import { EventEmitter, once } from 'node:events'
import { bind, connect, defaultRing } from '@sheaf/udp'

const count = 1000
const told = new EventEmitter()
const server = await bind({ host: '127.0.0.1' }, { message: (socket, chunk, from) => socket.send(chunk, from) })
let echoed = 0
const client = await connect({ host: '127.0.0.1', port: server.localAddress.port }, {
  message(_socket, chunk) {
    assert(chunk.toString() === `datagram ${echoed}`, `after ${echoed} came ${chunk.toString()}`)
    echoed++
    if (echoed === count) told.emit('all')
    else if (echoed % 50 === 0) sendSome()
  },
})

function sendSome() {
  for (let index = 0; index < 50; index++) client.send(`datagram ${echoed + index}`)
}

sendSome()
await once(told, 'all')
assert(defaultRing().metrics.bytesRead > 0, 'the ring has not seen them')
client.destroy()
server.destroy()
