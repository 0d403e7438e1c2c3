// 16 clients, each with 8 datagrams under way: no more than a socket has room for.
import { clearTimeout, setTimeout } from 'node:timers'
import { connect } from '@sheaf/udp'
import { measure } from './bench-measure.mjs'

const [port, seconds] = process.argv.slice(2).map(Number)
const message = Buffer.alloc(64, 'sheaf')
const underWay = 8
const patienceMs = 200

const clients = await Promise.all(Array.from({ length: 16 }, async () => {
  let missing = 0
  let told = () => undefined
  const socket = await connect({ host: '127.0.0.1', port }, { message() { if (--missing === 0) told() } })
  return { socket, burst: () => new Promise((resolve) => {
    missing = underWay
    const timer = setTimeout(() => { resolve(underWay - missing) }, patienceMs)
    told = () => {
      clearTimeout(timer)
      resolve(underWay)
    }
    for (let index = 0; index < underWay; index++) socket.send(message)
  }) }
}))
await measure(seconds, clients.map(({ burst }) => burst))
for (const { socket } of clients) socket.close()
