// 64 commands under way on one connection, each asked for when the one before it is answered.
import { once } from 'node:events'
import Redis from 'ioredis'
import { measure, one } from './bench-measure.mjs'

const [port, seconds] = process.argv.slice(2).map(Number)
const client = new Redis(port, '127.0.0.1')
await once(client, 'ready')
await client.set('key', 'a value as they are')
await measure(seconds, Array.from({ length: 64 }, () => one(() => client.get('key'))))
client.disconnect()
