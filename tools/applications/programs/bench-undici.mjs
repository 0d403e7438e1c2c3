// Requests by undici, one after another on each of 64 connections.
import { Pool } from 'undici'
import { measure, one } from './bench-measure.mjs'

const [port, seconds] = process.argv.slice(2).map(Number)
const pool = new Pool(`http://127.0.0.1:${port}`, { connections: 64 })
await measure(seconds, Array.from({ length: 64 }, () => one(async () => {
  const { body } = await pool.request({ path: '/', method: 'GET' })
  await body.dump()
})))
await pool.close()
