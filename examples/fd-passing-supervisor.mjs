// A supervisor that owns the listening socket and replaces its worker without a moment in which nobody listens: each
// worker is sent the socket itself, as a descriptor, over a seqpacket connection.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { seqpacket } from '@sheaf/unix'

if (process.argv[2] === 'worker') await work(process.argv[3], process.argv[4])
else await supervise()

async function supervise() {
  const { fd, port } = await listeningSocket()
  const name = `supervisor-${process.pid}`
  let ready
  const listener = await seqpacket.listen({ path: `\0${name}` }, {
    open(worker) {
      // The kernel says who it is: nobody else's processes get the socket.
      if (worker.peerCredentials.uid !== process.getuid()) worker.destroy()
      else worker.send('serve', { fds: [fd] })
    },
    message: (worker) => ready(worker),
  })
  const start = async (generation) => {
    const serving = new Promise((resolve) => { ready = resolve })
    spawn(process.execPath, [fileURLToPath(import.meta.url), 'worker', name, generation], { stdio: 'inherit' })
    return serving
  }
  const first = await start('first')
  console.log(await request(port))
  const second = await start('second')
  // The end is the sign to stop: what the worker has accepted it still serves.
  first.end()
  await new Promise((resolve) => { first.handler = { close: resolve } })
  console.log(await request(port))
  second.end()
  await listener.close()
  closeSync(fd)
}

/** A descriptor that nothing in this process accepts from: it has been through a pair of sockets, and Node let go. */
async function listeningSocket() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const fd = await new Promise((resolve) => {
    const [from] = seqpacket.socketpair({ receiveDescriptors: true }, {}, {
      message(_connection, _chunk, _from, details) {
        resolve(details.fds.take()[0])
        from.end()
      },
    })
    from.send('socket', { fds: [server._handle.fd] })
  })
  const { port } = server.address()
  server.close()
  return { fd, port }
}

async function work(supervisor, generation) {
  const server = createServer((socket) => socket.end(`served by the ${generation} worker`))
  await seqpacket.connect({ path: `\0${supervisor}`, receiveDescriptors: true }, {
    async message(connection, _chunk, _from, details) {
      const [fd] = details.fds.take()
      server.listen({ fd })
      await once(server, 'listening')
      connection.send('serving')
    },
    end: () => server.close(),
  })
}

async function request(port) {
  const [text] = await once(createConnection(port, '127.0.0.1'), 'data')
  return text.toString()
}
