import { once } from 'node:events'
import { stat, writeSync } from 'node:fs'
import type { Socket } from 'node:net'
import { pipeline, Readable } from 'node:stream'
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { pattern, until } from '../fixtures'
import type { Pair, Scenario, Scene } from './scene'

/** Reads what comes, and waits for the end, which may be an error. */
async function drained(scene: Scene, ...sockets: Socket[]): Promise<void> {
  for (const socket of sockets) socket.on('error', () => undefined).resume()
  await scene.gone(...sockets)
}

function callbackOf(scene: Scene, who: string, what: string): (error?: Error | null) => void {
  return (error) => scene.log(who, what, error)
}

const moreThanQueuesHold = 32 * 1024 * 1024

/** What there is of a socket when it is gone. */
function remains(socket: Socket): unknown[] {
  const { destroyed, closed, readyState, pending, bytesRead, errored, writable, readable } = socket
  return [{ destroyed, closed, readyState, pending, bytesRead, writable, readable }, errored, socket.address()]
}

/** A peer on Node's own sockets, which says something and is gone, with what it was sent unread: that is a reset. */
async function goneWithLastWords(where: object, gone: Int32Array): Promise<void> {
  const client = new Worker(`
    const { where, gone } = require('node:worker_threads').workerData
    const socket = require('node:net').connect(where).pause()
    socket.on('connect', () => {
      setTimeout(() => socket.write('last words', () => socket.destroy()), 100)
    })
    socket.on('close', () => {
      Atomics.store(gone, 0, 1)
      Atomics.notify(gone, 0)
    })
  `, { eval: true, workerData: { where, gone }, execArgv: [] })
  await once(client, 'exit')
}

export const ending: Record<string, Scenario> = {
  async 'a reset that comes together with data is what libuv makes of it'(scene) {
    const { log, watch } = scene
    for (const paused of [false, true]) {
      const name = paused ? 'paused' : 'flowing'
      const server = scene.server()
      const connected = once(server, 'connection') as Promise<[Socket]>
      const gone = new Int32Array(new SharedArrayBuffer(4))
      const ended = goneWithLastWords(await scene.listen(server), gone)
      const [accepted] = await connected
      accepted.write('not read')
      await wait(10)
      // Nothing is received until all of it is there.
      Atomics.wait(gone, 0, 0, 10_000)
      watch(name, accepted).on('data', (chunk) => {
        log(name, String(chunk))
        if (!paused) return
        accepted.pause()
        setTimeout(() => accepted.resume(), 20)
      })
      await Promise.all([ended, scene.gone(accepted)])
    }
  },

  async 'what is written to a peer that has gone fails, though it is the last that is written'(scene) {
    const { log, watch } = scene
    for (const how of ['end', 'pipeline'] as const) {
      const { client, accepted } = await scene.pair({ allowHalfOpen: true })
      client.on('error', () => undefined)
      watch(how, accepted).resume()
      await wait(20)
      client.destroy()
      await wait(20)
      // TCP's peer answers by a reset; a Unix socket's end is known without.
      if (accepted.remotePort !== undefined) {
        accepted.write('x')
        await wait(20)
      }
      if (how === 'end') accepted.end('answer', callbackOf(scene, how, 'ended'))
      else pipeline(Readable.from([Buffer.from('answer')]), accepted, callbackOf(scene, how, 'piped'))
      await scene.gone(accepted)
      log(how, accepted.destroyed)
    }
  },

  async 'an end is told before what an immediate does that is set behind it'(scene) {
    const phases: Record<string, (end: () => void) => void> = {
      timer: (end) => setTimeout(end, 5),
      immediate: (end) => setTimeout(() => setImmediate(end), 5),
      tick: (end) => setTimeout(() => process.nextTick(end), 5),
      data: () => undefined,
    }
    for (const [phase, begin] of Object.entries(phases)) {
      for (const bytes of [0, 10_000]) {
        const { client, accepted } = await scene.pair({ allowHalfOpen: true })
        const name = `${phase} ${bytes}`
        scene.watch(name, client)
        const ended = once(accepted.resume(), 'end')
        const end = (): void => {
          client.end(Buffer.alloc(bytes), callbackOf(scene, name, 'ended'))
          setImmediate(() => {
            scene.log(name, 'an immediate')
            client.destroy()
          })
        }
        begin(end)
        if (phase === 'data') {
          accepted.write('x')
          client.on('data', end)
        }
        await Promise.all([ended, scene.gone(client)])
        scene.log('accepted', accepted.bytesRead)
        accepted.end()
        await scene.gone(accepted)
      }
    }
  },

  async 'what one end does is told the other when the loop polls, before immediates'({ log, pair, gone }) {
    const does: Record<string, (client: Socket) => void> = {
      'writes': (client) => client.write('text'),
      'ends': (client) => client.end(),
      'writes and ends': (client) => client.end('text'),
      'destroys': (client) => client.destroy(),
      'ends and destroys': (client) => client.destroySoon(),
    }
    for (const phase of ['timer', 'immediate']) {
      for (const [what, act] of Object.entries(does)) {
        const { client, accepted } = await pair({ allowHalfOpen: true })
        const name = `${phase}, ${what}`
        const told: string[] = []
        for (const event of ['data', 'end', 'close']) accepted.on(event, () => told.push(event))
        accepted.resume()
        await wait(20)
        if (phase === 'immediate') await turn()
        act(client)
        setImmediate(() => {
          told.push('an immediate')
          setImmediate(() => told.push('another'))
        })
        for (let turns = 0; turns < 20; turns++) await turn()
        log(name, ...told)
        client.destroy()
        accepted.destroy()
        await gone(client, accepted)
      }
    }
  },

  async 'what is closed in an iteration of the loop is told after its immediates, the last first'(scene) {
    const phases: Record<string, (close: () => void) => void> = {
      timer: (close) => setTimeout(close, 5),
      immediate: (close) => setTimeout(() => setImmediate(close), 5),
      file: (close) => stat('.', close),
      data: () => undefined,
    }
    for (const [phase, begin] of Object.entries(phases)) {
      const pairs = [await scene.pair(), await scene.pair(), await scene.pair()]
      const log = scene.log.bind(scene, phase)
      for (const [index, { client, accepted }] of pairs.entries()) {
        accepted.on('error', () => undefined).resume()
        client.on('error', () => {
          log('error', index)
          setImmediate(() => log('an immediate', index))
        })
        client.on('close', () => {
          log('close', index)
          process.nextTick(() => log('a tick', index))
        })
      }
      const close = (): void => {
        for (const { client } of pairs) client.destroy(new Error('no more'))
      }
      begin(close)
      if (phase === 'data') pairs[0].accepted.write('x')
      pairs[0].client.on('data', close)
      await scene.gone(...pairs.flatMap(({ client, accepted }) => [client, accepted]))
      await wait(5)
    }
  },

  async '`destroySoon` ends first, and then destroys'(scene) {
    const { log, pair, watch } = scene
    for (const how of ['idle', 'writing', 'corked', 'ended'] as const) {
      const { client, accepted } = await pair()
      watch(how, client)
      let bytes = 0
      accepted.on('data', (chunk: Buffer) => { bytes += chunk.byteLength })
      if (how === 'writing') client.write(pattern(4_000_000, 3), callbackOf(scene, how, 'written'))
      if (how === 'corked') {
        client.cork()
        client.write('corked', callbackOf(scene, how, 'written'))
      }
      if (how === 'ended') client.end('the end')
      client.destroySoon()
      log(how, client.destroyed, client.writableEnded)
      await drained(scene, client, accepted)
      log(how, bytes, ...remains(client))
    }
  },

  async '`destroySoon` of a socket that connects, or never did'(scene) {
    const { connect, listen, log, owned, server, watch } = scene
    const where = await listen(server())
    const connecting = watch('connecting', connect(where))
    connecting.write('before', callbackOf(scene, 'connecting', 'written'))
    connecting.destroySoon()
    log('connecting', connecting.destroyed)
    await drained(scene, connecting)
    const never = watch('never', owned(new scene.net.Socket()))
    never.destroySoon()
    log('never', never.destroyed, never.writableEnded)
    for (let turns = 0; turns < 5; turns++) await turn()
    log('never', never.destroyed)
  },

  async 'a write after `end`, and all calls on a socket that is destroyed'(scene) {
    const { log, outcome, pair, watch } = scene
    const { client, accepted } = await pair()
    watch('client', client)
    client.end('end')
    client.write('after', callbackOf(scene, 'client', 'written'))
    await drained(scene, client, accepted)
    log('client', ...remains(client))
    const again = await pair()
    watch('destroyed', again.client).destroy()
    await drained(scene, again.client)
    again.client.write('after', callbackOf(scene, 'destroyed', 'written'))
    again.client.end(callbackOf(scene, 'destroyed', 'ended'))
    outcome('destroyed', () => again.client.ref() === again.client && again.client.unref() === again.client)
    outcome('destroyed', () => again.client.setNoDelay(true) === again.client)
    outcome('destroyed', () => again.client.setKeepAlive(true, 5) === again.client)
    outcome('destroyed', () => again.client.setTimeout(5) === again.client)
    outcome('destroyed', () => again.client.pause().resume() === again.client)
    outcome('destroyed', () => [again.client.localAddress, again.client.remoteAddress, again.client.bytesWritten])
    for (let turns = 0; turns < 5; turns++) await turn()
  },

  async 'the order in which both ends and the server tell that they are closed'(scene) {
    const orders: Record<string, (pair: Pair) => void> = {
      'client destroys': ({ client, server }) => {
        client.destroy()
        server.close()
      },
      'accepted destroys': ({ accepted, server }) => {
        accepted.destroy()
        server.close()
      },
      'client ends': ({ client, server }) => {
        client.end('text')
        server.close()
      },
      'accepted ends': ({ accepted, server }) => {
        accepted.end('text')
        server.close()
      },
      'client ends, and destroys then': ({ client, server }) => {
        client.write('text')
        client.destroySoon()
        server.close()
      },
      'accepted ends when it is asked to': ({ client, accepted, server }) => {
        client.write('text')
        accepted.once('data', () => {
          accepted.end()
          server.close()
        })
      },
      'the server closes when the client has ended': ({ client, accepted, server }) => {
        client.end()
        accepted.once('end', () => server.close())
      },
    }
    for (const [name, begin] of Object.entries(orders)) {
      const both = await scene.pair()
      for (const who of ['client', 'accepted', 'server'] as const) {
        for (const event of ['finish', 'end', 'close']) both[who].on(event, () => scene.log(name, who, event))
      }
      both.client.resume()
      both.accepted.resume()
      const serverClosed = once(both.server, 'close')
      begin(both)
      await Promise.all([scene.gone(both.client, both.accepted), serverClosed])
    }
  },

  async 'in which iteration of the loop both ends are told what one does'({ log, pair, gone }) {
    const does: Record<string, (accepted: Socket) => void> = {
      'writes': (accepted) => accepted.write('text'),
      'ends': (accepted) => accepted.end(),
      'writes and ends': (accepted) => accepted.end('text'),
    }
    for (const [what, act] of Object.entries(does)) {
      const { client, accepted } = await pair()
      let iterations = 0
      let over = false
      const count = (): void => {
        iterations++
        if (!over) setImmediate(count)
      }
      for (const [who, socket] of Object.entries({ client, accepted })) {
        for (const event of ['data', 'finish', 'end', 'close']) {
          socket.on(event, () => { if (!over) log(`${who}, ${what}`, event, iterations) })
        }
        socket.resume()
      }
      setImmediate(count)
      await wait(20)
      iterations = 0
      act(accepted)
      while (iterations < 20) await turn()
      over = true
      client.destroy()
      await gone(client, accepted)
    }
  },

  async 'an end that comes with data is told after what an immediate ends'({ log, pair, gone }) {
    const ends: Record<string, (client: Socket, called: () => void) => void> = {
      'destroySoon': (client) => { client.destroySoon() },
      'end and destroy': (client, called) => {
        client.end(() => {
          called()
          client.destroy()
        })
      },
      'end with data, and destroy': (client, called) => {
        client.end('text', () => {
          called()
          client.destroy()
        })
      },
    }
    for (const [how, end] of Object.entries(ends)) {
      const { client, accepted } = await pair({ allowHalfOpen: true })
      accepted.on('error', () => undefined)
      for (const event of ['data', 'end', 'finish', 'close']) client.on(event, () => { log(how, event) })
      // The loop polls between a timer and the immediate that it sets.
      setTimeout(() => {
        accepted.end('last')
        setImmediate(() => {
          log(how, 'immediate')
          end(client, () => { log(how, 'callback') })
        })
      }, 1)
      await gone(client)
      accepted.destroy()
      await gone(accepted)
    }
  },

  async 'in which order both close when one has paused before the end'({ log, pair, gone }) {
    const later = { immediate: setImmediate, timer: (resume: () => void) => setTimeout(resume, 1) }
    for (const [when, resumeLater] of Object.entries(later)) {
      const { client, accepted } = await pair()
      accepted.resume().on('close', () => { log(when, 'accepted closes') })
      let bytes = 0
      client.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        client.pause()
        resumeLater(() => { client.resume() })
      })
      client.on('end', () => { log(when, 'client ends', bytes) })
      client.on('close', () => { log(when, 'client closes') })
      accepted.end(pattern(100_000, 1))
      await gone(client, accepted)
    }
  },

  async 'writes that are uncorked when one before them has failed'(scene) {
    const { pair, watch } = scene
    for (const who of ['first', 'second']) {
      // What it had received would have the send wait anew, and meet the reset before the receive does.
      const { client, accepted } = await pair({ pauseOnConnect: true })
      accepted.on('error', () => undefined)
      watch(who, client).on('error', () => undefined)
      client.pause()
      const written = (what: string) => (error?: Error | null): void => {
        scene.log(who, what, error)
        if (what === who) client.uncork()
      }
      client.write(Buffer.alloc(moreThanQueuesHold), written('first'))
      client.cork()
      for (const what of ['second', 'third', 'fourth']) client.write(what, written(what))
      await wait(20)
      accepted.destroy()
      await scene.gone(client)
    }
  },

  async 'writes that `destroy` cuts off'(scene) {
    const { pair, watch } = scene
    const large = pattern(moreThanQueuesHold, 7)
    for (const how of ['at once', 'later', 'for a reason', 'corked', 'text', 'ended'] as const) {
      const { client, accepted } = await pair()
      accepted.pause()
      watch(how, client).on('error', () => undefined)
      if (how === 'corked') client.cork()
      if (how === 'text') client.write(large.toString('latin1'), 'latin1', callbackOf(scene, how, 'first'))
      else client.write(large, callbackOf(scene, how, 'first'))
      if (how === 'ended') client.end(callbackOf(scene, how, 'ended'))
      else client.write('second', callbackOf(scene, how, 'second'))
      client.uncork()
      if (how !== 'at once') for (let turns = 0; turns < 20; turns++) await turn()
      client.destroy(how === 'for a reason' ? new Error('a reason') : undefined)
      await scene.gone(client)
      scene.log(how, ...remains(client))
    }
  },

  async 'whose peer goes without having read what it is being sent'(scene) {
    const { pair, watch } = scene
    const large = pattern(moreThanQueuesHold, 8)
    for (const reads of [true, false]) {
      const who = reads ? 'reads' : 'is paused'
      const { client, accepted } = await pair()
      watch(who, client).on('error', () => undefined)
      accepted.pause()
      if (reads) client.resume()
      else client.pause()
      client.write(large, callbackOf(scene, who, 'first'))
      client.write('second', callbackOf(scene, who, 'second'))
      for (let turns = 0; turns < 20; turns++) await turn()
      accepted.destroy()
      await scene.gone(client, accepted)
      scene.log(who, ...remains(client))
    }
  },

  // A relay that pipes both ways would still be writing to a socket whose peer has ended.
  async 'whose peer has ended is closed before what comes of that is received'(scene) {
    const { log, pair } = scene
    const ended = await pair()
    const other = await pair()
    ended.client.on('end', () => {
      log('order', 'end')
      setImmediate(() => log('order', 'immediate'))
      writeSync((other.accepted as unknown as { _handle: { fd: number } })._handle.fd, 'reply')
    })
    for (const event of ['finish', 'close']) ended.client.on(event, () => log('order', event))
    other.client.on('data', (data) => log('order', String(data)))
    ended.client.resume()
    ended.accepted.end()
    await Promise.all([once(ended.client, 'close'), once(other.client, 'data')])
  },
}

export const endingOverTcp: Record<string, Scenario> = {
  // What leaves after the FIN is answered by a reset that nobody hears of; what is still unread when a socket is closed
  // makes that a reset.
  async 'a socket that is destroyed in the tick in which its peer writes'(scene) {
    const ticks: Record<string, (pair: Pair) => void> = {
      'destroys, writes': ({ client, accepted }) => {
        client.destroy()
        accepted.write('answer')
      },
      'writes, destroys': ({ client, accepted }) => {
        accepted.write('answer')
        client.destroy()
      },
      'writes to it, destroys, writes': ({ client, accepted }) => {
        client.write('before')
        client.destroy()
        accepted.write('answer')
      },
      'destroys, ends': ({ client, accepted }) => {
        client.destroy()
        accepted.end('answer')
      },
      'destroys, destroys': ({ client, accepted }) => {
        client.destroy()
        accepted.destroy()
      },
    }
    for (const [name, tick] of Object.entries(ticks)) {
      for (const when of ['when it has received', 'in a timer'] as const) {
        const who = `${name}, ${when}`
        const both = await scene.pair()
        const accepted = scene.watch(who, both.accepted).on('error', () => undefined)
        accepted.on('data', (chunk: Buffer) => scene.log(who, String(chunk)))
        both.client.resume().write('question')
        await once(accepted, 'data')
        if (when === 'in a timer') {
          setTimeout(tick, 1, both)
        } else {
          accepted.once('data', () => tick(both))
          both.client.write('another')
        }
        await scene.gone(both.client, accepted)
      }
    }
  },

  async '`resetAndDestroy` is an ECONNRESET at the peer'(scene) {
    const { log, pair, watch } = scene
    for (const who of ['client', 'accepted'] as const) {
      const both = await pair()
      const resetting = watch(`${who} resets`, both[who])
      const peer = watch(`peer of ${who}`, both[who === 'client' ? 'accepted' : 'client'])
      log(`${who} resets`, resetting.resetAndDestroy() === resetting, resetting.destroyed)
      await drained(scene, resetting, peer)
      log(`${who} resets`, ...remains(resetting))
      log(`peer of ${who}`, ...remains(peer))
    }
  },

  async '`resetAndDestroy` with writes in flight'(scene) {
    const { log, pair, watch } = scene
    const { client, accepted } = await pair()
    watch('client', client)
    accepted.pause()
    client.write(pattern(moreThanQueuesHold, 5), callbackOf(scene, 'client', 'first'))
    client.write('second', callbackOf(scene, 'client', 'second'))
    for (let turns = 0; turns < 20; turns++) await turn()
    client.resetAndDestroy()
    await drained(scene, client)
    log('client', ...remains(client))
  },

  async '`resetAndDestroy` of a socket that has ended'(scene) {
    const { pair, watch } = scene
    const ended = await pair({ allowHalfOpen: true })
    watch('ended', ended.client).end('end')
    ended.accepted.resume()
    await Promise.all([once(ended.client, 'finish'), once(ended.accepted, 'end')])
    ended.client.resetAndDestroy()
    await drained(scene, ended.client)
  },

  async '`resetAndDestroy` of a socket that connects'(scene) {
    const { connect, listen, log, server: newServer, watch } = scene
    const server = newServer()
    server.on('connection', (socket: Socket) => watch('accepted', socket).on('error', () => undefined).resume())
    const client = watch('client', connect(await listen(server)))
    log('client', client.resetAndDestroy() === client, client.destroyed, client.connecting)
    await drained(scene, client)
    log('client', ...remains(client))
    const isReset = (): boolean =>
      'accepted' in scene.logs && scene.logs.accepted.some((line) => line.includes('close'))
    await until(isReset, 'the peer that is reset')
  },

  async '`resetAndDestroy` of what is closed, was never open, or is destroyed'(scene) {
    const { log, outcome, owned, pair, watch } = scene
    const never = watch('never', owned(new scene.net.Socket()))
    outcome('never', () => never.resetAndDestroy() === never)
    await drained(scene, never)
    const { client, accepted } = await pair()
    watch('closed', client).destroy()
    outcome('closed', () => client.resetAndDestroy() === client)
    await drained(scene, client, accepted)
    outcome('closed', () => client.resetAndDestroy() === client)
    for (let turns = 0; turns < 5; turns++) await turn()
    log('closed', ...remains(client))
    const again = await pair()
    watch('twice', again.client).resetAndDestroy().resetAndDestroy()
    await drained(scene, again.client, again.accepted)
  },
}

export const endingOverPaths: Record<string, Scenario> = {
  async 'there is no `resetAndDestroy` of a path'(scene) {
    const { connect, listen, outcome, pair, server } = scene
    const { client } = await pair()
    outcome('client', () => client.resetAndDestroy())
    scene.log('client', client.destroyed)
    const connecting = connect(await listen(server()))
    outcome('connecting', () => connecting.resetAndDestroy())
    await once(connecting, 'connect')
    connecting.destroy()
    await scene.gone(connecting)
    outcome('closed', () => connecting.on('error', () => undefined).resetAndDestroy() === connecting)
  },
}
