// Commands that are pipelined by themselves, a transaction, publish and subscribe, and a value of 4 MB.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { createClient, RESP_TYPES } from 'redis'

const hash = (bytes) => createHash('sha256').update(bytes).digest('hex')
const client = createClient({ socket: { host: '127.0.0.1', port: Number(process.argv[2]) } })
await client.connect()
const binary = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })

const values = Array.from({ length: 1000 }, (_, index) => randomBytes(index))
await Promise.all(values.map((value, index) => client.set(`node:${index}`, value)))
const read = await Promise.all(values.map((_, index) => binary.get(`node:${index}`)))
for (const [index, value] of values.entries()) assert.equal(hash(read[index]), hash(value))

const counts = await Promise.all(Array.from({ length: 2000 }, () => client.incr('node:counter')))
assert.deepEqual(counts, Array.from({ length: 2000 }, (_, index) => index + 1))
assert.deepEqual(await client.multi().incr('node:counter').get('node:counter').exec(), [2001, '2001'])

const subscriber = client.duplicate()
await subscriber.connect()
const messages = []
const heard = new Promise((resolve) => {
  void subscriber.subscribe('node:news', (message) => {
    if (messages.push(Number(message)) === 1000) resolve()
  }).then(() => {
    for (let index = 0; index < 1000; index++) void client.publish('node:news', `${index}`)
  })
})
await heard
assert.deepEqual(messages, Array.from({ length: 1000 }, (_, index) => index))

const large = randomBytes(4 * 1024 * 1024)
await client.set('node:large', large)
assert.equal(hash(await binary.get('node:large')), hash(large))

const statistics = await client.info('stats')
const count = (name) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(statistics)[1])
console.log(JSON.stringify({ received: count('total_net_output_bytes'), sent: count('total_net_input_bytes') }))
await Promise.all([client.close(), subscriber.close()])
