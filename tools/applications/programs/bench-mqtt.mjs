// 64 messages under way from one connection to another, each acknowledged (quality of service 1) and received.
import mqtt from 'mqtt'
import { measure, one } from './bench-measure.mjs'

const [port, seconds] = process.argv.slice(2).map(Number)
const [publisher, subscriber] = await Promise.all([0, 1].map(() => mqtt.connectAsync(`mqtt://127.0.0.1:${port}`)))
const waiting = new Map()
subscriber.on('message', (topic) => { waiting.get(topic)() })
await subscriber.subscribeAsync('topic/+', { qos: 1 })
const payload = Buffer.alloc(64, 'sheaf')
await measure(seconds, Array.from({ length: 64 }, (_, index) => one(async () => {
  const topic = `topic/${index}`
  const received = new Promise((resolve) => { waiting.set(topic, resolve) })
  await Promise.all([publisher.publishAsync(topic, payload, { qos: 1 }), received])
})))
await Promise.all([publisher.endAsync(), subscriber.endAsync()])
