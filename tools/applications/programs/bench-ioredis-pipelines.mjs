// Pipelines of 100, one after another on each of 4 connections.
import { once } from 'node:events'
import Redis from 'ioredis'
import { measure } from './bench-measure.mjs'

const [port, seconds] = process.argv.slice(2).map(Number)
const clients = Array.from({ length: 4 }, () => new Redis(port, '127.0.0.1'))
await Promise.all(clients.map((client) => once(client, 'ready')))
await clients[0].set('key', 'a value as they are')
await measure(seconds, clients.map((client) => async () => {
  const pipeline = client.pipeline()
  for (let index = 0; index < 100; index++) pipeline.get('key')
  await pipeline.exec()
  return 100
}))
for (const client of clients) client.disconnect()
