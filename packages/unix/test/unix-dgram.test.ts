import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from '@sheaf/ring/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { datagram } from '../src/index'
import { createSocket, type RemoteInfo, type Socket, type UnixDgramError } from '../src/unix-dgram'
import { directory, testRing } from './support'

const redirect = fileURLToPath(new URL('fixtures/instead-of-unix-dgram.cjs', import.meta.url))

interface Sink {
  readonly path: string
  readonly texts: string[]
  readonly socket: datagram.DatagramSocket
}

async function sink(): Promise<Sink> {
  const path = join(directory(), 's')
  const texts: string[] = []
  const socket = await datagram.bind({ path, ring: testRing() }, { message: (_s, chunk) => texts.push(String(chunk)) })
  return { path, texts, socket }
}

/** Runs a CommonJS program with `path` and, for `unix-dgram`, Sheaf. */
async function run(program: string, path: string): Promise<{ code: number | null, output: string, errors: string }> {
  const source = `const path = process.argv[1]\n${program}`
  const child = spawn(process.execPath, ['--require', redirect, '-e', source, path], { stdio: 'pipe' })
  let output = ''
  let errors = ''
  child.stdout.on('data', (chunk: Buffer) => { output += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => { errors += chunk.toString() })
  const [code] = await once(child, 'close') as [number | null]
  return { code, output, errors }
}

function socket(listener?: (message: Buffer, from: RemoteInfo) => void): Socket {
  const made = createSocket('unix_dgram', listener)
  onTestFinished(() => {
    if (made.fd !== -1) made.close()
  })
  return made
}

describe('the API of unix-dgram', () => {
  it('binds, and tells messages with their size and sender', async () => {
    const [here, there] = [join(directory(), 'here'), join(directory(), 'there')]
    const got: [string, RemoteInfo][] = []
    const server = socket((message, from) => got.push([message.toString(), from]))
    const events: string[] = []
    server.on('listening', () => events.push('listening'))
    server.bind(here)
    expect(events).toEqual(['listening'])
    const client = socket()
    client.send(Buffer.from('unnamed'), 2, 3, here)
    await until(() => got.length === 1, 'the first')
    client.bind(there)
    await new Promise<void>((resolve, reject) => {
      client.sendto(Buffer.from('named'), 0, 5, here, (error) => error === undefined ? resolve() : reject(error))
    })
    await until(() => got.length === 2, 'the second')
    expect(got).toEqual([
      ['nam', { size: 3, address: {}, path: null }],
      ['named', { size: 5, address: {}, path: there }],
    ])
    server.close()
    expect([server.fd, existsSync(here)]).toEqual([-1, true])
    expect(() => server.close()).toThrow('close -9')
    unlinkSync(here)
  })

  it('connects, and sends whole buffers to the peer', async () => {
    const { path, texts } = await sink()
    const client = socket()
    const events: unknown[] = []
    client.on('connect', () => events.push('connect'))
    client.connect(path)
    expect([events, client.connected]).toEqual([['connect'], true])
    client.send(Buffer.from('PING'))
    client.send(Buffer.from('PONG'), (error) => events.push(error))
    await until(() => texts.length === 2 && events.length === 2, 'both')
    expect(texts).toEqual(['PING', 'PONG'])
    expect(events[1]).toBeUndefined()
  })

  it('has its errors: negative numbers, to the callback or as an event', async () => {
    const nowhere = join(directory(), 'nowhere')
    const client = socket()
    const errors: UnixDgramError[] = []
    client.on('error', (error: UnixDgramError) => errors.push(error))
    client.connect(nowhere)
    client.bind(join(nowhere, 'deeper'))
    expect(errors).toMatchObject([
      { message: 'connect -2', code: -2, errno: -2, syscall: 'connect' },
      { message: 'bind -2', code: -2, errno: -2, syscall: 'bind' },
    ])
    client.send(Buffer.from('x'), 0, 1, nowhere)
    await until(() => errors.length === 3, 'the event')
    expect(errors[2]).toMatchObject({ message: 'send -2', code: -2, errno: -2, syscall: 'send' })
    const told = await new Promise((resolve) => client.send(Buffer.from('x'), 0, 1, nowhere, resolve))
    expect(told).toMatchObject({ message: 'send -2', code: -2 })
    expect(errors.length).toBe(3)
  })

  it('says congestion when its queue is full, sends nothing of that, and says writable', async () => {
    const { path, texts, socket: receiver } = await sink()
    receiver.pause()
    await new Promise(setImmediate)
    const client = socket()
    client.connect(path)
    const refused: string[] = []
    let writable = 0
    client.on('congestion', (message: Buffer) => refused.push(message.toString()))
    client.on('writable', () => writable++)
    let sent = 0
    while (refused.length === 0) client.send(Buffer.from(`${sent++}`.padEnd(1000)))
    const told = await new Promise<UnixDgramError | undefined>((resolve) => client.send(Buffer.from('x'), resolve))
    expect(told).toMatchObject({ message: 'congestion', code: 1 })
    expect(texts).toEqual([])
    receiver.resume()
    await until(() => writable === 1 && texts.length === sent - 1, 'the queue to be sent')
    expect(texts.map(Number)).toEqual(Array.from({ length: sent - 1 }, (_, index) => index))
    expect(refused).toEqual([`${sent - 1}`.padEnd(1000)])
  })

  it('sends what is queued before it closes', async () => {
    const { path, texts } = await sink()
    const client = createSocket('unix_dgram')
    for (let index = 0; index < 100; index++) client.send(Buffer.from(String(index)), 0, String(index).length, path)
    client.close()
    await until(() => texts.length === 100, 'all of them')
    expect(texts).toEqual(Array.from({ length: 100 }, (_, index) => String(index)))
  })

  it('makes UDP sockets too, and refuses what it does not know', () => {
    const udp = createSocket('udp4')
    udp.close()
    expect(() => createSocket('tcp' as never)).toThrow('Unsupported socket type: tcp')
    const client = socket()
    expect(() => client.address()).toThrow('not implemented')
    expect(() => client.send('text' as never)).toThrow(TypeError)
    expect(() => client.send(Buffer.from('x'), 1, 1, 'path')).toThrow(RangeError)
  })
})

describe('packages that use unix-dgram run on it unchanged', () => {
  it('hot-shots', async () => {
    const { path, texts } = await sink()
    const ended = await run(`
      const { StatsD } = require('hot-shots')
      const client = new StatsD({ protocol: 'uds', path, globalTags: ['env:test'], errorHandler: console.error })
      client.increment('requests')
      client.gauge('load', 0.5, ['host:a'])
      for (let index = 0; index < 500; index++) client.timing('latency', index)
      client.close(() => console.log('closed'))
    `, path)
    expect(ended).toEqual({ code: 0, output: 'closed\n', errors: '' })
    // It packs several into one datagram.
    const metrics = (): string[] => texts.flatMap((text) => text.trimEnd().split('\n'))
    await until(() => metrics().length === 502, `502 metrics, of which ${metrics().length} came`)
    expect(metrics().slice(0, 2)).toEqual(['requests:1|c|#env:test', 'load:0.5|g|#env:test,host:a'])
    expect(metrics()[501]).toBe('latency:499|ms|#env:test')
  })

  it('hot-shots, whose agent is not there', async () => {
    const ended = await run(`
      const { StatsD } = require('hot-shots')
      const client = new StatsD({ protocol: 'uds', path, errorHandler: (error) => console.log(error.code) })
      client.increment('requests', () => client.close())
    `, join(directory(), 'nowhere'))
    expect(ended.code).toBe(0)
    expect(ended.errors).toBe('')
  })

  for (const protocol of ['unix', 'unix-connect']) {
    it(`winston-syslog over ${protocol}`, async () => {
      const { path, texts } = await sink()
      const ended = await run(`
        const winston = require('winston')
        const { Syslog } = require('winston-syslog')
        const transport = new Syslog({ protocol: '${protocol}', path, app_name: 'app', localhost: 'here' })
        const logger = winston.createLogger({ levels: winston.config.syslog.levels, transports: [transport] })
        let logged = 0
        transport.on('error', console.error)
        transport.on('logged', () => { if (++logged === 20) transport.close() })
        for (let index = 0; index < 20; index++) logger.info('message ' + index)
      `, path)
      expect(ended).toEqual({ code: 0, output: '', errors: '' })
      await until(() => texts.length === 20, `20 messages, of which ${texts.length} came`)
      for (const [index, text] of texts.entries()) {
        expect(text).toMatch(/^<134>.*here app\[\d+\]: /)
        expect(text).toContain(`message ${index}`)
      }
    })
  }
})
