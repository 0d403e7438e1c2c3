/**
 * An application that knows nothing of Sheaf, to be measured on Node's sockets and, with @sheaf/tcp/register, on
 * Sheaf's. Prints its port, or path; collects all garbage for each line it reads, and says so; ends when its standard
 * input does. Wants `--expose-gc`.
 */
import { createReadStream, readFileSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pipeline } from 'node:stream'
import { createServer as createTlsServer } from 'node:tls'

/** The directory has `identity.pem`, a key and a certificate, and takes the file that is served. */
const [application = '', directory = '', size = '0'] = process.argv.slice(2)
const sizeBytes = Number(size)
const body = sizeBytes === 0 ? 'hello, world\n' : Buffer.alloc(sizeBytes, 'sheaf')

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
  const message = Buffer.alloc(sizeBytes === 0 ? 32 : sizeBytes, 'sheaf')
  const fill = (): void => {
    while (socket.write(message)) {
      // As long as there is room.
    }
  }
  socket.on('error', () => socket.destroy()).on('drain', fill)
  fill()
}

/** Takes whatever comes. */
function sink(socket: Socket): void {
  socket.on('error', () => socket.destroy()).on('data', () => undefined)
}

const answer: RequestListener = (_request, response) => response.end(body)

/** As `express.static` and its like do it. */
function files(): RequestListener {
  const path = join(directory, `file-${process.pid}`)
  writeFileSync(path, body)
  return (_request, response) => {
    response.setHeader('Content-Length', body.length)
    pipeline(createReadStream(path), response, () => {
      // A client that has gone meanwhile.
    })
  }
}

function identity(): { key: Buffer, cert: Buffer } {
  const pem = readFileSync(join(directory, 'identity.pem'))
  return { key: pem, cert: pem }
}

const applications: Record<string, () => Server> = {
  http: () => createHttpServer(answer),
  files: () => createHttpServer(files()),
  https: () => createHttpsServer(identity(), answer),
  http2: () => createHttp2Server((_request, response) => response.end(body)),
  echo: () => createServer(echo),
  unix: () => createServer(echo),
  stream: () => createServer(stream),
  sink: () => createServer(sink),
  tls: () => createTlsServer(identity(), echo),
}

const server = applications[application]()
if (application === 'unix') {
  const path = join(directory, `socket-${process.pid}`)
  server.listen(path, () => console.log(path))
} else {
  server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))
}
createInterface(process.stdin)
  .on('line', () => {
    globalThis.gc?.()
    console.log('collected')
  })
  .on('close', () => process.exit())
