/**
 * Receives 32-byte messages at a path, echoing them if asked to. Prints a line when it is ready, and when its input
 * ends, how many there were since it had warmed up and the CPU time they took. Arguments: sheaf | node | unix-dgram,
 * stream | datagram, receive | echo, path, the folder of `unix-dgram`.
 */
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { datagram, listen } from '@sheaf/unix'
import type * as unixDgram from '@sheaf/unix/unix-dgram'
import { received, reportAtEnd } from '../bench/received'

const [kind, transport, task, path, folder] = process.argv.slice(2)
const messageBytes = 32
const echo = task === 'echo'

if (transport === 'datagram') {
  if (kind === 'sheaf') {
    await datagram.bind({ path }, { messages: (_socket, batch) => { received.messages += batch.count } })
  } else {
    const { createSocket } = createRequire(import.meta.url)(folder) as typeof unixDgram
    createSocket('unix_dgram', () => { received.messages++ }).bind(path)
  }
} else if (kind === 'sheaf') {
  await listen({ path, backend: 'ring' }, {
    data(connection, chunk) {
      received.messages += chunk.byteLength / messageBytes
      if (echo && !connection.write(chunk)) connection.pause()
    },
    drain: (connection) => connection.resume(),
  })
} else {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: Buffer) => {
      received.messages += chunk.byteLength / messageBytes
      if (!echo || socket.write(chunk)) return
      socket.pause()
      socket.once('drain', () => socket.resume())
    })
  })
  await once(server.listen(path), 'listening')
}
console.log('ready')

await reportAtEnd()
