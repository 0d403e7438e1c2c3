import { closeSync, openSync, readFileSync, readlinkSync, readSync } from 'node:fs'
import { constants } from 'node:os'
import { describe, expect, it } from 'vitest'
import { openRegion, openRing, socketPair } from './fixtures/queue.mjs'
import { openFds } from './resources.js'
import { theBinding } from './the-binding.js'

const binding = theBinding()
const { sockets } = binding
const { EADDRINUSE, EAFNOSUPPORT, EAGAIN, EBADF, EFAULT, EINVAL, ENODEV, ENOPROTOOPT, ENOTCONN, ENOTSOCK, EPIPE }
  = constants.errno
const unix = 1
const inet = 2
const stream = 1
const datagram = 2
const solSocket = 1
const soType = 3
const soReceiveBuffer = 8
const ipTos = 1
const dontWait = 0x40
const noSignal = 0x4000

/** `sockaddr_in` for a loopback port. */
function loopback(port: number): Uint8Array {
  return Uint8Array.of(inet, 0, port >> 8, port & 255, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)
}

/** `/proc/self/fdinfo`: the open file's flags, in octal. */
function flagsOf(fd: number): number {
  return Number.parseInt(/^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? '', 8)
}

const nonBlocking = 0o4000
const closeOnExec = 0o2000000

describe('socket calls', () => {
  it('make sockets that block, and are closed in a new program', () => {
    const fd = sockets.socket(inet, stream, 0)
    expect(readlinkSync(`/proc/self/fd/${fd}`)).toMatch(/^socket:/)
    expect(flagsOf(fd) & nonBlocking).toBe(0)
    expect(flagsOf(fd) & closeOnExec).toBe(closeOnExec)
    expect(sockets.close(fd)).toBe(0)
    expect(sockets.close(fd)).toBe(-EBADF)
    expect(sockets.socket(99999, stream, 0)).toBe(-EAFNOSUPPORT)
    expect(sockets.socket(inet, 999, 0)).toBe(-EINVAL)
  })

  it('make connected pairs', () => {
    const before = openFds()
    const into = new Int32Array(4).fill(-1)
    expect(sockets.socketpair(unix, stream, into.subarray(1))).toBe(0)
    expect([into[0], into[3]]).toEqual([-1, -1])
    expect(openFds().length).toBe(before.length + 2)
    for (const fd of into.subarray(1, 3)) expect(sockets.close(fd)).toBe(0)
    expect(() => sockets.socketpair(unix, stream, new Int32Array(1)))
      .toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
  })

  it('send three pieces in one call, as far as there is room', () => {
    const into = new Int32Array(2)
    expect(sockets.socketpair(unix, stream, into)).toBe(0)
    const [fd, peer] = into
    const nothing = new Uint8Array(0)
    const memory = Uint8Array.from({ length: 16 }, (_, index) => index)
    expect(sockets.send(fd, memory.subarray(2, 5), memory.subarray(9, 12), memory.subarray(12), dontWait)).toBe(10)
    const received = new Uint8Array(100)
    expect(readSync(peer, received)).toBe(10)
    expect([...received.subarray(0, 10)]).toEqual([2, 3, 4, 9, 10, 11, 12, 13, 14, 15])
    expect(sockets.send(fd, nothing, memory, nothing, dontWait)).toBe(16)
    const large = new Uint8Array(10_000_000)
    const taken = sockets.send(fd, memory, large, nothing, dontWait)
    expect(taken).toBeGreaterThan(16)
    expect(taken).toBeLessThan(large.byteLength)
    while (sockets.send(fd, nothing, memory, nothing, dontWait) > 0);
    expect(sockets.send(fd, nothing, memory, nothing, dontWait)).toBe(-EAGAIN)
    sockets.close(peer)
    expect(sockets.send(fd, nothing, memory, nothing, dontWait | noSignal)).toBe(-EPIPE)
    expect(() => sockets.send(fd, memory, new Uint16Array(1) as never, nothing, dontWait))
      .toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
    sockets.close(fd)
    expect(sockets.send(fd, nothing, memory, nothing, dontWait)).toBe(-EBADF)
  })

  it('receive what there is, and say when there is nothing, or it was the end', () => {
    const into = new Int32Array(2)
    expect(sockets.socketpair(unix, stream, into)).toBe(0)
    const [fd, peer] = into
    const nothing = new Uint8Array(0)
    expect(sockets.send(peer, Uint8Array.of(1, 2, 3, 4, 5), nothing, nothing, dontWait)).toBe(5)
    const memory = new Uint8Array(8)
    expect(sockets.receive(fd, memory.subarray(2, 5), dontWait)).toBe(3)
    expect([...memory]).toEqual([0, 0, 1, 2, 3, 0, 0, 0])
    expect(sockets.receive(fd, memory, dontWait)).toBe(2)
    expect([...memory]).toEqual([4, 5, 1, 2, 3, 0, 0, 0])
    expect(sockets.receive(fd, memory, dontWait)).toBe(-EAGAIN)
    sockets.close(peer)
    expect(sockets.receive(fd, memory, dontWait)).toBe(0)
    expect(() => sockets.receive(fd, new ArrayBuffer(8) as never, dontWait))
      .toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
    sockets.close(fd)
    expect(sockets.receive(fd, memory, dontWait)).toBe(-EBADF)
  })

  it('send several messages at once, as far as there is room, and stop at what is refused', () => {
    const into = new Int32Array(2)
    expect(sockets.socketpair(unix, datagram, into)).toBe(0)
    const [fd, peer] = into
    const region = openRegion(openRing(binding))
    const headers = new Uint8Array(region.buffer, 0, 3 * 64)
    const words = new BigUint64Array(region.buffer)
    const vectorsAt = 64
    for (let index = 0; index < 3; index++) {
      words[index * 8 + 2] = BigInt(region.address + (vectorsAt + index * 2) * 8)
      words[index * 8 + 3] = 1n
      words.set([BigInt(region.address + 1024), BigInt(index + 1)], vectorsAt + index * 2)
    }
    expect(sockets.sendmmsg(fd, headers, 3, dontWait)).toBe(3)
    expect([0, 1, 2].map((index) => words[index * 8 + 7])).toEqual([1n, 2n, 3n])
    words[2 * 8 + 2] = 1n
    expect(sockets.sendmmsg(fd, headers, 3, dontWait)).toBe(2)
    expect(sockets.sendmmsg(fd, headers.subarray(128), 1, dontWait)).toBe(-EFAULT)
    while (sockets.sendmmsg(fd, headers, 2, dontWait) > 0);
    expect(sockets.sendmmsg(fd, headers, 2, dontWait)).toBe(-EAGAIN)
    expect(() => sockets.sendmmsg(fd, headers, 4, dontWait))
      .toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
    for (const each of [fd, peer]) sockets.close(each)
    expect(sockets.sendmmsg(fd, headers, 1, dontWait)).toBe(-EBADF)
  })

  it('bind, listen, and say which address that is', () => {
    const fd = sockets.socket(inet, stream, 0)
    const name = new Uint8Array(32)
    expect(sockets.bind(fd, loopback(0))).toBe(0)
    expect(sockets.listen(fd, 1)).toBe(0)
    expect(sockets.getsockname(fd, name)).toBe(16)
    const port = name[2] * 256 + name[3]
    expect(port).toBeGreaterThan(0)
    expect(name.subarray(0, 16)).toEqual(loopback(port))
    expect(sockets.getpeername(fd, name)).toBe(-ENOTCONN)
    const other = sockets.socket(inet, stream, 0)
    expect(sockets.bind(other, loopback(port))).toBe(-EADDRINUSE)
    for (const socket of [fd, other]) sockets.close(socket)
  })

  it('mark what they make as the thread\'s, until they close it', () => {
    const ring = openRing(theBinding())
    const owned = new Uint8Array(ring.descriptors)
    const isOwned = (fd: number) => (owned[fd >> 3] & (1 << (fd & 7))) !== 0
    const fd = sockets.socket(inet, stream, 0)
    const made = [fd, ...socketPair(theBinding()), sockets.dup(fd)]
    expect(made.map(isOwned)).toEqual([true, true, true, true])
    // All rings of a thread have the same, and they outlast each.
    const other = openRing(theBinding())
    expect(other.descriptors).toBe(ring.descriptors)
    ring.close()
    other.close()
    for (const one of made) expect(sockets.close(one)).toBe(0)
    expect(made.map(isOwned)).toEqual([false, false, false, false])
    // What is no descriptor, or has a number beyond the bits, does no harm.
    expect(sockets.close(2 ** 31 - 1)).toBe(-EBADF)
  })

  it('connect datagram sockets', () => {
    const [one, two] = [sockets.socket(inet, datagram, 0), sockets.socket(inet, datagram, 0)]
    const name = new Uint8Array(16)
    expect(sockets.bind(one, loopback(0))).toBe(0)
    expect(sockets.getsockname(one, name)).toBe(16)
    expect(sockets.connect(two, name)).toBe(0)
    const peer = new Uint8Array(16)
    expect(sockets.getpeername(two, peer)).toBe(16)
    expect(peer).toEqual(name)
    expect(sockets.shutdown(two, 2)).toBe(0)
    for (const fd of [one, two]) sockets.close(fd)
  })

  it('use the window of a buffer that they are given, and no more', () => {
    const fd = sockets.socket(inet, datagram, 0)
    const pool = Buffer.alloc(64, 0xee)
    const address = pool.subarray(8, 24)
    address.set(loopback(0))
    expect(sockets.bind(fd, address)).toBe(0)
    const into = pool.subarray(40, 44)
    expect(sockets.getsockname(fd, into)).toBe(16)
    expect(into).toEqual(Buffer.from([inet, 0, into[2], into[3]]))
    expect(pool.subarray(44).every((byte) => byte === 0xee)).toBe(true)
    expect(pool.subarray(24, 40).every((byte) => byte === 0xee)).toBe(true)

    const value = pool.subarray(28, 32)
    value.writeInt32LE(0x10)
    expect(sockets.setsockopt(fd, 0, ipTos, value)).toBe(0)
    const got = pool.subarray(48, 52)
    expect(sockets.getsockopt(fd, 0, ipTos, got)).toBe(4)
    expect(got.readInt32LE()).toBe(0x10)
    expect(pool.subarray(52).every((byte) => byte === 0xee)).toBe(true)
    sockets.close(fd)
  })

  it('read and set options, and answer the kernel\'s errors', () => {
    const fd = sockets.socket(inet, datagram, 0)
    const value = Buffer.alloc(4)
    expect(sockets.getsockopt(fd, solSocket, soType, value)).toBe(4)
    expect(value.readInt32LE()).toBe(datagram)
    value.writeInt32LE(65536)
    expect(sockets.setsockopt(fd, solSocket, soReceiveBuffer, value)).toBe(0)
    expect(sockets.getsockopt(fd, solSocket, soReceiveBuffer, value)).toBe(4)
    expect(value.readInt32LE()).toBe(2 * 65536)
    expect(sockets.getsockopt(fd, solSocket, 9999, value)).toBe(-ENOPROTOOPT)
    expect(sockets.setsockopt(fd, solSocket, soReceiveBuffer, new Uint8Array(0))).toBe(-EINVAL)
    sockets.close(fd)
    const file = openSync('/dev/null', 'r')
    expect(sockets.setsockopt(file, solSocket, soReceiveBuffer, value)).toBe(-ENOTSOCK)
    closeSync(file)
  })

  it('duplicate a descriptor', () => {
    const [one, two] = socketPair(theBinding())
    const copy = sockets.dup(one)
    expect(copy).not.toBe(one)
    expect(readlinkSync(`/proc/self/fd/${copy}`)).toBe(readlinkSync(`/proc/self/fd/${one}`))
    expect(flagsOf(copy) & closeOnExec).toBe(closeOnExec)
    for (const fd of [one, two, copy]) sockets.close(fd)
    expect(sockets.dup(copy)).toBe(-EBADF)
  })

  it('know the network interfaces', () => {
    const index = Number(readFileSync('/sys/class/net/lo/ifindex', 'latin1'))
    expect(sockets.interfaceIndex('lo')).toBe(index)
    expect(sockets.interfaceIndex('no-such-interface')).toBe(-ENODEV)
    expect(sockets.interfaceIndex('')).toBe(-ENODEV)
  })
})
