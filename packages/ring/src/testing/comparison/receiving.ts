import { once } from 'node:events'
import type { Socket } from 'node:net'
import { addAbortSignal, Duplex, PassThrough, pipeline, Readable, Transform, Writable } from 'node:stream'
import { pipeline as pipelined } from 'node:stream/promises'
import { setImmediate as turn } from 'node:timers/promises'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import { pattern, sha, uncaughtDuring, until } from '../fixtures'
import type { Scenario, Scene } from './scene'

type OnRead = Parameters<Scene['connect']>[0]

const megabyte = 1024 * 1024

/** A client with `onread`, of a server that writes `bytes` and ends; it begins to read when all that is there. */
async function readingInto(scene: Scene, bytes: Buffer, onread: OnRead): Promise<Socket> {
  const server = scene.server()
  server.on('connection', (socket: Socket) => socket.on('error', () => undefined).end(bytes))
  return scene.connect({ ...await scene.listen(server), onread })
}

const failing = (): Transform => new Transform({
  transform(_chunk, _encoding, done) {
    done(new Error('in the middle'))
  },
})

export const receiving: Record<string, Scenario> = {
  async '`onread` takes buffers of another realm'({ connect, listen, log, server: newServer }) {
    const server = newServer()
    server.on('connection', (socket: Socket) => socket.end('some text'))
    const where = await listen(server)
    const made = (): Uint8Array => runInNewContext('new Uint8Array(100)') as Uint8Array
    for (const [who, buffer] of Object.entries({ buffer: made(), function: made })) {
      const socket = connect({
        ...where,
        onread: {
          buffer,
          callback: (bytes: number, filled: Uint8Array) => {
            log(who, Buffer.from(filled.subarray(0, bytes)).toString())
            return true
          },
        },
      })
      await once(socket, 'close')
    }
  },

  async 'what has come at once is told at once, as far as a chunk goes'({ log, pair, gone }) {
    for (const sizeBytes of [4095, 4097, 8192, 9000, 16_390, 50_000, 65_536, 65_537, 70_000]) {
      const { client, accepted } = await pair()
      client.on('data', (chunk: Buffer) => log(`${sizeBytes}`, chunk.byteLength))
      accepted.end(pattern(sizeBytes, 1))
      client.end()
      await gone(client, accepted)
    }
  },

  async 'a chunk has an ArrayBuffer to itself, whatever its size'({ log, pair, gone }) {
    const { client, accepted } = await pair()
    let received = 0
    client.on('data', (chunk: Buffer) => {
      received += chunk.byteLength
      log('chunk', chunk.byteLength, chunk.byteOffset, chunk.buffer.byteLength)
    })
    let sent = 0
    for (const sizeBytes of [1, 64, 65, 200, 200, 1024, 1025, 5000, 65_536]) {
      accepted.write(pattern(sizeBytes, sizeBytes))
      sent += sizeBytes
      await until(() => received === sent, 'the chunk')
    }
    client.destroy()
    accepted.destroy()
    await gone(client, accepted)
  },

  async '`onread` with buffers of several sizes'(scene) {
    const { log, watch } = scene
    const bytes = pattern(100_000, 5)
    for (const sizeBytes of [7, 4096, 65_536, 200_000]) {
      const who = `${sizeBytes} bytes`
      const into = Buffer.alloc(sizeBytes)
      const received = sha()
      let most = 0
      let total = 0
      const client = watch(who, await readingInto(scene, bytes, {
        buffer: into,
        callback(this: Socket, count: number, buffer: Buffer) {
          if (total === 0) log(who, this === client, buffer === into)
          received.update(buffer.subarray(0, count))
          most = Math.max(most, count)
          total += count
          return true
        },
      }))
      client.on('data', () => log(who, 'data'))
      await once(client, 'close')
      log(who, total, received.digest('hex') === sha().update(bytes).digest('hex'), most <= sizeBytes, client.bytesRead)
    }
  },

  async '`onread` cuts what is there by the size of its buffer'(scene) {
    const { log, watch } = scene
    const client = watch('client', await readingInto(scene, Buffer.from('abcdefghij'), {
      buffer: new Uint8Array(4),
      callback(count: number, buffer: Uint8Array) {
        log('client', count, Buffer.from(buffer.subarray(0, count)).toString(), client.bytesRead >= count)
      },
    }))
    await once(client, 'close')
  },

  async '`onread` asks for a new buffer each time, and keeps the last when it gets none'(scene) {
    const { log, watch } = scene
    const sizes = [3, 1, 0, 4, 2, 9]
    const buffers: (Uint8Array | undefined)[] = []
    const client = watch('client', await readingInto(scene, Buffer.from('abcdefghijklm'), {
      buffer(...args: unknown[]) {
        const size = sizes[buffers.length % sizes.length]
        const buffer = size === 0 ? undefined : new Uint8Array(size)
        buffers.push(buffer)
        log('buffers', args.length, size)
        return buffer
      },
      callback(count: number, buffer: Uint8Array) {
        const last = buffers.filter((made) => made !== undefined).at(-1)
        log('client', buffer === last, Buffer.from(buffer.subarray(0, count)).toString())
        return true
      },
    }))
    await once(client, 'close')
  },

  async '`onread` goes on with what is left when its callback throws'(scene) {
    const client = scene.watch('client', await readingInto(scene, Buffer.from('abcdefgh'), {
      buffer: Buffer.alloc(3),
      callback(count: number, buffer: Buffer) {
        scene.log('callback', buffer.toString('latin1', 0, count))
        throw new Error('callback')
      },
    }))
    const errors = await uncaughtDuring(() => scene.gone(client))
    scene.log('uncaught', errors.length)
  },

  async '`onread` without room ends the connection'(scene) {
    for (const buffer of [Buffer.alloc(0), () => Buffer.alloc(0)]) {
      const client = scene.watch('client', await readingInto(scene, Buffer.from('four'), {
        buffer,
        callback(count: number) {
          scene.log('callback', count)
          return true
        },
      }))
      await scene.gone(client)
    }
  },

  async '`onread` that answers false pauses until somebody resumes'(scene) {
    const { log, watch } = scene
    for (const how of ['resume', 'read'] as const) {
      let calls = 0
      let isLetGo = true
      const client = watch(how, await readingInto(scene, Buffer.from('abcdefghij'), {
        buffer: Buffer.alloc(4),
        callback(count: number, buffer: Buffer) {
          log(how, isLetGo, buffer.toString('latin1', 0, count))
          isLetGo = false
          calls++
          return false
        },
      }))
      for (let told = 1; told <= 3; told++) {
        await until(() => calls === told, 'a part that is read')
        for (let turns = 0; turns < 10; turns++) await turn()
        log(how, 'calls', calls, client.bytesRead > 0)
        isLetGo = true
        if (how === 'resume') client.resume()
        else client.read()
      }
      client.destroy()
      await scene.gone(client)
    }
  },

  async '`onread` and `pause`, `setEncoding`, async iteration'(scene) {
    const { log, watch } = scene
    let text = ''
    const client = watch('paused', await readingInto(scene, Buffer.from('abcdefghij'), {
      buffer: Buffer.alloc(2),
      callback(count: number, buffer: Buffer) {
        text += buffer.toString('latin1', 0, count)
        if (text === 'abcd') client.pause()
      },
    }))
    await until(() => text === 'abcd', 'the first half')
    for (let turns = 0; turns < 10; turns++) await turn()
    log('paused', text, client.isPaused())
    client.resume()
    await scene.gone(client)
    log('paused', text)

    let count = 0
    const iterated = await readingInto(scene, Buffer.from('abcdefghij'), {
      buffer: Buffer.alloc(16),
      callback: (bytes: number) => { count += bytes },
    })
    iterated.setEncoding('latin1')
    for await (const chunk of iterated) log('iterated', chunk)
    log('iterated', count)
  },

  async 'an `onread` that is none is left aside'(scene) {
    const { log } = scene
    for (const onread of [{}, { buffer: Buffer.alloc(4) }, { buffer: 'text', callback: () => log('bad', 'called') }]) {
      const client = await readingInto(scene, Buffer.from('abcdefghij'), onread)
      let text = ''
      for await (const chunk of client) text += String(chunk)
      log('bad', text)
    }
  },

  async '`onread` that destroys the socket, or throws, is called no more'(scene) {
    const { log, watch } = scene
    const client = watch('destroyed', await readingInto(scene, Buffer.from('abcdefghij'), {
      buffer: Buffer.alloc(2),
      callback(count: number, buffer: Buffer) {
        log('destroyed', buffer.toString('latin1', 0, count))
        client.destroy()
        return true
      },
    }))
    await scene.gone(client)
  },

  async '`pauseOnConnect`: who is handed the connection has all of it'(scene) {
    const { log, net, owned, server: newServer, watch } = scene
    const server = newServer({ pauseOnConnect: true })
    const handed = new Promise<Socket>((resolve) => {
      server.on('connection', (socket: Socket) => {
        const { _handle: handle } = socket as unknown as { _handle: object }
        log('accepted', socket.isPaused(), socket.readableFlowing, socket.readableLength, socket.bytesRead)
        resolve(watch('new', owned(new net.Socket({ handle, allowHalfOpen: true } as object))))
      })
    })
    const client = scene.connect(await scene.listen(server))
    client.end('for whoever gets it')
    const socket = await handed
    log('new', socket.connecting, socket.pending, socket.readyState)
    let text = ''
    socket.setEncoding('latin1').on('data', (chunk: string) => { text += chunk })
    await once(socket, 'end')
    log('new', text)
    socket.end('done')
    client.resume()
    await scene.gone(client)
  },

  async '`pauseOnConnect`: nothing is read before somebody does'(scene) {
    const { log, server: newServer, watch } = scene
    for (const how of ['resume', 'data', 'pipe', 'iterate'] as const) {
      const server = newServer({ pauseOnConnect: true })
      const accepted = once(server, 'connection') as Promise<[Socket]>
      const client = scene.connect(await scene.listen(server))
      client.end('kept')
      await once(client, 'finish')
      const [socket] = await accepted
      watch(how, socket)
      for (let turns = 0; turns < 10; turns++) await turn()
      log(how, socket.bytesRead, socket.isPaused(), socket.readableFlowing)
      let text = ''
      if (how === 'iterate') for await (const chunk of socket) text += String(chunk)
      else if (how === 'pipe') socket.pipe(new PassThrough()).on('data', (chunk) => { text += String(chunk) })
      else socket.on('data', (chunk) => { text += String(chunk) })
      if (how !== 'iterate') socket.resume()
      client.resume()
      await scene.gone(socket, client)
      log(how, text, socket.bytesRead)
    }
  },
}

export const streaming: Record<string, Scenario> = {
  async '`Duplex.toWeb`: both ways, to the end'(scene) {
    const { log, pair, settled } = scene
    const { client, accepted } = await pair()
    void pipelined(accepted, new PassThrough(), accepted).catch(() => undefined)
    const { readable, writable } = Duplex.toWeb(client)
    const writer = writable.getWriter()
    await writer.ready
    const bytes = pattern(megabyte, 9)
    const received = sha()
    let total = 0
    const reader = readable.getReader()
    const reading = (async () => {
      for (;;) {
        const { done, value } = await reader.read() as { done: boolean, value?: Uint8Array }
        if (done) return
        received.update(value as Uint8Array)
        total += (value as Uint8Array).byteLength
      }
    })()
    for (let start = 0; start < bytes.byteLength; start += 100_000) {
      await writer.ready
      await writer.write(bytes.subarray(start, start + 100_000))
    }
    await settled('writer', writer.close())
    await settled('reader', reading)
    log('reader', total, received.digest('hex') === sha().update(bytes).digest('hex'))
    await scene.gone(client)
  },

  async '`Duplex.toWeb`: cancelled, aborted, closed by the peer'(scene) {
    const { log, pair, settled, watch } = scene
    const cancelled = await pair()
    const ofCancelled = Duplex.toWeb(watch('cancelled', cancelled.client))
    await settled('cancelled', ofCancelled.readable.cancel(new Error('enough')))
    cancelled.client.on('error', () => undefined).destroy()
    await scene.gone(cancelled.client)

    const aborted = await pair()
    const ofAborted = Duplex.toWeb(watch('aborted', aborted.client))
    aborted.client.on('error', () => undefined)
    await settled('aborted', ofAborted.writable.abort(new Error('enough')))
    await scene.gone(aborted.client)
    log('aborted', aborted.client.destroyed)

    const ended = await pair()
    const ofEnded = Duplex.toWeb(watch('ended', ended.client))
    ended.accepted.end('the last')
    const chunks: string[] = []
    for await (const chunk of ofEnded.readable as unknown as AsyncIterable<Uint8Array>) {
      chunks.push(Buffer.from(chunk).toString())
    }
    log('ended', chunks.join(''))
    await scene.gone(ended.client)
    await settled('ended', ofEnded.writable.getWriter().write('more'))
  },

  async 'web streams of a socket piped to each other'(scene) {
    const { log, pair, settled } = scene
    const { client, accepted } = await pair()
    const { readable, writable } = Duplex.toWeb(accepted)
    void settled('echo', readable.pipeTo(writable))
    client.end('there and back')
    let text = ''
    for await (const chunk of client) text += String(chunk)
    log('client', text)
    await scene.gone(client, accepted)
  },

  async 'an async iteration that is left early destroys the socket, unless it is asked not to'(scene) {
    const { log, pair, settled, watch } = scene
    const left = await pair()
    watch('left', left.client)
    left.accepted.write('first')
    for await (const chunk of left.client) {
      log('left', String(chunk))
      break
    }
    log('left', left.client.destroyed)
    await scene.gone(left.client)

    const thrown = await pair()
    watch('thrown', thrown.client).on('error', () => undefined)
    thrown.accepted.write('first')
    await settled('thrown', (async () => {
      for await (const chunk of thrown.client) throw new Error(String(chunk))
    })())
    await scene.gone(thrown.client)

    const kept = await pair()
    watch('kept', kept.client)
    kept.accepted.write('first')
    for await (const chunk of kept.client.iterator({ destroyOnReturn: false })) {
      log('kept', String(chunk))
      break
    }
    log('kept', kept.client.destroyed)
    kept.accepted.end('second')
    for await (const chunk of kept.client) log('kept', String(chunk))
    await scene.gone(kept.client, kept.accepted)
  },

  async 'an async iteration ends as the connection does'(scene) {
    const { log, pair, settled, watch } = scene
    const iterate = async (who: string, socket: Socket): Promise<void> => {
      for await (const chunk of socket) log(who, String(chunk))
    }
    const destroyed = await pair()
    const iteration = settled('destroyed', iterate('destroyed', watch('destroyed', destroyed.client)))
    await turn()
    destroyed.client.destroy()
    await iteration
    const failed = await pair()
    const failure = settled('failed', iterate('failed', watch('failed', failed.client)))
    await turn()
    failed.client.destroy(new Error('for a reason'))
    await failure
    await scene.gone(destroyed.client, failed.client)
  },

  async 'helpers of streams: the first few, an abort, one after the other'(scene) {
    const { log, pair, settled, watch } = scene
    const taken = await pair()
    taken.accepted.write('first')
    const first = taken.client.setEncoding('latin1').take(1)
    await settled('taken', first.toArray())
    log('taken', taken.client.destroyed)

    const aborted = await pair()
    const controller = new AbortController()
    const array = settled('aborted', watch('aborted', aborted.client).toArray({ signal: controller.signal }))
    await turn()
    controller.abort(new Error('enough'))
    aborted.accepted.write('looked at after the abort')
    await array
    aborted.client.on('error', () => undefined).destroy()
    await scene.gone(aborted.client)

    const mapped = await pair()
    mapped.accepted.end('a b c')
    const words = mapped.client.setEncoding('latin1')
      .flatMap((text: string) => text.split(' ')).map((word: string) => word.toUpperCase())
    await settled('mapped', words.toArray())

    const signalled = await pair()
    const later = new AbortController()
    addAbortSignal(later.signal, watch('signalled', signalled.client).on('error', () => undefined))
    later.abort()
    log('signalled', signalled.client.destroyed)
    await scene.gone(signalled.client)
  },

  async 'a pipeline into a socket with an error in the middle, or in the source'(scene) {
    const { log, pair, settled, watch } = scene
    const sources: Record<string, () => Readable> = {
      middle: () => Readable.from(['text']),
      source: () => Readable.from((function* () {
        yield 'text'
        throw new Error('of the source')
      })()),
    }
    for (const [name, source] of Object.entries(sources)) {
      const { client, accepted } = await pair()
      accepted.on('error', () => undefined).resume()
      watch(name, client)
      const middle = name === 'middle' ? failing() : new PassThrough()
      await settled(name, pipelined(source(), middle, client))
      await scene.gone(client, accepted)
      log(name, client.destroyed, client.writableFinished, client.errored?.message)
    }
  },

  async 'a pipeline out of a socket with an error in the middle, or in the sink'(scene) {
    const { log, pair, watch } = scene
    const sink = (): Writable => new Writable({ write: (_chunk, _encoding, done) => done(new Error('of the sink')) })
    for (const name of ['middle', 'sink'] as const) {
      const { client, accepted } = await pair()
      watch(name, client)
      const through = name === 'middle' ? failing() : new PassThrough()
      accepted.on('error', () => undefined).write('text')
      await new Promise<void>((told) => pipeline(client, through, name === 'sink' ? sink() : new PassThrough().resume(),
        (error) => {
          log(name, 'called back', error)
          told()
        }))
      await scene.gone(client)
      log(name, client.destroyed, client.readableEnded, client.errored?.message)
    }
  },

  async 'a pipeline whose socket is destroyed, whose peer is gone, or that is aborted'(scene) {
    const { pair, settled, watch } = scene
    const endless = (): Readable => new Readable({ read() { this.push(Buffer.alloc(1000)) } })
    const destroyed = await pair()
    const into = settled('destroyed', pipelined(endless(), watch('destroyed', destroyed.client)))
    await turn()
    destroyed.client.destroy()
    await into

    const gonePeer = await pair()
    const outOf = settled('gone', pipelined(watch('gone', gonePeer.client), new PassThrough().resume()))
    gonePeer.accepted.end('text')
    await outOf

    const aborted = await pair()
    const controller = new AbortController()
    const running = settled('aborted', pipelined(watch('aborted', aborted.client), new PassThrough().resume(),
      { signal: controller.signal }))
    await turn()
    controller.abort()
    await running
    gonePeer.client.destroy()
    await scene.gone(destroyed.client, gonePeer.client, aborted.client)
  },

  async 'a pipeline that keeps the socket open when its source has ended'(scene) {
    const { log, pair, settled, watch } = scene
    const { client, accepted } = await pair()
    let text = ''
    accepted.on('data', (chunk) => { text += String(chunk) })
    watch('client', client)
    await settled('client', pipelined(Readable.from(['one ']), client, { end: false }))
    log('client', client.writable, client.destroyed)
    await settled('client', pipelined(Readable.from(['two']), client))
    await once(accepted, 'end')
    log('accepted', text)
    await scene.gone(client, accepted)
  },

  async 'an answer to the only peer leaves before what was left for a tick'(scene) {
    const { log } = scene
    const answers = new Int32Array(new SharedArrayBuffer(4))
    const server = scene.server()
    server.on('connection', (socket: Socket) => {
      let questions = 0
      let prompt = false
      socket.on('data', () => {
        const before = answers[0]
        socket.write('answer')
        // The first one's connection is new: who came before may have something to send, too. And whoever is busy, as
        // this thread is when others have its CPU, has what it answers leave together.
        if (questions++ === 0) return
        process.nextTick(() => { prompt ||= Atomics.wait(answers, 0, before, 200) !== 'timed-out' })
      })
      socket.on('end', () => log('server', prompt))
    })
    const client = new Worker(`
      const { where, answers } = require('node:worker_threads').workerData
      const socket = require('node:net').connect(where, () => socket.write('question'))
      socket.on('data', () => {
        const count = Atomics.add(answers, 0, 1) + 1
        Atomics.notify(answers, 0)
        if (count === 20) socket.end()
        else socket.write('question')
      })
    `, { eval: true, workerData: { where: await scene.listen(server), answers }, execArgv: [] })
    await once(client, 'exit')
    log('client', answers[0])
  },
}
