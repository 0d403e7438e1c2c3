// Unary calls, one after another on each of 64 channels that have a connection of their own.
import grpc from '@grpc/grpc-js'
import { measure, one } from './bench-measure.mjs'
import { service } from './grpc-service.mjs'

const [port, seconds] = process.argv.slice(2).map(Number)
const Client = grpc.makeGenericClientConstructor(service, 'Bytes')
const clients = Array.from({ length: 64 }, () =>
  new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 }))
const message = Buffer.alloc(64, 'sheaf')
await measure(seconds, clients.map((client) => one(() => new Promise((resolve, reject) => {
  client.echo(message, (error) => {
    if (error) reject(error)
    else resolve()
  })
}))))
for (const client of clients) client.close()
