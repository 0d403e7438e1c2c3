// 64 requests under way between two connections, through the server.
import { connect } from '@nats-io/transport-node'
import { measure, one } from './bench-measure.mjs'

const [port, seconds] = process.argv.slice(2).map(Number)
const [asks, answers] = await Promise.all([0, 1].map(() => connect({ servers: `127.0.0.1:${port}` })))
answers.subscribe('echo', { callback: (_error, message) => { message.respond(message.data) } })
await answers.flush()
const payload = Buffer.alloc(64, 'sheaf')
await measure(seconds, Array.from({ length: 64 }, () => one(() => asks.request('echo', payload))))
await Promise.all([asks.close(), answers.close()])
