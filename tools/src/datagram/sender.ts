/**
 * Sends bursts of datagrams to ports of an address for some seconds, as fast as it can, and prints how many and the CPU
 * time they took. Arguments: sheaf | node, connected | unconnected, bytes, datagrams to each destination in a row,
 * seconds, address, ports.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { bind, connect } from '@sheaf/udp'

const [kind, connection, size, burstLength, seconds, host, ...ports] = process.argv.slice(2)
const warmUpMs = 300
const chunk = Buffer.alloc(Number(size), 'x')
const burst = Number(burstLength)
const destinations = ports.map((port) => ({ address: host, port: Number(port) }))

type Sender = () => boolean

/** Sends one burst to each destination. @returns false when it must wait for `resume`. */
async function sheafSender(resume: () => void): Promise<Sender> {
  const handler = { drain: resume }
  if (connection === 'connected') {
    const socket = await connect({ host, port: destinations[0].port, backend: 'ring' }, handler)
    return () => {
      let writable = true
      for (let index = 0; index < burst; index++) writable = socket.send(chunk)
      return writable
    }
  }
  const socket = await bind({ host: '0.0.0.0', backend: 'ring' }, handler)
  return () => {
    let writable = true
    for (const to of destinations) for (let index = 0; index < burst; index++) writable = socket.send(chunk, to)
    return writable
  }
}

async function nodeSender(): Promise<Sender> {
  const socket = createSocket('udp4')
  const ready = once(socket, connection === 'connected' ? 'connect' : 'listening')
  if (connection === 'connected') socket.connect(destinations[0].port, host)
  else socket.bind(0, '0.0.0.0')
  await ready
  return () => {
    if (connection === 'connected') {
      for (let index = 0; index < burst; index++) socket.send(chunk)
    } else {
      for (const { port } of destinations) for (let index = 0; index < burst; index++) socket.send(chunk, port, host)
    }
    return true
  }
}

let waiting = false
let sent = 0
const send = kind === 'sheaf' ? await sheafSender(() => { waiting = false }) : await nodeSender()
const began = performance.now()
let measuredFrom = 0
let before = process.cpuUsage()
const turn = (): void => {
  const now = performance.now()
  if (measuredFrom === 0 && now - began > warmUpMs) {
    measuredFrom = now
    sent = 0
    before = process.cpuUsage()
  }
  if (measuredFrom !== 0 && now - measuredFrom > Number(seconds) * 1000) {
    const { user, system } = process.cpuUsage(before)
    console.log(JSON.stringify({ messages: sent, cpuMicroseconds: user + system, elapsedMs: now - measuredFrom }))
    process.exit()
  }
  if (!waiting) {
    waiting = !send()
    sent += burst * (connection === 'connected' ? 1 : destinations.length)
  }
  setImmediate(turn)
}
turn()
