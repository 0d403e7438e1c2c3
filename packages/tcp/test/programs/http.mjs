// Random programs of HTTP/1.1.
import http from 'node:http'
import net from 'node:net'
import { once } from 'node:events'
import { closed, codeOf, digest, promised, turn, until } from './exchange.mjs'

const host = '127.0.0.1'
/** Which exchange a request is of is said by its path, or by the name that it wants a tunnel to. */
const indexOf = (url) => Number(/\d+/.exec(url)[0])

/** Without those that a port, a clock or the time of a write decides. */
function headersOf({ headers }) {
  const decided = ['date', 'host', 'connection']
  return JSON.stringify(Object.entries(headers).filter(([name]) => !decided.includes(name)))
}

export async function open(chooser) {
  const handlers = new Map()
  const server = http.createServer({
    keepAliveTimeout: 60_000,
    noDelay: !chooser.once(4),
    highWaterMark: chooser.pick(undefined, undefined, 1000, 200_000),
  })
  const dispatch = (event) => server.on(event, (request, ...rest) => {
    handlers.get(`${event} ${indexOf(request.url)}`)(request, ...rest)
  })
  for (const event of ['request', 'upgrade', 'connect', 'checkContinue']) dispatch(event)
  server.listen(0, host)
  await once(server, 'listening')
  const { port } = server.address()
  const agents = [
    new http.Agent({ keepAlive: true, maxSockets: 1 + chooser.below(3) }),
    new http.Agent({ keepAlive: true, scheduling: 'fifo' }),
    false,
  ]

  function handle(event, index, handler) {
    handlers.set(`${event} ${index}`, handler)
  }

  /** Receives a request and answers it. */
  async function serve(actor, request, response, { mayBeEarly = false, raw = false } = {}) {
    if (!raw) {
      actor.log(request.method, request.url, headersOf(request))
      actor.watch(request, 'request', 'aborted', 'error', 'end', 'close')
      actor.watch(response, 'response', 'error', 'finish', 'close')
    }
    const bytes = actor.bytes(actor.once(4) ? 2_000_000 : 60_000)
    response.statusCode = actor.pick(200, 200, 200, 201, 404, 204, 304)
    response.sendDate = false
    response.setHeader('x-digest', digest(bytes))
    const framing = actor.pick('length', 'chunked', 'implicit', 'trailers', 'close')
    const hasBody = request.method !== 'HEAD' && ![204, 304].includes(response.statusCode)
    // Who knows that this is all of the answer may take the connection away from who still reads the question.
    const early = mayBeEarly && hasBody && framing !== 'length'
    if (framing === 'length') response.setHeader('content-length', bytes.byteLength)
    if (framing === 'close' && !raw) {
      response.shouldKeepAlive = false
      response.useChunkedEncodingByDefault = false
    }
    if (framing === 'trailers' && hasBody) {
      response.setHeader('trailer', 'x-trailer')
      response.addTrailers({ 'x-trailer': String(actor.below(1000)) })
    }
    if (actor.once(6) && !raw) response.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' })
    if (actor.once(6) && !raw) response.writeProcessing()
    if (actor.once(6) && hasBody) response.flushHeaders()
    const received = actor.receive(request)
    if (!early) actor.log('received', await received)
    for (let turns = actor.below(4); turns > 0; turns--) await turn()
    // Whoever has all of an answer may close the connection, before or after the server says that this was all.
    const whole = !hasBody || framing === 'length'
    const outcome = await actor.send(response, hasBody ? bytes : bytes.subarray(0, 0), {
      end: !early, ...whole ? { withLast: true } : {},
    })
    if (early) {
      await received
      response.end()
    }
    await Promise.all([closed(response), received, closed(request)])
    if (early) actor.log('received', await received)
    actor.log('sent', outcome(), response.writableFinished, request.complete)
  }

  /** @returns the response, if there is one. */
  async function answerTo(actor, request) {
    return new Promise((resolve) => {
      request.once('response', resolve).once('close', () => resolve(undefined))
      request.on('information', ({ statusCode }) => actor.log('information', statusCode))
    })
  }

  function requested(actor, index, options = {}) {
    const request = http.request({
      host,
      port,
      path: `/${index}`,
      agent: actor.pick(...agents),
      method: actor.pick('GET', 'POST', 'PUT', 'HEAD', 'DELETE'),
      ...options,
    })
    // When it has left, and when an answer comes meanwhile, is the kernel's doing.
    actor.watch(request, 'request', 'abort', 'continue', 'timeout', 'close')
    return request
  }

  async function receiveAnswer(actor, request) {
    const response = await answerTo(actor, request)
    if (response === undefined) return
    actor.log('response', response.statusCode, headersOf(response))
    actor.watch(response, 'response', 'aborted', 'error', 'end', 'close')
    if (actor.once(8)) response.setEncoding('latin1')
    const received = response.readableEncoding === null
      ? await actor.receive(response)
      : digest(Buffer.from((await response.toArray()).join(''), 'latin1'))
    await Promise.all([closed(response), closed(request)])
    actor.log('received', received, JSON.stringify(response.trailers), response.complete)
  }

  async function body(exchange, index) {
    const served = promised()
    const [client, there] = [exchange.actor('client'), exchange.actor('server')]
    const mayBeEarly = client.once(3)
    const respond = (request, response) => { served.resolve(serve(there, request, response, { mayBeEarly })) }
    handle('request', index, respond)
    const expects = client.once(4)
    const refuses = client.once(3)
    handle('checkContinue', index, (request, response) => {
      there.log('checkContinue')
      if (refuses) {
        response.writeHead(417, { 'connection': 'close', 'content-length': 3 })
        response.end('no!')
        served.resolve(closed(response))
      } else {
        response.writeContinue()
        respond(request, response)
      }
    })
    const request = requested(client, index, expects ? { method: 'POST', headers: { expect: '100-continue' } } : {})
    const hasBody = expects || ['POST', 'PUT'].includes(request.method)
    const bytes = hasBody ? client.bytes(client.once(4) ? 2_000_000 : 60_000) : Buffer.alloc(0)
    if (hasBody && !expects && client.once(2)) request.setHeader('content-length', bytes.byteLength)
    else if (hasBody && client.once(2)) request.addTrailers({ 'x-trailer': 'of the request' })
    client.watch(request, 'request', 'error')
    const answered = receiveAnswer(client, request)
    if (expects) {
      request.flushHeaders()
      await new Promise((resolve) => request.once('continue', resolve).once('response', resolve))
    }
    if (expects && refuses) {
      request.destroy()
    } else {
      const outcome = await client.send(request, bytes)
      await closed(request)
      client.log('sent', outcome())
    }
    await Promise.all([answered, served.promise])
  }

  /** What came, without what the time of a write decides: which header says that the connection stays. */
  function parsed(bytes) {
    const responses = []
    for (let rest = bytes; rest.byteLength > 0;) {
      const end = rest.indexOf('\r\n\r\n')
      const [status, ...lines] = rest.toString('latin1', 0, end).split('\r\n')
      const headers = lines.filter((line) => !/^(connection|keep-alive)/i.test(line))
      const length = /content-length: (\d+)/i.exec(headers.join('\n'))?.[1] ?? 0
      rest = rest.subarray(end + 4)
      const body = []
      if (/transfer-encoding: chunked/i.test(headers.join('\n'))) {
        for (let size = -1; size !== 0;) {
          const line = rest.indexOf('\r\n')
          size = Number.parseInt(rest.toString('latin1', 0, line), 16)
          body.push(rest.subarray(line + 2, line + 2 + size))
          rest = rest.subarray(line + 2 + size + (size === 0 ? 0 : 2))
        }
        const trailers = rest.indexOf('\r\n')
        if (trailers === 0) {
          rest = rest.subarray(2)
        } else {
          const last = rest.indexOf('\r\n\r\n')
          headers.push(rest.toString('latin1', 0, last))
          rest = rest.subarray(last + 4)
        }
      } else if (!/ (102|204|304) /.test(status)) {
        body.push(rest.subarray(0, Number(length)))
        rest = rest.subarray(Number(length))
      }
      responses.push(`${status} ${headers.join(' ')} ${digest(...body)}`)
    }
    return responses
  }

  async function pipelined(exchange, index) {
    const client = exchange.actor('client')
    const count = 1 + client.below(12)
    let serial = 0
    handle('request', index, (request, response) => {
      const number = Number(request.url.split('?')[1])
      if (number !== serial++) exchange.log('server', 'out of order', number)
      // Chosen by the number of the request: responses are written in any order.
      void serve(actors[number], request, response, { raw: true })
    })
    const actors = Array.from({ length: count }, (_, number) => exchange.actor(`server ${number}`))
    const parts = []
    for (let number = 0; number < count; number++) {
      const last = number === count - 1
      const bytes = client.bytes(20_000)
      const head = `${bytes.byteLength === 0 ? 'GET' : 'POST'} /${index}?${number} HTTP/1.1\r\nHost: x\r\n`
        + `Connection: ${last ? 'close' : 'keep-alive'}\r\n`
      if (bytes.byteLength !== 0 && client.once(2)) {
        const cut = client.below(bytes.byteLength)
        parts.push(Buffer.from(`${head}Transfer-Encoding: chunked\r\n\r\n`))
        for (const chunk of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
          if (chunk.byteLength === 0) continue
          parts.push(Buffer.from(`${chunk.byteLength.toString(16)}\r\n`), chunk, Buffer.from('\r\n'))
        }
        parts.push(Buffer.from('0\r\n\r\n'))
      } else {
        parts.push(Buffer.from(`${head}Content-Length: ${bytes.byteLength}\r\n\r\n`), bytes)
      }
    }
    const socket = net.connect({ host, port, allowHalfOpen: true })
    client.watch(socket, 'socket', 'connect', 'end', 'error', 'close')
    const chunks = []
    socket.on('data', (chunk) => chunks.push(chunk))
    if (client.once(3)) socket.pause().once('drain', () => socket.resume())
    const outcome = await client.send(socket, Buffer.concat(parts), { end: false })
    socket.resume()
    await until(socket, 'end')
    for (const response of parsed(Buffer.concat(chunks))) client.log(response)
    socket.end()
    await closed(socket)
    client.log('sent', outcome())
  }

  /** Both sides send what they have; the client ends first. */
  async function bothWays(actor, socket, head, { endsFirst }) {
    actor.watch(socket, 'socket', 'end', 'finish', 'error', 'close')
    if (head.byteLength > 0) socket.unshift(head)
    await actor.converse(socket, 30_000, { endsFirst })
  }

  async function upgrade(exchange, index) {
    const [client, there] = [exchange.actor('client'), exchange.actor('server')]
    const served = promised()
    handle('upgrade', index, (request, socket, head) => {
      there.log('upgrade', headersOf(request))
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: Upgrade\r\n\r\n')
      served.resolve(bothWays(there, socket, head, { endsFirst: false }))
    })
    if (client.once(2)) {
      // What comes right behind the request is its `head`.
      const socket = net.connect({ host, port, allowHalfOpen: true })
      socket.write(`GET /${index} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n`)
      await bothWays(client, socket, Buffer.alloc(0), { endsFirst: true })
    } else {
      const request = requested(client, index, { method: 'GET', headers: { connection: 'Upgrade', upgrade: 'raw' } })
      request.end()
      const [response, socket, head] = await once(request, 'upgrade')
      client.log('upgraded', response.statusCode, headersOf(response))
      await bothWays(client, socket, head, { endsFirst: true })
    }
    await served.promise
  }

  async function tunnel(exchange, index) {
    const [client, there] = [exchange.actor('client'), exchange.actor('target')]
    const served = promised()
    const target = net.createServer({ allowHalfOpen: true }, (socket) => {
      served.resolve(bothWays(there, socket, Buffer.alloc(0), { endsFirst: false }))
    })
    target.listen(0, host)
    await once(target, 'listening')
    handle('connect', index, (_request, socket, head) => {
      const upstream = net.connect({ host, port: target.address().port, allowHalfOpen: true }, () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
        if (head.byteLength > 0) upstream.write(head)
        socket.pipe(upstream).pipe(socket)
      })
    })
    const request = requested(client, index, { method: 'CONNECT', path: `target-${index}:1`, agent: false })
    request.end()
    const [response, socket, head] = await once(request, 'connect')
    client.log('connected', response.statusCode)
    await bothWays(client, socket, head, { endsFirst: true })
    await served.promise
    target.close()
    await once(target, 'close')
  }

  /** One side goes, when what was sent before has been received. */
  async function abort(exchange, index) {
    const [client, there] = [exchange.actor('client'), exchange.actor('server')]
    const chooser = exchange.actor('chooser')
    const answers = chooser.once(2)
    const question = chooser.bytes(50_000)
    const answer = chooser.bytes(50_000)
    const way = chooser.pick('request', 'request with an error', 'response', 'socket', 'reset')
    const [byClient, endsRequest] = [chooser.once(2), chooser.once(2)]
    const served = promised()
    const go = (request, response, error) => {
      // Of a request that has been received nothing is left to destroy.
      if (request.complete === true && way.startsWith('request')) request.socket.destroy()
      else if (way === 'request') request.destroy()
      else if (way === 'request with an error') request.destroy(error)
      else if (way === 'response' && response !== undefined) response.destroy()
      else if (way === 'reset') request.socket.resetAndDestroy()
      else request.socket.destroy()
    }
    /** Reads as much as there is to be. */
    const readSome = (actor, stream, size) => new Promise((resolve) => {
      let bytes = 0
      const chunks = []
      stream.on('data', (chunk) => {
        chunks.push(chunk)
        bytes += chunk.byteLength
        if (bytes === size) resolve()
      })
      if (size === 0) resolve()
    })
    handle('request', index, async (request, response) => {
      there.watch(request, 'request', 'aborted', 'error', 'end', 'close')
      there.watch(response, 'response', 'error', 'finish', 'close')
      served.resolve(Promise.all([closed(request), closed(response)]).then(() => {
        there.log(request.complete, request.destroyed, codeOf(request.errored), response.writableFinished)
      }))
      await readSome(there, request, question.byteLength)
      if (endsRequest) await until(request, 'end')
      serverGoes = () => go(request, response, new Error('on purpose'))
      reached.resolve()
      if (!answers) return
      response.writeHead(200)
      response.flushHeaders()
      response.write(answer)
    })
    const reached = promised()
    let serverGoes
    const request = requested(client, index, { method: 'POST', agent: false })
    client.watch(request, 'request', 'error')
    if (question.byteLength > 0) request.write(question)
    if (endsRequest) request.end()
    else request.flushHeaders()
    const answered = answerTo(client, request)
    await reached.promise
    const response = answers ? await answered : undefined
    if (response !== undefined) {
      client.watch(response, 'response', 'aborted', 'error', 'end', 'close')
      await readSome(client, response, answer.byteLength)
    }
    if (byClient) go(request, response, new Error('on purpose'))
    else serverGoes()
    await Promise.all([closed(request), served.promise])
    if (response !== undefined) await closed(response)
    client.log(request.destroyed, codeOf(request.errored), response?.complete, codeOf(response?.errored))
  }

  /** One side goes while the other sends more than there is room for. What has come by then is what was sent. */
  async function cutOff(exchange, index) {
    const [client, there] = [exchange.actor('client'), exchange.actor('server')]
    const bytes = client.bytes(2_000_000)
    const bySender = client.once(2)
    const uploads = client.once(2)
    const limit = client.below(bytes.byteLength + 1)
    const [come, served] = [promised(), promised()]
    const sendSome = async (actor, stream, mayEnd) => {
      await actor.send(stream, bySender ? bytes.subarray(0, limit) : bytes, { end: mayEnd && !bySender })
      if (bySender) stream.destroy()
      await closed(stream)
    }
    const receiveSome = async (actor, stream) => {
      actor.log(await actor.receive(stream, { whole: bytes, enough: bySender ? Infinity : limit }))
      await closed(stream)
    }
    handle('request', index, (request, response) => {
      response.on('error', () => undefined)
      request.on('error', () => undefined)
      come.resolve()
      if (uploads) served.resolve(receiveSome(there, request).then(() => response.destroy()))
      else served.resolve(sendSome(there, response, true))
    })
    const request = requested(client, index, { method: 'POST', agent: false, headers: { 'content-type': 'x' } })
    request.on('error', () => undefined)
    if (uploads) {
      request.flushHeaders()
      await come.promise
      await sendSome(client, request, true)
    } else {
      request.end()
      const response = await answerTo(client, request)
      if (response !== undefined) await receiveSome(client, response.on('error', () => undefined))
    }
    await closed(request)
    await served.promise
  }

  /** A request that does not come to its end, or is none. */
  async function broken(exchange) {
    const [client, there] = [exchange.actor('client'), exchange.actor('server')]
    const way = client.pick('headers', 'request', 'keep-alive', 'idle', 'idle, told', 'garbage', 'overflow', 'half')
    const strict = http.createServer({
      connectionsCheckingInterval: 15,
      ...way === 'headers' ? { headersTimeout: 150, requestTimeout: 150 } : {},
      ...way === 'request' ? { headersTimeout: 150, requestTimeout: 150 } : {},
      ...way === 'keep-alive' ? { keepAliveTimeout: 20 } : {},
    }, (request, response) => {
      there.log('request', request.url)
      there.watch(request, 'request', 'aborted', 'error', 'end', 'close')
      there.watch(response, 'response', 'error', 'finish', 'close')
      request.resume()
      response.sendDate = false
      if (way === 'keep-alive') response.end('answer')
    })
    if (way.startsWith('idle')) strict.setTimeout(150)
    if (way === 'idle, told') {
      strict.on('timeout', (socket) => {
        there.log('timeout')
        socket.destroy()
      })
    }
    const sockets = []
    strict.on('clientError', (error, socket) => {
      there.log('clientError', codeOf(error), socket.writable)
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
      else socket.destroy()
    })
    strict.on('connection', (socket) => sockets.push(closed(there.watch(socket, 'socket', 'end', 'close'))))
    strict.listen(0, host)
    await once(strict, 'listening')
    const socket = client.watch(net.connect(strict.address().port, host), 'socket', 'connect', 'end', 'error', 'close')
    const received = client.receive(socket)
    const head = 'POST /first HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n'
    const text = {
      'headers': head.slice(0, 30),
      'request': head + 'part',
      'keep-alive': head + '0123456789',
      'idle': head,
      'idle, told': head,
      'garbage': 'x' + client.bytes(1000).toString('hex') + '\r\n\r\n',
      'half': head + 'part',
      'overflow': 'GET / HTTP/1.1\r\nX: ' + 'x'.repeat(20_000) + '\r\n\r\n',
    }[way]
    // The rest of what is refused would be answered with a reset, and time runs.
    if (['garbage', 'overflow', 'idle', 'idle, told'].includes(way)) socket.write(text)
    else await client.send(socket, Buffer.from(text, 'latin1'), { end: way === 'half' })
    client.log(way, await received)
    await closed(socket)
    strict.close()
    await Promise.all([once(strict, 'close'), ...sockets])
    await turn()
  }

  async function close() {
    for (const agent of agents) if (agent) agent.destroy()
    server.close()
    server.closeIdleConnections()
    await once(server, 'close')
  }

  return { exchanges: { body, pipelined, upgrade, tunnel, abort, cutOff, broken }, close }
}
