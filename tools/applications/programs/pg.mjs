// A pool of 8: simple and prepared queries, a transaction that is taken back, an error, notifications.
import assert from 'node:assert/strict'
import pg from 'pg'

const settings = { host: '127.0.0.1', port: Number(process.argv[2]), user: 'postgres', database: 'postgres' }
const pool = new pg.Pool({ ...settings, max: 8 })
await pool.query('CREATE TABLE item (id int PRIMARY KEY, bytes bytea, text text)')

let payloadBytes = 0
await Promise.all(Array.from({ length: 500 }, async (_, id) => {
  const bytes = Buffer.alloc(id * 17, id)
  payloadBytes += bytes.length
  await pool.query('INSERT INTO item VALUES ($1, $2, $3)', [id, bytes, `ítem ${id}`])
}))
await Promise.all(Array.from({ length: 500 }, async (_, id) => {
  const query = { name: 'read', text: 'SELECT bytes, text FROM item WHERE id = $1', values: [id] }
  const { rows: [row] } = await pool.query(query)
  assert.deepEqual(row, { bytes: Buffer.alloc(id * 17, id), text: `ítem ${id}` })
}))

const client = await pool.connect()
await client.query('BEGIN')
await client.query('DELETE FROM item')
await client.query('ROLLBACK')
await assert.rejects(client.query('SELECT 1 / 0'), { code: '22012' })
const { rows: [{ count, digest }] } = await client.query(
  "SELECT count(*)::int, md5(string_agg(bytes, '' ORDER BY id)) AS digest FROM item")
assert.equal(count, 500)
assert.equal(digest.length, 32)
const { rows } = await client.query('SELECT generate_series(1, 50000) AS n')
assert.equal(rows.reduce((sum, { n }) => sum + n, 0), 50_000 * 50_001 / 2)
client.release()

const listener = new pg.Client(settings)
await listener.connect()
await listener.query('LISTEN news')
const heard = new Promise((resolve) => {
  const payloads = []
  listener.on('notification', ({ payload }) => { if (payloads.push(Number(payload)) === 200) resolve(payloads) })
})
for (let index = 0; index < 200; index++) await pool.query("SELECT pg_notify('news', $1)", [`${index}`])
assert.deepEqual(await heard, Array.from({ length: 200 }, (_, index) => index))

await Promise.all([listener.end(), pool.end()])
console.log(JSON.stringify({ received: payloadBytes, sent: payloadBytes }))
