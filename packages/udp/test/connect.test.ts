import { describe, expect, it, onTestFinished } from 'vitest'
import { bind, type BindOptions, connect, type UdpHandler, type UdpSocket } from '../src/index'
import { ownLoopback as loopback, pattern, portOf, Received, until } from './support'

const isConnected = expect.objectContaining({ code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' }) as Error
const isNotConnected = expect.objectContaining({ code: 'ERR_SOCKET_DGRAM_NOT_CONNECTED' }) as Error

describe.each(['ring', 'node'] as const)('connect and disconnect, on the backend %s,', (backend) => {
  async function bound(handler: UdpHandler = {}, options: Partial<BindOptions> = {}): Promise<UdpSocket> {
    const socket = await bind({ host: loopback, backend, ...options }, handler)
    onTestFinished(() => {
      socket.destroy()
    })
    return socket
  }

  it('change who is sent to, and received from, and what was sent before goes where it was sent to', async () => {
    const received = [new Received(), new Received(), new Received()]
    const [one, two, three] = await Promise.all(received.map((each) => bound(each)))
    // A port that the system has chosen is given back by disconnecting (Linux).
    const spare = await bound()
    const to = { address: loopback, port: portOf(spare) }
    spare.close()
    await until(() => spare.state === 'closed', 'the port to be free')
    const own = new Received()
    const socket = await bound(own, { port: to.port })
    socket.send('a', { address: loopback, port: portOf(three) })
    const connected = socket.connect({ address: loopback, port: portOf(one) })
    expect(socket.remoteAddress?.port).toBe(portOf(one))
    for (let index = 0; index < 100; index++) socket.send(pattern(1 + index % 5, index))
    await connected
    await socket.connect({ address: loopback, port: portOf(two) })
    socket.send('two')
    expect(() => socket.send('x', { address: loopback, port: portOf(one) })).toThrow(isConnected)
    await Promise.all([received[0].arrived(100), received[1].arrived(1), received[2].arrived(1)])
    expect(received[0].chunks.every((chunk, index) => chunk.equals(pattern(1 + index % 5, index)))).toBe(true)
    expect(received[1].texts).toEqual(['two'])
    one.send('from another than the peer', to)
    two.send('from the peer', to)
    await own.arrived(1)
    socket.disconnect()
    expect(socket.remoteAddress).toBeUndefined()
    expect(() => {
      socket.disconnect()
    }).toThrow(isNotConnected)
    expect(() => socket.send('x')).toThrow(isNotConnected)
    one.send('from anyone', to)
    await own.arrived(2)
    expect(own.texts).toEqual(['from the peer', 'from anyone'])
  })

  it('of a socket that `connect` made work as well', async () => {
    const received = [new Received(), new Received()]
    const [one, two] = await Promise.all(received.map((each) => bound(each)))
    const socket = await connect({ host: loopback, port: portOf(one), backend }, {})
    onTestFinished(() => {
      socket.destroy()
    })
    socket.send('to one')
    socket.disconnect()
    expect(socket.localAddress?.port).toBe(0)
    socket.send('to two', { address: loopback, port: portOf(two) })
    await Promise.all(received.map((each) => each.arrived(1)))
    expect(socket.localAddress?.port).toBe(received[1].senders[0].port)
    expect(received.map(({ texts }) => texts)).toEqual([['to one'], ['to two']])
  })

  it('reject what is no destination or can\'t be connected to, and leave the peer as it was', async () => {
    const received = new Received()
    const receiver = await bound(received)
    const socket = await bound({}, { host: '0.0.0.0' })
    const everybody = { address: '255.255.255.255', port: 9 }
    const refused = { syscall: 'connect', code: expect.stringMatching(/^(EACCES|ENETUNREACH)$/) as string }
    await expect(socket.connect(everybody)).rejects.toMatchObject(refused)
    expect(() => socket.send('x')).toThrow(isNotConnected)
    await socket.connect({ address: loopback, port: portOf(receiver) })
    await expect(socket.connect(everybody)).rejects.toMatchObject(refused)
    await expect(socket.connect({ address: 'localhost', port: 9 }))
      .rejects.toMatchObject({ code: 'ERR_INVALID_IP_ADDRESS' })
    await expect(socket.connect({ address: loopback, port: 0 })).rejects.toMatchObject({ code: 'ERR_SOCKET_BAD_PORT' })
    expect(socket.remoteAddress).toMatchObject({ address: loopback, port: portOf(receiver) })
    socket.send('still there')
    await received.arrived(1)
    expect(received.texts).toEqual(['still there'])
  })

  it('of a closed socket say that it is closed', async () => {
    const socket = await bound()
    const to = { address: loopback, port: portOf(socket) }
    socket.destroy()
    await expect(socket.connect(to)).rejects.toMatchObject({ code: 'ERR_SHEAF_CLOSED' })
    expect(() => {
      socket.disconnect()
    }).toThrow(expect.objectContaining({ code: 'ERR_SHEAF_CLOSED' }))
  })
})
