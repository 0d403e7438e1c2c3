// Simple queries, one after another on each of 32 connections.
import mysql from 'mysql2/promise'
import { measure, one } from './bench-measure.mjs'

const [port, seconds] = process.argv.slice(2).map(Number)
const connections = await Promise.all(Array.from({ length: 32 }, () =>
  mysql.createConnection({ host: '127.0.0.1', port, user: 'sheaf', password: 'sheaf', database: 'sheaf' })))
await measure(seconds, connections.map((connection) => one(() => connection.query('SELECT 1 AS one'))))
await Promise.all(connections.map((connection) => connection.end()))
