// 1000 messages of each quality of service, in order; a retained one, and a last will.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import mqtt from 'mqtt'

const messageCount = 1000
const url = `mqtt://127.0.0.1:${process.argv[2]}`
const subscriber = await mqtt.connectAsync(url)
const publisher = await mqtt.connectAsync(url, { will: { topic: 'will', payload: 'gone', qos: 1 } })
await subscriber.subscribeAsync(['quality/#', 'will'], { qos: 2 })

const received = [[], [], []]
let payloadBytes = 0
let missing = 3 * messageCount
const all = new Promise((resolve) => {
  subscriber.on('message', (topic, payload) => {
    if (!topic.startsWith('quality/')) return
    received[topic.at(-1)].push(payload.readUInt32BE())
    payloadBytes += payload.length
    if (--missing === 0) resolve()
  })
})
await Promise.all(Array.from({ length: 3 * messageCount }, (_, index) => {
  const qos = index % 3
  const payload = Buffer.alloc(4 + index % 1000)
  payload.writeUInt32BE(Math.floor(index / 3))
  return publisher.publishAsync(`quality/${qos}`, payload, { qos })
}))
await all
const expected = Array.from({ length: messageCount }, (_, index) => index)
assert.deepEqual(received, [expected, expected, expected])

await publisher.publishAsync('kept', 'for later', { retain: true, qos: 1 })
const late = await mqtt.connectAsync(url)
const kept = once(late, 'message')
await late.subscribeAsync('kept')
assert.equal((await kept)[1].toString(), 'for later')

const will = once(subscriber, 'message')
// Not a DISCONNECT: the server is to think that it has died.
publisher.stream.destroy()
publisher.end(true)
assert.equal((await will)[1].toString(), 'gone')
await Promise.all([subscriber.endAsync(), late.endAsync()])
console.log(JSON.stringify({ received: payloadBytes, sent: payloadBytes }))
