/**
 * Sends 32-byte messages to a path for some seconds, and prints how many and the CPU time they took: bursts of 64, as
 * fast as back-pressure lets it; or 16 datagrams each millisecond; or one at a time on each of 64 connections, each
 * when the last has come back. Arguments: sheaf | node | unix-dgram, stream | datagram | paced | load, seconds, path,
 * the folder of `unix-dgram`.
 */
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { createConnection } from 'node:net'
import { connect, datagram } from '@sheaf/unix'
import type * as unixDgram from '@sheaf/unix/unix-dgram'

const [kind, transport, seconds, path, folder] = process.argv.slice(2)
const chunk = Buffer.alloc(32, 'x')
const isDatagram = transport === 'datagram' || transport === 'paced'
const burst = transport === 'paced' ? 16 : 64
const connections = 64
const warmUpMs = 300

let waiting = false
let sent = 0
/** What the kernel has taken, where that is not what was {@link sent}. */
let taken = (): number => sent
/** Looks whether the time is over, where nobody says that sending may go on. */
let look: NodeJS.Timeout | undefined
const resume = (): void => {
  waiting = false
  if (look === undefined) return
  clearTimeout(look)
  look = undefined
  setImmediate(turn)
}

/** Sends one burst. */
async function sender(): Promise<() => void> {
  if (isDatagram && kind === 'sheaf') {
    const socket = await datagram.connect({ path }, { drain: resume })
    taken = () => socket.messagesWritten
    return () => {
      for (let index = 0; index < burst; index++) waiting = !socket.send(chunk)
    }
  }
  if (isDatagram) {
    const socket = (createRequire(import.meta.url)(folder) as typeof unixDgram).createSocket('unix_dgram')
    socket.on('writable', resume)
    socket.on('congestion', () => {
      waiting = true
      sent--
    })
    socket.connect(path)
    return () => {
      for (let index = 0; index < burst && !waiting; index++) {
        sent++
        socket.send(chunk)
      }
    }
  }
  if (kind === 'sheaf') {
    const socket = await connect({ path, backend: 'ring' }, { drain: resume })
    return () => {
      for (let index = 0; index < burst; index++) waiting = !socket.write(chunk)
      sent += burst
    }
  }
  const socket = createConnection(path)
  socket.on('drain', resume)
  await once(socket, 'connect')
  return () => {
    for (let index = 0; index < burst; index++) waiting = !socket.write(chunk)
    sent += burst
  }
}

async function load(): Promise<() => void> {
  for (let index = 0; index < connections; index++) {
    const connection = await connect({ path, backend: 'ring' }, {
      data(connection) {
        sent++
        connection.write(chunk)
      },
    })
    connection.write(chunk)
  }
  return () => undefined
}

const send = await (transport === 'load' ? load() : sender())
const began = performance.now()
let measuredFrom = 0
let sentBefore = 0
let before = process.cpuUsage()
const turn = (): void => {
  const now = performance.now()
  if (measuredFrom === 0 && now - began > warmUpMs) {
    measuredFrom = now
    sentBefore = taken()
    before = process.cpuUsage()
  }
  if (measuredFrom !== 0 && now - measuredFrom > Number(seconds) * 1000) {
    const { user, system } = process.cpuUsage(before)
    const elapsedSeconds = (now - measuredFrom) / 1000
    console.log(JSON.stringify({ messages: taken() - sentBefore, cpuMicroseconds: user + system, elapsedSeconds }))
    process.exit()
  }
  if (!waiting) send()
  if (transport === 'load' || transport === 'paced') setTimeout(turn, 1)
  else if (waiting) look = setTimeout(turn, 1)
  else setImmediate(turn)
}
turn()
