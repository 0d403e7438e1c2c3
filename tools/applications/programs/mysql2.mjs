// A pool: simple and prepared statements, a value of 8 MB, a stream of 50 000 rows.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import mysql from 'mysql2/promise'

const hash = (bytes) => createHash('sha256').update(bytes).digest('hex')
const pool = mysql.createPool({
  host: '127.0.0.1', port: Number(process.argv[2]), user: 'sheaf', password: 'sheaf', database: 'sheaf',
  connectionLimit: 8,
})
await pool.query('CREATE TABLE item (id INT PRIMARY KEY, bytes LONGBLOB, text VARCHAR(100) CHARACTER SET utf8mb4)')

let payloadBytes = 0
await Promise.all(Array.from({ length: 300 }, async (_, id) => {
  const bytes = Buffer.alloc(id * 17, id)
  payloadBytes += bytes.length
  await pool.execute('INSERT INTO item VALUES (?, ?, ?)', [id, bytes, `ítem ${id}`])
}))
await Promise.all(Array.from({ length: 300 }, async (_, id) => {
  const [[row]] = await pool.query('SELECT bytes, text FROM item WHERE id = ?', [id])
  assert.equal(row.text, `ítem ${id}`)
  assert.equal(hash(row.bytes), hash(Buffer.alloc(id * 17, id)))
}))

const large = randomBytes(8 * 1024 * 1024)
payloadBytes += large.length
await pool.execute('INSERT INTO item VALUES (?, ?, ?)', [1000, large, 'large'])
const [[row]] = await pool.execute('SELECT bytes FROM item WHERE id = 1000')
assert.equal(hash(row.bytes), hash(large))

const connection = await pool.getConnection()
const rows = connection.connection.query('SELECT seq FROM seq_1_to_50000').stream()
let sum = 0
for await (const { seq } of rows) sum += seq
assert.equal(sum, 50_000 * 50_001 / 2)
await assert.rejects(connection.query('SELECT nothing FROM nowhere'), { code: 'ER_NO_SUCH_TABLE' })
connection.release()
await pool.end()
console.log(JSON.stringify({ received: payloadBytes, sent: payloadBytes }))
