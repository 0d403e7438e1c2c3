import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PathAddress } from '@sheaf/ring'
import { testMessages, testStreams, until } from '@sheaf/ring/testing'
import { afterAll, describe, it } from 'vitest'
import { connect, datagram, listen, seqpacket, type UnixConnection } from '../src/index'

const directory = mkdtempSync(join(tmpdir(), 'sheaf-'))
afterAll(() => rmSync(directory, { recursive: true }))
let sockets = 0

/** A path that nobody uses. Half of them are abstract. */
function newPath(): string {
  const name = join(directory, String(++sockets))
  return sockets % 2 === 0 ? `\0${name}` : name
}

testStreams<UnixConnection>('Unix streams', {
  // Half of them abstract, where they can be: Node 20 has other names for them.
  listen: (handler, options) => {
    const path = options.backend === 'node' ? newPath().replace('\0', '') : newPath()
    return listen({ path, ...options }, handler)
  },
  connect: (listener, handler, options) =>
    connect({ path: (listener.address as PathAddress).path, ...options }, handler),
}, { describe, it })

/** What a send buffer of the default size takes in one message. */
const messageBytesMax = 200_000

testMessages<datagram.DatagramSocket>('Unix datagrams to a connected peer', {
  messageBytesMax,
  reliable: true,
  async open(where, handlers, options) {
    const [path, localPath] = [newPath(), newPath()]
    const receiver = await datagram.bind({ path, ...where }, handlers.receiver)
    const sender = await datagram.connect({ path, localPath, ...where, ...options }, handlers.sender)
    return { sender, receiver, answer: (chunk) => receiver.send(chunk, { path: localPath }) }
  },
}, { describe, it })

testMessages<datagram.DatagramSocket>('Unix datagrams of sockets that are not connected', {
  messageBytesMax,
  reliable: true,
  async open(where, handlers, options) {
    const [path, localPath] = [newPath(), newPath()]
    const receiver = await datagram.bind({ path, ...where }, handlers.receiver)
    const sender = await datagram.bind({ path: localPath, ...where, ...options }, handlers.sender)
    const lane = sender.lane.bind(sender)
    sender.lane = (to) => lane(to ?? { path })
    return { sender, receiver, answer: (chunk) => receiver.send(chunk, { path: localPath }) }
  },
}, { describe, it })

testMessages<datagram.DatagramSocket>('Unix datagrams of a socket pair', {
  messageBytesMax,
  reliable: true,
  open(where, handlers, options) {
    const [sender, receiver] = datagram.socketpair({ ...where, ...options }, handlers.sender, handlers.receiver)
    return Promise.resolve({ sender, receiver, answer: (chunk) => receiver.send(chunk) })
  },
}, { describe, it })

testMessages<seqpacket.SeqpacketConnection>('Unix seqpacket connections', {
  messageBytesMax,
  reliable: true,
  async open(where, handlers, options) {
    let receiver: seqpacket.SeqpacketConnection | undefined
    const listener = await seqpacket.listen({ path: newPath(), ...where }, {
      open(connection) {
        connection.handler = handlers.receiver
        receiver = connection
      },
    })
    const sender = await seqpacket.connect({ path: listener.address.path, ...where, ...options }, handlers.sender)
    await until(() => receiver !== undefined, 'the connection to be accepted')
    const accepted = receiver as unknown as seqpacket.SeqpacketConnection
    return { sender, receiver: accepted, answer: (chunk) => accepted.send(chunk), close: () => listener.close() }
  },
}, { describe, it })
