/**
 * An application whose connections are idle, to be measured on Node's sockets and, with @sheaf/tcp/register, on
 * Sheaf's. Prints its port; then, for each line of its standard input, its resident memory in bytes when everything
 * that can be collected has been; ends when its standard input does. Wants `--expose-gc`.
 */
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { createInterface } from 'node:readline'

const applications: Record<string, () => Server> = {
  http: () => {
    const server = createHttpServer((_request, response) => response.end('hello, world\n'))
    // Clients that wait are not to be sent away.
    server.keepAliveTimeout = 0
    return server
  },
  echo: () => createServer((socket) => {
    socket.on('data', (chunk) => socket.write(chunk)).on('error', () => socket.destroy())
  }),
}

const server = applications[process.argv[2] ?? '']()
server.listen(0, '127.0.0.1', 4096, () => console.log((server.address() as AddressInfo).port))
createInterface(process.stdin).on('line', () => {
  // The second frees what finalizers of the first have let go of.
  gc?.()
  setTimeout(() => {
    gc?.()
    console.log(process.memoryUsage.rss())
  }, 100)
}).on('close', () => process.exit())
