import { afterEach, expect, it } from 'vitest'
import { createRing, limits, type Ring, StreamConnection, type StreamHandler } from '@sheaf/ring'
import { until, untilIdle } from '@sheaf/ring/testing'
import { Errno } from '../src/abi'
import { Operation } from '../src/queue/operation-table'

const unixFamily = 1
const streamType = 1

class PlainConnection extends StreamConnection {
  readonly localAddress = undefined
  readonly remoteAddress = undefined
}

let ring: Ring

afterEach(() => ring.close())

function pair(handler: StreamHandler): [PlainConnection, PlainConnection] {
  ring = createRing()
  const fds = new Int32Array(2)
  expect(ring.sockets.socketpair(unixFamily, streamType, fds)).toBe(0)
  const [first, second] = [...fds].map((fd) => new PlainConnection(ring, fd, handler))
  first.begin()
  second.begin()
  return [first, second]
}

// A Unix stream socket answers a send with ENOBUFS when the system is out of memory. That was taken for what a bundle
// says of an empty group: the bytes were forgotten and the stream went on behind them.
it.each([['ENOBUFS', Errno.ENOBUFS], ['ECANCELED', Errno.ECANCELED]])(
  'a plain send that fails with %s ends the connection, as its bytes are lost',
  async (code, errno) => {
    const closed: (NodeJS.ErrnoException | undefined)[] = []
    const told: (NodeJS.ErrnoException | undefined)[] = []
    const [sender, receiver] = pair({ close: (_connection, error) => void closed.push(error) })
    receiver.pause()
    // One span, which is sent as it is, and which the socket has no room for.
    sender.setSendBufferBytes(4096)
    sender.write(Buffer.alloc(limits.sendBlockBytes), (error) => void told.push(error))
    await until(() => sender.sending, 'the send')
    // The kernel's completion of it says that it has failed.
    const complete = sender.complete.bind(sender)
    sender.complete = (operation, result, flags) => {
      complete(operation, operation === Operation.Send ? -errno : result, flags)
    }
    receiver.resume()
    await until(() => closed.length === 2, 'both ends to close')
    expect(told).toEqual([expect.objectContaining({ code, syscall: 'write' })])
    expect(closed).toContainEqual(expect.objectContaining({ code, syscall: 'write' }))
    await untilIdle(ring)
  },
)
