// Simple queries, one after another on each of 32 connections.
import pg from 'pg'
import { measure, one } from './bench-measure.mjs'

const [port, seconds] = process.argv.slice(2).map(Number)
const clients = Array.from({ length: 32 }, () =>
  new pg.Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres' }))
await Promise.all(clients.map((client) => client.connect()))
await measure(seconds, clients.map((client) => one(() => client.query('SELECT 1 AS one'))))
await Promise.all(clients.map((client) => client.end()))
