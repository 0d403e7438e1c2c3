/**
 * Receives datagrams on ports of an address, echoing them if asked to. Prints the ports, and when its input ends, how
 * many there were since it had warmed up and the CPU time they took. Arguments: sheaf | sheaf-single | drop-in | node,
 * receive | echo, address, number of ports.
 */
import { createSocket as createNodeSocket } from 'node:dgram'
import { once } from 'node:events'
import { bind, type InternetAddress, type MessageBatch, type UdpSocket } from '@sheaf/udp'
import { createSocket as createSheafSocket } from '@sheaf/udp/dgram'
import { received, reportAtEnd } from '../bench/received'

const [kind, task, host, count] = process.argv.slice(2)
/** What the system gives without privileges. */
const receiveBufferBytes = 212_992

async function sheafPort(): Promise<number> {
  const echo = task === 'echo'
  const socket = await bind({ host, receiveBufferBytes, coalesce: kind === 'sheaf', backend: 'ring' }, {
    messages(socket: UdpSocket, batch: MessageBatch<InternetAddress>) {
      received.messages += batch.count
      if (!echo) return
      for (let index = 0; index < batch.count; index++) socket.send(batch.view(index), batch.from(index))
    },
  })
  return socket.localAddress?.port ?? 0
}

async function nodePort(createSocket: typeof createNodeSocket): Promise<number> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: receiveBufferBytes })
  socket.on('message', task === 'echo'
    ? (chunk, from) => {
        received.messages++
        socket.send(chunk, from.port, from.address)
      }
    : () => { received.messages++ })
  const listening = once(socket, 'listening')
  socket.bind(0, host)
  await listening
  return socket.address().port
}

function port(): Promise<number> {
  if (kind === 'node') return nodePort(createNodeSocket)
  return kind === 'drop-in' ? nodePort(createSheafSocket) : sheafPort()
}

const ports: number[] = []
for (let index = 0; index < Number(count); index++) ports.push(await port())
console.log(ports.join(' '))

await reportAtEnd()
