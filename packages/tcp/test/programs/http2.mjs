// Random programs of HTTP/2, in plain and through TLS.
import { once } from 'node:events'
import { closeSync, openSync, writeFileSync, mkdtempSync, rmSync } from 'node:fs'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { certificates } from './certificates.mjs'
import { closed, codeOf, digest, promised, turn } from './exchange.mjs'

const host = '127.0.0.1'
const { NGHTTP2_CANCEL, NGHTTP2_REFUSED_STREAM, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR } = http2.constants
const { server: identity } = certificates()
const secret = { ca: identity.cert, servername: 'localhost' }

/** Without those that a port or a clock decides. */
function headersOf(headers) {
  return JSON.stringify(Object.entries(headers).filter(([name]) => name !== ':authority' && name !== 'date'))
}

export async function open(chooser) {
  const secure = chooser.once(2)
  const settings = {
    ...chooser.once(2) ? { initialWindowSize: chooser.pick(1000, 65_535, 1_000_000) } : {},
    ...chooser.once(3) ? { maxFrameSize: chooser.pick(16_384, 100_000) } : {},
  }
  const makeServer = () => secure
    ? http2.createSecureServer({ ...identity, allowHTTP1: true, settings })
    : http2.createServer({ settings })
  const server = makeServer()
  /** Who listens for requests has all streams in that form. */
  const compatibleServer = makeServer()
  const handlers = new Map()
  const sessions = new Set()
  server.on('stream', (stream, headers) => {
    handlers.get(Number(/\d+/.exec(headers[':path'] ?? headers[':authority'])[0]))(stream, headers)
  })
  compatibleServer.on('request', (request, response) => {
    handlers.get(Number(/\d+/.exec(request.url)[0]))(request, response)
  })
  for (const each of [server, compatibleServer]) {
    each.on('session', (session) => {
      sessions.add(session)
      session.on('error', () => undefined).on('close', () => sessions.delete(session))
    })
    each.listen(0, host)
    await once(each, 'listening')
  }

  /** A session of a client, on a socket that is made in one of the ways there are. */
  async function connect(actor, { port } = server.address()) {
    const settings = actor.once(2) ? { initialWindowSize: actor.pick(1000, 65_535, 2_000_000) } : {}
    const options = { ...secret, settings }
    const way = actor.pick('by itself', 'by itself', 'socket', 'connected socket')
    if (way !== 'by itself') {
      const socket = secure
        ? tls.connect({ host, port, ALPNProtocols: ['h2'], ...secret })
        : net.connect({ host, port })
      if (way === 'connected socket') await once(socket, secure ? 'secureConnect' : 'connect')
      options.createConnection = () => socket
    }
    const session = http2.connect(`${secure ? 'https' : 'http'}://${host}:${port}`, options)
    session.on('error', () => undefined)
    return session
  }

  const shared = chooser.once(2) ? await connect(chooser) : undefined

  async function within(actor, use) {
    if (shared !== undefined && actor.once(2)) return use(shared)
    const session = await connect(actor)
    await use(session)
    session.close()
    await closed(session)
  }

  function watched(actor, stream, what = 'stream') {
    return actor.watch(stream, what, 'aborted', 'end', 'finish', 'error', 'close', 'continue', 'ready', 'timeout')
  }

  /** Receives what comes on a stream, and sends. Who answers ends last: Node resets streams that nobody reads. */
  async function carry(actor, stream, { last = false } = {}) {
    const received = actor.receive(stream)
    if (last && actor.once(2)) await received
    const outcome = await actor.send(stream, actor.bytes(actor.once(4) ? 1_000_000 : 40_000), { end: !last })
    actor.log('received', await received)
    // Node closes a stream whose last bytes are being sent without telling that it is finished, or after that.
    while (last && stream.writableLength > 0 && !stream.destroyed) await turn()
    if (last) stream.end()
    await closed(stream)
    actor.log('sent', outcome(), stream.rstCode)
  }

  /** Of a session that ends well Node says so once more if its last write was done at once. */
  function goneAway(actor, session) {
    session.once('goaway', (code) => actor.log('goaway', code))
  }

  function answering(actor, stream) {
    stream.on('response', (headers) => actor.log('response', headersOf(headers)))
    stream.on('headers', (headers) => actor.log('headers', headersOf(headers)))
    stream.on('trailers', (headers) => actor.log('trailers', headersOf(headers)))
    return watched(actor, stream)
  }

  async function body(exchange, index) {
    const [client, there] = [exchange.actor('client'), exchange.actor('server')]
    const served = promised()
    handlers.set(index, (stream, headers) => {
      there.log(headersOf(headers))
      watched(there, stream)
      stream.on('trailers', (trailers) => there.log('trailers', headersOf(trailers)))
      if (there.once(4)) stream.additionalHeaders({ ':status': 103, 'link': 'x' })
      const trailing = there.once(3)
      stream.respond({ ':status': there.pick(200, 201, 404), 'x-index': index }, { waitForTrailers: trailing })
      if (trailing) stream.on('wantTrailers', () => stream.sendTrailers({ 'x-trailer': 'of the response' }))
      served.resolve(carry(there, stream, { last: true }))
    })
    await within(client, async (session) => {
      const method = client.pick('GET', 'POST', 'POST')
      const trailing = method === 'POST' && client.once(3)
      const stream = session.request({ ':path': `/${index}`, ':method': method },
        { endStream: method === 'GET', waitForTrailers: trailing })
      if (trailing) stream.on('wantTrailers', () => stream.sendTrailers({ 'x-trailer': 'of the request' }))
      answering(client, stream)
      if (method === 'GET') {
        client.log('received', await client.receive(stream))
        await closed(stream)
      } else {
        await carry(client, stream)
      }
      await served.promise
    })
  }

  /** In the form of HTTP/1.1's requests and responses. */
  async function compatible(exchange, index) {
    const [client, there] = [exchange.actor('client'), exchange.actor('server')]
    const served = promised()
    handlers.set(index, (request, response) => {
      there.log(request.method, request.url, request.httpVersion)
      there.watch(request, 'request', 'aborted', 'end', 'error', 'close')
      there.watch(response, 'response', 'finish', 'error', 'close')
      served.resolve((async () => {
        const received = there.receive(request)
        there.log('received', await received, JSON.stringify(request.trailers))
        response.statusCode = there.pick(200, 404)
        response.sendDate = false
        if (there.once(3) && request.httpVersionMajor === 2) response.addTrailers({ 'x-trailer': 'y' })
        await there.send(response, there.bytes(100_000))
        await closed(response)
      })())
    })
    if (secure && client.once(3)) {
      // ALPN has chosen HTTP/1.1.
      const { port } = compatibleServer.address()
      const request = https.request({ host, port, path: `/${index}`, method: 'POST', agent: false, ...secret })
      const answered = once(request, 'response')
      await client.send(request, client.bytes(100_000))
      const [response] = await answered
      client.log(response.statusCode, await client.receive(response))
      await Promise.all([closed(request), served.promise])
      return
    }
    const session = await connect(client, compatibleServer.address())
    await carry(client, answering(client, session.request({ ':path': `/${index}`, ':method': 'POST' })))
    await served.promise
    session.close()
    await closed(session)
  }

  async function pushed(exchange, index) {
    const [client, there] = [exchange.actor('client'), exchange.actor('server')]
    const served = promised()
    const count = 1 + client.below(3)
    const actors = Array.from({ length: count }, (_, number) => {
      return { from: exchange.actor(`push ${number}, sent`), to: exchange.actor(`push ${number}, received`) }
    })
    handlers.set(index, (stream) => {
      watched(there, stream)
      const pushes = actors.map(async ({ from }, number) => {
        const push = await new Promise((resolve, reject) => {
          stream.pushStream({ ':path': `/pushed/${index}/${number}` }, (error, made) => {
            if (error) reject(error)
            else resolve(made)
          })
        })
        push.on('error', () => undefined)
        push.respond({ ':status': 200, 'x-number': number })
        const outcome = await from.send(push, from.bytes(60_000))
        await closed(push)
        from.log('sent', outcome(), push.rstCode)
      })
      stream.respond({ ':status': 200 })
      served.resolve(Promise.all([...pushes, carry(there, stream, { last: true })]))
    })
    const session = await connect(client)
    const arrived = actors.map(() => promised())
    session.on('stream', (push, headers) => {
      const number = Number(headers[':path'].split('/')[3])
      const { to } = actors[number]
      push.on('error', () => undefined)
      to.log(headersOf(headers))
      push.on('push', (response) => to.log('push', headersOf(response)))
      arrived[number].resolve((async () => {
        to.log('received', await to.receive(push))
        await closed(push)
      })())
    })
    await carry(client, answering(client, session.request({ ':path': `/${index}`, ':method': 'POST' })))
    await Promise.all([served.promise, ...arrived.map(({ promise }) => promise)])
    session.close()
    await closed(session)
  }

  /** One side resets the stream, or ends the session, when what was sent before has been received. */
  async function abort(exchange, index) {
    const [client, there, chooser] = [exchange.actor('client'), exchange.actor('server'), exchange.actor('chooser')]
    const answers = chooser.once(2)
    const [question, answer] = [chooser.bytes(40_000), chooser.bytes(40_000)]
    const byClient = chooser.once(2)
    const way = chooser.pick(
      'cancel', 'refuse', 'destroy', 'error', 'no error', 'session', 'session with a code', 'goaway')
    const reached = promised()
    const count = (stream, bytes) => new Promise((resolve) => {
      let size = 0
      stream.on('data', (chunk) => { if ((size += chunk.byteLength) === bytes.byteLength) resolve() })
      if (bytes.byteLength === 0) resolve()
    })
    const go = (stream) => {
      const { session } = stream
      if (way === 'cancel') stream.close(NGHTTP2_CANCEL)
      else if (way === 'refuse') stream.close(NGHTTP2_REFUSED_STREAM)
      else if (way === 'no error') stream.close(NGHTTP2_NO_ERROR)
      else if (way === 'destroy') stream.destroy()
      else if (way === 'error') stream.destroy(new Error('on purpose'))
      else if (way === 'session') session.destroy()
      else if (way === 'session with a code') session.destroy(NGHTTP2_INTERNAL_ERROR)
      else session.goaway(NGHTTP2_INTERNAL_ERROR)
    }
    const served = promised()
    // Whether the end of a stream is sent before its reset is a matter of what else is being written.
    const events = ['aborted', 'finish', 'error', 'close']
    handlers.set(index, async (stream) => {
      there.watch(stream, 'stream', ...events)
      goneAway(there, stream.session)
      there.watch(stream.session, 'session', 'error', 'close')
      served.resolve(Promise.all([closed(stream), closed(stream.session)]).then(() => {
        there.log(stream.rstCode, stream.aborted, stream.destroyed, codeOf(stream.errored))
      }))
      await count(stream, question)
      reached.resolve(stream)
      if (!answers) return
      stream.respond({ ':status': 200 })
      stream.write(answer)
    })
    const session = await connect(client)
    goneAway(client, session)
    client.watch(session, 'session', 'error', 'close')
    const stream = session.request({ ':path': `/${index}`, ':method': 'POST' })
    client.watch(stream, 'stream', ...events)
    stream.on('response', (headers) => client.log('response', headersOf(headers)))
    stream.write(question)
    const answered = count(stream, answer)
    const peer = await reached.promise
    if (answers) await Promise.all([once(stream, 'response'), answered])
    // While a session writes it says no more: what it tells of what it has received is on its way before.
    for (let turns = 0; turns < 3; turns++) await turn()
    client.log(way, byClient)
    go(byClient ? stream : peer)
    await closed(stream)
    session.close()
    await Promise.all([served.promise, closed(session)])
    client.log(stream.rstCode, stream.aborted, stream.destroyed, codeOf(stream.errored))
  }

  /** One side goes while the other sends more than there is room for. What has come by then is what was sent. */
  async function cutOff(exchange, index) {
    const chooser = exchange.actor('chooser')
    const [client, there] = [exchange.actor('client'), exchange.actor('server')]
    const bytes = chooser.bytes(1_000_000)
    const limit = chooser.below(bytes.byteLength + 1)
    const [bySender, uploads] = [chooser.once(2), chooser.once(2)]
    const [come, served] = [promised(), promised()]
    const part = async (actor, stream, sends) => {
      stream.on('error', () => undefined)
      if (sends) {
        stream.resume()
        await actor.send(stream, bySender ? bytes.subarray(0, limit) : bytes, { end: !bySender })
        if (bySender) stream.close(NGHTTP2_CANCEL)
      } else {
        const enough = bySender ? Infinity : limit
        // Node resets no stream that is destroyed while it is closed on neither side and has no error: the peer waits.
        const leave = () => stream.close(NGHTTP2_CANCEL)
        actor.log(await actor.receive(stream, { whole: bytes, enough, leave }))
        leave()
      }
      await closed(stream)
    }
    handlers.set(index, (stream) => {
      stream.respond({ ':status': 200 })
      come.resolve()
      served.resolve(part(there, stream, !uploads))
    })
    await within(client, async (session) => {
      const stream = session.request({ ':path': `/${index}`, ':method': 'POST' })
      stream.on('error', () => undefined)
      await come.promise
      await Promise.all([part(client, stream, uploads), served.promise])
    })
  }

  /** Both sides write through a stream that is a tunnel. */
  async function tunnel(exchange, index) {
    const [client, there] = [exchange.actor('client'), exchange.actor('server')]
    const served = promised()
    handlers.set(index, (stream) => {
      stream.respond({ ':status': 200 })
      served.resolve(carry(there, watched(there, stream), { last: true }))
    })
    await within(client, async (session) => {
      const stream = session.request({ ':method': 'CONNECT', ':authority': `target-${index}:1` })
      await carry(client, answering(client, stream))
      await served.promise
    })
  }

  async function file(exchange, index) {
    const [client, there] = [exchange.actor('client'), exchange.actor('server')]
    const directory = mkdtempSync(join(tmpdir(), 'sheaf-programs-'))
    const path = join(directory, 'file')
    const bytes = there.bytes(500_000)
    writeFileSync(path, bytes)
    const part = there.once(2) ? { offset: there.below(bytes.byteLength + 1), length: there.below(1000) } : {}
    const served = promised()
    handlers.set(index, (stream) => {
      watched(there, stream).resume()
      const fd = there.once(2) ? openSync(path) : undefined
      if (fd === undefined) stream.respondWithFile(path, { ':status': 200 }, part)
      else stream.respondWithFD(fd, { ':status': 200 }, part)
      served.resolve(closed(stream).then(() => { if (fd !== undefined) closeSync(fd) }))
    })
    await within(client, async (session) => {
      const stream = answering(client, session.request({ ':path': `/${index}` }))
      client.log(await client.receive(stream))
      await Promise.all([closed(stream), served.promise])
    })
    rmSync(directory, { recursive: true })
  }

  /** What sessions tell each other that is no stream's. */
  async function control(exchange) {
    const client = exchange.actor('client')
    const session = await connect(client)
    if (session.connecting) await once(session, 'connect')
    goneAway(client, session)
    client.watch(session, 'session', 'error', 'close', 'localSettings')
    for (let count = 1 + client.below(5); count > 0; count--) {
      const what = client.pick('ping', 'settings', 'pings')
      if (what === 'settings') {
        await new Promise((resolve) => session.settings({ initialWindowSize: 1000 + client.below(100_000) }, resolve))
        client.log('settings', session.localSettings.initialWindowSize)
      } else {
        const payload = Buffer.alloc(8, client.below(256))
        const pings = Array.from({ length: what === 'ping' ? 1 : 4 }, () => new Promise((resolve) => {
          session.ping(payload, (error, _durationMs, back) => resolve(`${codeOf(error)} ${digest(back)}`))
        }))
        client.log(what, await Promise.all(pings))
      }
    }
    const way = client.pick('close', 'destroy', 'goaway')
    if (way === 'goaway') session.goaway(NGHTTP2_NO_ERROR, 0, Buffer.from('reason'))
    if (way === 'destroy') session.destroy()
    else session.close()
    await closed(session)
    await turn()
  }

  async function close() {
    if (shared !== undefined) {
      shared.close()
      await closed(shared)
    }
    const over = [server, compatibleServer].map((each) => once(each, 'close'))
    server.close()
    compatibleServer.close()
    await Promise.all([...over, ...[...sessions].map(closed)])
  }

  return { exchanges: { body, again: body, compatible, pushed, abort, cutOff, tunnel, file, control }, close }
}
