// Strings, binary values, pipelines, a transaction, a blocking command, publish and subscribe, and a value of 8 MB.
const { createHash, randomBytes } = require('node:crypto')
const assert = require('node:assert/strict')
const Redis = require('ioredis')

const hash = (bytes) => createHash('sha256').update(bytes).digest('hex')

async function main() {
  const redis = new Redis(Number(process.argv[2]), '127.0.0.1')
  const other = redis.duplicate()

  const values = Array.from({ length: 1000 }, (_, index) => randomBytes(index))
  await Promise.all(values.map((value, index) => redis.set(`key:${index}`, value)))
  const read = await Promise.all(values.map((_, index) => redis.getBuffer(`key:${index}`)))
  for (const [index, value] of values.entries()) assert.equal(hash(read[index]), hash(value))

  for (let round = 0; round < 50; round++) {
    const pipeline = redis.pipeline()
    for (let index = 0; index < 100; index++) pipeline.incr('counter')
    const replies = await pipeline.exec()
    const expected = Array.from({ length: 100 }, (_, index) => round * 100 + index + 1)
    assert.deepEqual(replies.map(([, reply]) => reply), expected)
  }
  const [[, ok], [, counter]] = await redis.multi().set('text', 'übergrößen').get('counter').exec()
  assert.deepEqual([ok, counter, await redis.get('text')], ['OK', '5000', 'übergrößen'])

  const waiting = other.blpop('list', 0)
  await redis.rpush('list', 'awaited')
  assert.deepEqual(await waiting, ['list', 'awaited'])

  await other.subscribe('news')
  const heard = new Promise((resolve) => {
    const messages = []
    other.on('message', (_channel, message) => {
      if (messages.push(Number(message)) === 1000) resolve(messages)
    })
  })
  for (let index = 0; index < 1000; index++) redis.publish('news', index)
  assert.deepEqual(await heard, Array.from({ length: 1000 }, (_, index) => index))

  const large = randomBytes(8 * 1024 * 1024)
  await redis.set('large', large)
  assert.equal(hash(await redis.getBuffer('large')), hash(large))

  await assert.rejects(redis.call('no-such-command'), /unknown command/)
  // What the server has counted until it answers this: all but the answer.
  const statistics = await redis.info('stats')
  const count = (name) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(statistics)[1])
  console.log(JSON.stringify({ received: count('total_net_output_bytes'), sent: count('total_net_input_bytes') }))
  await Promise.all([redis.quit(), other.quit()])
}

main()
