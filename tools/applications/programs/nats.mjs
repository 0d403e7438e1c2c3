// Publishes to a stream of three replicas while one of the servers dies. Then reads the stream: what was acknowledged
// is in it, and once.
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'

const messageCount = 3000
const atOnce = 50
const connection = await connect({
  servers: process.argv.slice(2).map((port) => `127.0.0.1:${port}`),
  maxReconnectAttempts: -1,
  reconnectTimeWait: 50,
})

/** While the cluster elects a leader nobody answers. */
async function insist(request) {
  for (;;) {
    try {
      return await request()
    } catch (error) {
      if (connection.isClosed()) throw error
      await delay(100)
    }
  }
}

const manager = await jetstreamManager(connection, { timeout: 3000 })
await insist(() => manager.streams.add({ name: 'orders', subjects: ['orders.>'], num_replicas: 3 }))
const stream = jetstream(connection, { timeout: 2000 })

const payloadOf = (id) => Buffer.from(`order ${id} `.padEnd(200, `${id}`))
let next = 0
let acknowledged = 0
await Promise.all(Array.from({ length: atOnce }, async () => {
  while (next < messageCount) {
    const id = next++
    // By the id the server knows a message that comes again because its acknowledgement got lost.
    await insist(() => stream.publish(`orders.${id % 7}`, payloadOf(id), { msgID: `${id}` }))
    // The test kills the server that we are connected to.
    if (++acknowledged === messageCount / 3) console.log(connection.getServer().split(':').at(-1))
  }
}))

await insist(() => manager.consumers.add('orders', { durable_name: 'reader', ack_policy: 'none' }))
const consumer = await insist(() => stream.consumers.get('orders', 'reader'))
const messages = await consumer.consume()
const seen = new Set()
for await (const message of messages) {
  const id = Number(/^order (\d+) /.exec(message.string())[1])
  assert.equal(message.string(), payloadOf(id).toString())
  seen.add(id)
  if (message.info.pending === 0) break
}
assert.equal(seen.size, messageCount)
const { state } = await insist(() => manager.streams.info('orders'))
assert.equal(state.messages, messageCount)
const payloadBytes = messageCount * 200
console.log(JSON.stringify({ received: payloadBytes, sent: payloadBytes }))
await connection.close()
