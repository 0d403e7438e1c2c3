/**
 * The proxy that everyone writes with `node:net`, to compare with.
 * Usage: lab-pipe LISTEN_HOST LISTEN_PORT HOST PORT
 */
import { connect, createServer, type AddressInfo } from 'node:net'

const [listenHost, listenPort, host, port] = process.argv.slice(2)

const server = createServer((socket) => {
  const target = connect({ host, port: Number(port) })
  socket.pipe(target)
  socket.on('error', () => { target.destroy() })
  target.on('error', () => { socket.destroy() })
})
server.listen(Number(listenPort), listenHost, () => {
  process.stderr.write(`listening on ${(server.address() as AddressInfo).port}\n`)
})
process.on('SIGTERM', () => process.exit())
