// 64 commands under way on one connection, each asked for when the one before it is answered.
import { createClient } from 'redis'
import { measure, one } from './bench-measure.mjs'

const [port, seconds] = process.argv.slice(2).map(Number)
const client = createClient({ socket: { host: '127.0.0.1', port } })
await client.connect()
await client.set('key', 'a value as they are')
await measure(seconds, Array.from({ length: 64 }, () => one(() => client.get('key'))))
await client.close()
