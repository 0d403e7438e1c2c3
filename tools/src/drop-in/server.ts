/**
 * An application that knows nothing of Sheaf, to be measured on Node's sockets and, with @sheaf/tcp/register, on
 * Sheaf's. Prints its port; ends when its standard input does.
 */
import { readFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'

const [application = '', certificate = ''] = process.argv.slice(2)

function echo(socket: Socket): void {
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk) => {
    if (socket.write(chunk)) return
    socket.pause()
    socket.once('drain', () => socket.resume())
  })
}

/** Streams messages, each a `write` of its own, for as long as the socket takes them. */
function stream(socket: Socket): void {
  const message = Buffer.alloc(32, 'sheaf')
  const fill = (): void => {
    while (socket.write(message)) {
      // As long as there is room.
    }
  }
  socket.on('error', () => socket.destroy()).on('drain', fill)
  fill()
}

const applications: Record<string, () => Server> = {
  http: () => createHttpServer((_request, response) => response.end('hello, world\n')),
  echo: () => createServer(echo),
  stream: () => createServer(stream),
  tls: () => {
    const pem = readFileSync(certificate)
    return createTlsServer({ key: pem, cert: pem }, echo)
  },
}

const server = applications[application]()
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))
process.stdin.on('end', () => process.exit()).resume()
