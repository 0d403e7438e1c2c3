// 100 MB into a table by COPY and out again.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { from, to } from 'pg-copy-streams'

const totalBytes = 100e6
const lineBytes = 1000
const port = Number(process.argv[2])
const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres' })
await client.connect()
await client.query('CREATE UNLOGGED TABLE copied (line text)')
await client.query('ALTER TABLE copied ALTER COLUMN line SET STORAGE PLAIN')

const sent = createHash('sha256')
let sentBytes = 0
function* lines() {
  const random = randomBytes(500_000).toString('hex')
  while (sentBytes < totalBytes) {
    let chunk = ''
    for (let index = 0; index < 64; index++) {
      const at = Math.floor(Math.random() * (random.length - lineBytes))
      chunk += `${random.slice(at, at + lineBytes - 1)}\n`
    }
    const bytes = Buffer.from(chunk)
    sentBytes += bytes.length
    sent.update(bytes)
    yield bytes
  }
}
await pipeline(Readable.from(lines(), { objectMode: false }), client.query(from('COPY copied FROM STDIN')))

const received = createHash('sha256')
let receivedBytes = 0
await pipeline(client.query(to('COPY copied TO STDOUT')), new Writable({
  write(chunk, _encoding, callback) {
    received.update(chunk)
    receivedBytes += chunk.length
    callback()
  },
}))
assert.equal(receivedBytes, sentBytes)
assert.equal(received.digest('hex'), sent.digest('hex'))
await client.end()
console.log(JSON.stringify({ received: receivedBytes, sent: sentBytes }))
