// Values from nothing to almost 1 MB, binary; counters; one that is not there.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import memjs from 'memjs'

const hash = (bytes) => createHash('sha256').update(bytes).digest('hex')
const client = memjs.Client.create(`127.0.0.1:${process.argv[2]}`)
const values = Array.from({ length: 500 }, (_, index) => randomBytes(index * 11))
values.push(randomBytes(1_000_000))

let payloadBytes = 0
await Promise.all(values.map((value, index) => {
  payloadBytes += value.length
  return client.set(`key:${index}`, value, {})
}))
await Promise.all(values.map(async (value, index) => {
  assert.equal(hash((await client.get(`key:${index}`)).value), hash(value))
}))
const counts = await Promise.all(Array.from({ length: 500 }, () => client.increment('counter', 1, { initial: 1 })))
assert.deepEqual(counts.map(({ value }) => value), Array.from({ length: 500 }, (_, index) => index + 1))
assert.equal((await client.get('nothing')).value, null)
client.close()
console.log(JSON.stringify({ received: payloadBytes, sent: payloadBytes }))
