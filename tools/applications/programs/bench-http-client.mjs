// Requests by `node:http`, one after another on each of 64 connections that are kept.
import { Agent, get } from 'node:http'
import { measure, one } from './bench-measure.mjs'

const [port, seconds] = process.argv.slice(2).map(Number)
const agent = new Agent({ keepAlive: true, maxSockets: 64 })
await measure(seconds, Array.from({ length: 64 }, () => one(() => new Promise((resolve, reject) => {
  get({ port, host: '127.0.0.1', agent }, (response) => {
    response.on('end', () => { resolve() }).resume()
  }).on('error', reject)
}))))
agent.destroy()
