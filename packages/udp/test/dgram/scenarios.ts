import { AsyncLocalStorage } from 'node:async_hooks'
import diagnostics from 'node:diagnostics_channel'
import type dgram from 'node:dgram'
import { EventEmitter, once } from 'node:events'
import { BlockList } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export type Dgram = typeof dgram
type Log = (...values: unknown[]) => void

/** Does the same with either module and writes down what can be seen. */
export type Scenario = (module: Dgram, log: Log) => void | Promise<void>

/** How a call ended: with what, or with which error. */
function outcome(call: () => unknown): unknown {
  try {
    const result = call()
    return result instanceof EventEmitter ? 'the socket' : result
  } catch (error) {
    return described(error)
  }
}

function described(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { name, message } = error
  const { code, errno, syscall, address, port } = error as NodeJS.ErrnoException & { address?: string, port?: number }
  return { name, message, code, errno, syscall, address, port }
}

type Call = [method: string, ...args: unknown[]]

function callAll(socket: dgram.Socket, calls: Call[], log: Log): void {
  for (const [method, ...args] of calls) {
    const call = (socket as unknown as Record<string, (...args: unknown[]) => unknown>)[method]
    log(method, args, outcome(() => call.apply(socket, args)))
  }
}

async function bound(module: Dgram, type: dgram.SocketType = 'udp4'): Promise<dgram.Socket> {
  const socket = module.createSocket(type)
  socket.bind(0, type === 'udp4' ? '127.0.0.1' : '::1')
  await once(socket, 'listening')
  return socket
}

async function closed(...sockets: dgram.Socket[]): Promise<void> {
  await Promise.all(sockets.map((socket) => new Promise<void>((told) => socket.close(told))))
}

const setters: Call[] = [
  ['setTTL', 5], ['setTTL', '5'], ['setTTL', 0], ['setTTL', 256], ['setTTL', NaN], ['setTTL', 2 ** 32 + 5],
  ['setBroadcast', true], ['setMulticastTTL', 0], ['setMulticastTTL', NaN],
  ['setMulticastTTL', 256], ['setMulticastTTL'], ['setMulticastLoopback', false], ['setMulticastInterface', '0.0.0.0'],
  ['setMulticastInterface', 'no address'], ['setMulticastInterface', 5], ['setRecvBufferSize', 8192],
  ['setRecvBufferSize', -1], ['setRecvBufferSize', 2 ** 31], ['setSendBufferSize', 8192], ['setSendBufferSize', '8192'],
  ['getRecvBufferSize'], ['getSendBufferSize'], ['getSendQueueSize'], ['getSendQueueCount'], ['ref'], ['unref'],
  ['remoteAddress'], ['disconnect'],
]

const memberships: Call[] = [
  ['addMembership'], ['addMembership', '256.1.1.1'], ['addMembership', '224.0.0.114', 'no address'],
  ['addMembership', '224.0.0.114', '::'], ['addMembership', '224.0.0.114', '127.0.0.1'],
  ['dropMembership', '224.0.0.114', '127.0.0.1'], ['dropMembership', '224.0.0.114', '127.0.0.1'],
  ['addSourceSpecificMembership', 5, '232.1.1.1'], ['addSourceSpecificMembership', '127.0.0.1', 5],
  ['addSourceSpecificMembership', '127.0.0.1', '232.1.1.1', '127.0.0.1'],
  ['dropSourceSpecificMembership', '127.0.0.1', '232.1.1.1', '127.0.0.1'],
  ['addSourceSpecificMembership', '::1', '232.1.1.1'],
  ['addMembership', '224.0.0.114', 5], ['addMembership', '224.0.0.114', null], ['dropMembership', '224.0.0.114', null],
  ['addSourceSpecificMembership', '127.0.0.1', '232.1.1.1', null],
  ['dropSourceSpecificMembership', '127.0.0.1', '232.1.1.1', null],
]

const badSends: Call[] = [
  ['send'], ['send', 5, 1, '127.0.0.1'], ['send', ['a', 5], 1], ['send', 'text', 0], ['send', 'text', 65536],
  ['send', 'text', 'port'], ['send', 'text', null], ['send', 'text', 1, 5], ['send', 'text', 1, {}],
  ['send', 'text', 5, 1, 1], ['send', 'text', 1, 4, 1], ['send', 'text', 0, 4, 0], ['sendto', 'text', 'a', 4, 1, 'a'],
  ['sendto', 'text', 0, 4, 1, 5], ['send', new DataView(new ArrayBuffer(2)), 3, 1, 1],
]

export const scenarios: Record<string, Scenario> = {
  'exports the same': (module, log) => {
    log(Object.keys(module).filter((name) => name !== 'default' && name !== '__esModule').sort())
    log(module.createSocket.length, module.Socket.name)
    log(Object.getOwnPropertyNames(module.Socket.prototype).sort())
    log(Object.keys(module.Socket.prototype).sort())
    log(Object.getPrototypeOf(module.Socket.prototype) === EventEmitter.prototype)
  },

  'has no sockets of IPv4 that are of IPv6 only': async (module, log) => {
    const socket = module.createSocket({ type: 'udp4', ipv6Only: true })
    const failed = once(socket, 'error')
    socket.bind(0)
    log((await failed as unknown[]).map(described))
    await closed(socket)
  },

  'gives each message an ArrayBuffer of its own': async (module, log) => {
    const receiver = await bound(module)
    receiver.on('message', ({ buffer, byteLength, byteOffset }) => log(byteLength, byteOffset, buffer.byteLength))
    const sender = await bound(module)
    for (const sizeBytes of [0, 1, 64, 65, 100, 100, 8192, 20_000]) {
      const heard = once(receiver, 'message')
      sender.send(Buffer.alloc(sizeBytes), receiver.address().port, '127.0.0.1')
      await heard
    }
    await closed(receiver, sender)
  },

  'calls back in the order of sends, to whomever and whatever becomes of them': async (module, log) => {
    const receivers = await Promise.all(Array.from({ length: 5 }, () => bound(module)))
    const sender = await bound(module)
    const sizes = [10, 65_508, 300, 20, 70_000, 1400, 20, 20]
    const calledBack: Promise<void>[] = []
    for (let index = 0; index < 60; index++) {
      const { port } = receivers[index * 3 % receivers.length].address()
      calledBack.push(new Promise((told) => {
        sender.send(Buffer.alloc(sizes[index % sizes.length]), port, '127.0.0.1', (error, sizeBytes) => {
          log(index, error?.message.replace(String(port), 'port'), sizeBytes)
          told()
        })
      }))
    }
    await Promise.all(calledBack)
    await closed(sender, ...receivers)
  },

  'makes sockets with, without and in place of new, and not of nonsense': async (module, log) => {
    const Socket = module.Socket as unknown as new (type: unknown, listener?: unknown) => dgram.Socket
    const Inheriting = function (this: dgram.Socket) {
      ;(module.Socket as unknown as (this: dgram.Socket, type: string) => void).call(this, 'udp4')
    } as unknown as new () => dgram.Socket
    Inheriting.prototype = Object.create(Socket.prototype as object) as unknown
    class Derived extends Socket {}
    for (const make of [
      () => new Socket('udp4'),
      () => new Derived({ type: 'udp6' }),
      () => new Inheriting(),
      () => module.createSocket('udp4', () => undefined),
    ]) {
      const socket = make()
      log(socket instanceof module.Socket, socket instanceof EventEmitter, (socket as { type?: string }).type)
      log(Object.keys(socket), socket.listenerCount('message'))
      await closed(socket)
    }
    const create = module.createSocket as (options: unknown) => dgram.Socket
    for (const bad of [
      undefined, null, 'udp5', 5, {}, { type: 'udp4', lookup: 5 }, { type: 'udp4', signal: {} },
      { type: 'udp4', recvBufferSize: 'x' }, { type: 'udp4', recvBufferSize: -1 },
      { type: 'udp4', sendBufferSize: 1.5 },
    ]) log(outcome(() => create(bad)))
  },

  'options and errors before binding': async (module, log) => {
    for (const calls of [setters, memberships, badSends]) {
      const socket = module.createSocket('udp4')
      callAll(socket, [...calls, ['address'], ['connect', 0], ['connect', '1x'], ['connect']], log)
      await closed(socket)
    }
  },

  'options and errors when bound': async (module, log) => {
    for (const calls of [setters, memberships, badSends]) {
      const socket = await bound(module)
      callAll(socket, [...calls, ['bind', 0], ['connect', 0]], log)
      await closed(socket)
    }
    const socket = await bound(module, 'udp6')
    callAll(socket, [
      ['setTTL', 5], ['setMulticastTTL', 5], ['setMulticastLoopback', true], ['setMulticastInterface', '::%lo'],
      ['setMulticastInterface', ''], ['addMembership', 'ff02::1:5', '::%lo'], ['dropMembership', 'ff02::1:5', '::%lo'],
      ['addMembership', 'ff02::1:5', '127.0.0.1'], ['addSourceSpecificMembership', '::1', 'ff3e::5', '::%lo'],
    ], log)
    await closed(socket)
  },

  'errors when closed': async (module, log) => {
    const socket = module.createSocket('udp4')
    await closed(socket)
    callAll(socket, [
      ['address'], ['remoteAddress'], ['connect', 5], ['bind', 0], ['close'], ['send', 'x', 5], ['send', 'x', 0],
      ['addMembership', '224.0.0.114'], ['setMulticastInterface', '0.0.0.0'], ['ref'], ['unref'], ['disconnect'],
    ], log)
    await (socket as unknown as AsyncDisposable)[Symbol.asyncDispose]()
  },

  'calls back what comes last, when it binds': async (module, log) => {
    const called: number[] = []
    const forms = [[0], [1, undefined], [undefined, 2], [3, null], [4, 5]]
    const sockets = forms.map((form) => {
      const socket = module.createSocket('udp4')
      const args = form.map((number) => typeof number === 'number' ? () => called.push(number) : number)
      ;(socket.bind as (...args: unknown[]) => unknown).apply(socket, args)
      return socket
    })
    await Promise.all(sockets.map((socket) => once(socket, 'listening')))
    log(called)
    await closed(...sockets)
  },

  'connects to no address that is none': async (module, log) => {
    const socket = module.createSocket('udp4')
    callAll(socket, [['connect', 5, null], ['connect', 5, 6], ['connect', 5, {}]], log)
    await closed(socket)
  },

  'binds in every form': async (module, log) => {
    const forms: ((socket: dgram.Socket, listening: () => void) => void)[] = [
      (socket, listening) => socket.bind(listening),
      (socket, listening) => socket.bind(0, listening),
      (socket, listening) => socket.bind(0, '127.0.0.1', listening),
      (socket, listening) => socket.bind({ port: 0, address: '127.0.0.1', exclusive: true }, listening),
      (socket, listening) => socket.bind({}, listening),
      (socket, listening) => socket.once('listening', listening).bind(undefined, 'localhost'),
    ]
    for (const form of forms) {
      const socket = module.createSocket({ type: 'udp4', recvBufferSize: 8000, sendBufferSize: 9000 })
      await new Promise<void>((listening) => form(socket, listening))
      const { address, family, port } = socket.address()
      log(address, family, port > 0, socket.getRecvBufferSize(), socket.getSendBufferSize())
      log(['error', 'listening'].map((event) => socket.listenerCount(event)))
      await closed(socket)
    }
  },

  'fails to bind': async (module, log) => {
    const taken = await bound(module)
    const { port } = taken.address()
    for (const [type, target] of [
      ['udp4', { port, address: '127.0.0.1' }], ['udp4', { port: 0, address: '192.0.2.1' }],
      ['udp4', { port: 0, address: '::1' }], ['udp6', { port: 0, address: '127.0.0.1' }],
      ['udp4', { port: 0, address: 'no.such.name.invalid' }],
    ] as const) {
      const socket = module.createSocket(type)
      let listening = false
      socket.bind(target, () => { listening = true })
      const [error] = await once(socket, 'error') as [Error]
      const { address, message } = described(error) as Record<string, string>
      log(described(error), address, message.replace(String(port), 'port'), listening)
      await closed(socket)
    }
    for (const fd of [9999, process.stdout.fd]) {
      const socket = module.createSocket('udp4')
      log((outcome(() => socket.bind({ fd })) as { code?: string }).code)
      await closed(socket)
    }
    await closed(taken)
  },

  'sends in every form': async (module, log) => {
    const receiver = await bound(module)
    const { port } = receiver.address()
    const received: string[] = []
    receiver.on('message', (message, { address, family, size }) => {
      received.push(`${message.toString('latin1')} ${address} ${family} ${size}`)
    })
    const sender = await bound(module)
    const text = Buffer.from('0123456789')
    const forms: unknown[][] = [
      ['a', port], ['b', port, '127.0.0.1'], ['c', String(port), 'localhost'], [text, 2, 3, port],
      [text, 2, 3, port, '127.0.0.1'], [[text, 'more'], port, '127.0.0.1'], [[], port], [Buffer.alloc(0), port],
      [new Uint16Array([0x4141, 0x4242]), port, null], [new DataView(text.buffer, text.byteOffset, 4), port, ''],
      ['ünïcode', port, undefined],
    ]
    const send = sender.send.bind(sender) as (...args: unknown[]) => void
    const withHole = ['one']
    withHole[2] = 'three'
    log((outcome(() => send(withHole, port)) as { code?: string }).code)
    for (const form of forms) {
      const told = await new Promise<unknown[]>((callback) => send(...form, (...args: unknown[]) => callback(args)))
      log(form.length, told)
    }
    while (received.length < forms.length) await sleep(1)
    log(received)
    await closed(sender, receiver)
  },

  'connects, and tells what goes wrong': async (module, log) => {
    const peer = await bound(module)
    const { port } = peer.address()
    const socket = module.createSocket('udp4')
    socket.connect(port)
    callAll(socket, [['connect', port], ['disconnect'], ['remoteAddress']], log)
    await once(socket, 'connect')
    log(socket.remoteAddress().port === port, socket.remoteAddress().address, socket.address().address)
    callAll(socket, [['connect', port], ['send', 'x', port], ['send', 'x', 0, 1, 5], ['send', 'x', 2, 0]], log)
    socket.send('to the peer')
    const [message] = await once(peer, 'message') as [Buffer]
    log(message.toString())
    const large = Buffer.alloc(70_000)
    log(await new Promise((callback) => socket.send(large, (error, bytes) => callback([described(error), bytes]))))
    socket.disconnect()
    await new Promise<void>((connected) => socket.connect(port, 'localhost', connected))
    socket.disconnect()
    log(await new Promise((told) => {
      const listener = (error: Error): void => told(described(error))
      socket.connect(port, '::1', listener as () => void)
    }))
    socket.connect(1, 'no.such.name.invalid')
    const [unknown] = await once(socket, 'error') as [NodeJS.ErrnoException]
    log(unknown.code, unknown.syscall)
    await closed(socket, peer)
  },

  'a refused datagram is an error of the next receive': async (module, log) => {
    const gone = await bound(module)
    const { port } = gone.address()
    await closed(gone)
    const socket = module.createSocket('udp4')
    await new Promise<void>((connected) => socket.connect(port, '127.0.0.1', connected))
    socket.send('x')
    const [error] = await once(socket, 'error') as [Error]
    log(described(error))
    await closed(socket)
  },

  'errors of sending go to the callback, or nowhere': async (module, log) => {
    const socket = module.createSocket('udp4')
    socket.on('error', (error) => log('event', (error as NodeJS.ErrnoException).code))
    const large = Buffer.alloc(70_000)
    socket.send(large, 9, '127.0.0.1')
    const send = (...args: unknown[]): Promise<unknown> => new Promise((told) => {
      (socket.send as (...args: unknown[]) => void)(...args, (error: Error, bytes: number) => {
        told([described(error), bytes])
      })
    })
    log(await send(large, 9, '127.0.0.1'))
    log(await send(large, 9, 'localhost'))
    log(await send('x', 9, '::1'))
    log(((await send('x', 9, 'no.such.name.invalid')) as [{ code: string }])[0].code)
    socket.send('x', 9, 'no.such.name.invalid')
    await once(socket, 'error')
    await closed(socket)
  },

  'what was sent in the turn of closing has no callback, and close waits for binding': async (module, log) => {
    const socket = module.createSocket('udp4')
    const events: string[] = []
    for (const event of ['listening', 'close', 'error']) socket.on(event, () => events.push(event))
    socket.send('x', 9, '127.0.0.1', () => events.push('sent'))
    await closed(socket)
    log(events)
    const again = await bound(module)
    again.send('x', 9, '127.0.0.1', () => events.push('sent'))
    await closed(again)
    await sleep(5)
    log(events)
  },

  'order of events': async (module, log) => {
    const events: string[] = []
    const socket = module.createSocket('udp4')
    for (const event of ['listening', 'close']) socket.on(event, () => events.push(event))
    socket.bind(0, '127.0.0.1', () => {
      events.push('bound')
      const { port } = socket.address()
      socket.send('x', port, '127.0.0.1', () => events.push('sent'))
      events.push('sending')
    })
    events.push('binding')
    await once(socket, 'message')
    const done = closed(socket)
    events.push('closing')
    await done
    log(events)
  },

  'keeps the context of calls': async (module, log) => {
    const storage = new AsyncLocalStorage<string>()
    const seen: unknown[] = []
    const socket = storage.run('making', () => module.createSocket('udp4'))
    socket.on('message', () => seen.push(['message', storage.getStore()]))
    await storage.run('binding', () => new Promise<void>((bind) => socket.bind(0, '127.0.0.1', () => {
      seen.push(['listening', storage.getStore()])
      bind()
    })))
    const { port } = socket.address()
    storage.run('sending', () => socket.send('x', port, '127.0.0.1', () => seen.push(['sent', storage.getStore()])))
    await once(socket, 'message')
    await storage.run('closing', () => new Promise<void>((told) => socket.close(() => {
      seen.push(['close', storage.getStore()])
      told()
    })))
    log(seen.map(String).sort())
  },

  'tells diagnostics_channel of new sockets': async (module, log) => {
    const told: unknown[] = []
    const listen = (message: unknown): void => { told.push((message as { socket: unknown }).socket) }
    diagnostics.subscribe('udp.socket', listen)
    const socket = module.createSocket('udp4')
    diagnostics.unsubscribe('udp.socket', listen)
    log(told.length, told[0] === socket)
    await closed(socket)
  },

  'is closed by a signal that is not of a class of Node\'s': async (module, log) => {
    const signal = Object.assign(new EventTarget(), { aborted: false })
    const socket = module.createSocket({ type: 'udp4', signal: signal as unknown as AbortSignal })
    socket.bind(0)
    await once(socket, 'listening')
    signal.dispatchEvent(new Event('abort'))
    await once(socket, 'close')
    log('closed')
  },

  'is closed by its signal': async (module, log) => {
    const controller = new AbortController()
    const socket = module.createSocket({ type: 'udp4', signal: controller.signal })
    socket.bind(0)
    await once(socket, 'listening')
    controller.abort()
    await once(socket, 'close')
    const late = module.createSocket({ type: 'udp4', signal: AbortSignal.abort() })
    await once(late, 'close')
    log(outcome(() => late.address()))
  },

  'receives what is sent to its groups': async (module, log) => {
    const receiver = module.createSocket({ type: 'udp4', reuseAddr: true })
    receiver.bind(0, '0.0.0.0')
    await once(receiver, 'listening')
    receiver.addMembership('224.0.0.115', '127.0.0.1')
    receiver.setMulticastInterface('127.0.0.1')
    receiver.setMulticastLoopback(true)
    receiver.send('to the group', receiver.address().port, '224.0.0.115')
    const [message] = await once(receiver, 'message') as [Buffer]
    log(message.toString())
    receiver.dropMembership('224.0.0.115', '127.0.0.1')
    await closed(receiver)
  },

  'asks its own lookup, with the family': async (module, log) => {
    const asked: unknown[] = []
    const lookup = (...args: unknown[]): void => {
      asked.push(args.slice(0, 2))
      ;(args[2] as (error: null, address: string, family: number) => void)(null, '127.0.0.1', 4)
    }
    const socket = module.createSocket({ type: 'udp4', lookup: lookup })
    await new Promise<void>((listening) => socket.bind(0, 'somewhere', listening))
    const { port } = socket.address()
    await new Promise((told) => socket.send('x', port, 'elsewhere', told))
    await new Promise((told) => socket.send('x', port, '127.0.0.1', told))
    await new Promise((told) => socket.send('x', port, told))
    await new Promise<void>((connected) => socket.connect(port, connected))
    log(asked)
    await closed(socket)
  },

  'binds and connects within the call, where Node does': async (module, log) => {
    log(['bindSync', 'connectSync'].map((name) => name in module.Socket.prototype))
    if (!isSynchronous(module)) return
    for (const type of ['udp4', 'udp6'] as const) {
      const here = type === 'udp4' ? '127.0.0.1' : '::1'
      const socket = module.createSocket(type) as SynchronousSocket
      callAll(socket, refused, log)
      log(outcome(() => socket.bindSync({ address: here })), socket.address())
      socket.on('message', (message) => log(message.toString()))
      callAll(socket, [['bindSync'], ['connectSync', -1], ['connectSync', 0, here]], log)
      await once(socket, 'listening')

      const second = module.createSocket(type) as SynchronousSocket
      const { port } = socket.address()
      log(outcome(() => second.bindSync({ address: here, port })))
      second.connectSync(port)
      log(second.remoteAddress(), outcome(() => second.connectSync(port)))
      await once(second, 'connect')
      second.send('within the call')
      await once(socket, 'message')
      second.disconnect()
      second.connectSync(1, here)
      log(second.remoteAddress())
      await closed(socket, second)
    }
  },

  'tells nobody of being bound and connected who was closed meanwhile': async (module, log) => {
    if (!isSynchronous(module)) return
    const socket = module.createSocket('udp4') as SynchronousSocket
    socket.on('listening', () => log('listening')).on('connect', () => log('connect'))
    socket.connectSync(1)
    await closed(socket)
    callAll(socket, [['bindSync'], ['connectSync', 1]], log)

    const binding = module.createSocket('udp4') as SynchronousSocket
    binding.bind(0)
    callAll(binding, [['bindSync'], ['connectSync', 1]], log)
    await once(binding, 'listening')
    await closed(binding)
  },

  'neither connects within the call to whom it blocks': async (module, log) => {
    if (!isSynchronous(module)) return
    const blocked = new BlockList()
    blocked.addAddress('127.0.0.1')
    const options = { type: 'udp4', sendBlockList: blocked } as dgram.SocketOptions
    const socket = module.createSocket(options) as SynchronousSocket
    callAll(socket, [['connectSync', 1], ['connectSync', 1, '127.0.0.2'], ['remoteAddress']], log)
    await closed(socket)
  },
}

/** What Node has from 24.21 on. */
interface SynchronousSocket extends dgram.Socket {
  bindSync(options?: { address?: string, port?: number }): unknown
  connectSync(port: number, address?: string): void
}

function isSynchronous(module: Dgram): boolean {
  return 'bindSync' in module.Socket.prototype
}

/** None of these binds the socket. */
const refused: Call[] = [
  ['bindSync', 0], ['bindSync', null], ['bindSync', []], ['bindSync', { address: 'localhost' }],
  ['bindSync', { address: 5 }], ['bindSync', { port: -1 }], ['bindSync', { port: 65536 }],
  ['bindSync', { address: '192.0.2.1' }], ['bindSync', { address: '2001:db8::1', port: 7 }],
  ['connectSync', 1, 'localhost'], ['connectSync', 1, 5], ['connectSync'],
]

/** What newer versions of Node have, and this module whatever the version. */
export const blocking: Scenario = async (module, log) => {
  const blocked = new BlockList()
  blocked.addAddress('127.0.0.1')
  const deaf = module.createSocket({ type: 'udp4', receiveBlockList: blocked } as dgram.SocketOptions)
  deaf.on('message', () => log('heard'))
  await new Promise<void>((listening) => deaf.bind(0, '127.0.0.1', listening))
  const mute = module.createSocket({ type: 'udp4', sendBlockList: blocked } as dgram.SocketOptions)
  const { port } = deaf.address()
  const error = await new Promise<Error | null>((told) => mute.send('x', port, '127.0.0.1', told))
  log(described(error))
  const other = await bound(module)
  await new Promise((told) => other.send('x', port, '127.0.0.1', told))
  await sleep(20)
  await closed(deaf, mute, other)
}
