/** An echo server to measure: on Sheaf, or on `node:net`. Prints its port; ends when its standard input does. */
import { createServer, type AddressInfo } from 'node:net'
import { listen } from '@sheaf/tcp'

async function sheaf(): Promise<number> {
  const listener = await listen({ host: '127.0.0.1', port: 0, backend: 'ring' }, {
    data(connection, chunk) {
      before ??= process.cpuUsage()
      if (!connection.write(chunk)) connection.pause()
    },
    drain: (connection) => connection.resume(),
  })
  return listener.address.port
}

function node(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer({ noDelay: true }, (socket) => {
      socket.on('data', (chunk) => {
        before ??= process.cpuUsage()
        if (socket.write(chunk)) return
        socket.pause()
        socket.once('drain', () => socket.resume())
      })
      socket.on('error', () => socket.destroy())
    })
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
}

/** CPU time until the first message is starting up, not echoing. */
let before: NodeJS.CpuUsage | undefined

const port = await (process.argv[2] === 'node' ? node() : sheaf())
console.log(port)
process.stdin.on('end', () => {
  const { user, system } = process.cpuUsage(before)
  console.log(JSON.stringify({ userSeconds: user / 1e6, systemSeconds: system / 1e6 }))
  process.exit()
})
process.stdin.resume()
