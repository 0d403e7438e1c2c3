// Random programs of TLS.
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { setImmediate } from 'node:timers'
import tls from 'node:tls'
import { certificates } from './certificates.mjs'
import { closed, codeOf, promised, turn, until } from './exchange.mjs'

const host = '127.0.0.1'
const { server: identity, other, client: clientIdentity } = certificates()
const trusted = [identity.cert, other.cert]

export async function open() {
  const servers = new Set()

  async function listen(server) {
    servers.add(server)
    server.listen(0, host)
    await once(server, 'listening')
    return server.address().port
  }

  async function gone(server) {
    servers.delete(server)
    server.close()
    await once(server, 'close')
  }

  /** What both sides say of a connection that is secured. */
  function described(socket) {
    const { subject } = socket.getPeerCertificate()
    const { alpnProtocol, servername, authorized, authorizationError } = socket
    return [socket.getProtocol(), alpnProtocol, servername, authorized, codeOf(authorizationError),
      socket.isSessionReused(), subject?.CN ?? 'nobody']
  }

  function watched(actor, socket) {
    return actor.watch(socket, 'socket', 'secure', 'secureConnect', 'end', 'finish', 'error', 'close', 'timeout')
  }

  function chooseContext(name, done) {
    const context = { ...other, ca: [clientIdentity.cert] }
    setImmediate(() => done(null, name === 'other.example' ? tls.createSecureContext(context) : undefined))
  }

  /** A server's options and those of its client, by chance. */
  function options(chooser) {
    const version = chooser.pick('TLSv1.2', 'TLSv1.3', 'TLSv1.3')
    const asks = chooser.once(3)
    const named = chooser.once(3)
    const there = {
      ...identity, maxVersion: version, minVersion: version, allowHalfOpen: true,
      ...chooser.once(2) ? { ALPNProtocols: ['second', 'first'] } : {},
      ...asks ? { requestCert: true, rejectUnauthorized: chooser.once(2), ca: [clientIdentity.cert] } : {},
      SNICallback: named ? chooseContext : undefined,
    }
    const here = {
      ca: trusted, allowHalfOpen: true, servername: named ? chooser.pick('other.example', 'localhost') : 'localhost',
      ...there.ALPNProtocols && chooser.once(2) ? { ALPNProtocols: ['first', 'second'] } : {},
      ...asks && (there.rejectUnauthorized || chooser.once(2)) ? clientIdentity : {},
      checkServerIdentity: () => undefined,
    }
    return { there, here }
  }

  const routes = {
    async direct(chooser, there, here) {
      const server = tls.createServer(there)
      const port = await listen(server)
      return { server, event: 'secureConnection', client: tls.connect({ host, port, ...here }) }
    },

    async 'connected socket'(chooser, there, here) {
      const server = tls.createServer(there)
      const socket = net.connect({ port: await listen(server), host, allowHalfOpen: true })
      await once(socket, 'connect')
      for (let turns = chooser.below(3); turns > 0; turns--) await turn()
      return { server, event: 'secureConnection', client: tls.connect({ socket, ...here }) }
    },

    async 'connecting socket'(chooser, there, here) {
      const server = tls.createServer(there)
      const socket = net.connect({ port: await listen(server), host, allowHalfOpen: true })
      return { server, event: 'secureConnection', client: tls.connect({ socket, ...here }) }
    },

    /** Plain bytes both ways first, as with STARTTLS. */
    async plain(chooser, there, here) {
      const greeting = 1 + chooser.below(100_000)
      const server = net.createServer({ allowHalfOpen: true }, async (socket) => {
        socket.write(Buffer.alloc(greeting, 'g'))
        await taken(socket, 6)
        socket.write('go')
        const secureContext = tls.createSecureContext(there)
        const secure = new tls.TLSSocket(socket, { isServer: true, ...there, secureContext })
        secure.on('secure', () => server.emit('secured', secure))
      })
      const socket = net.connect({ port: await listen(server), host, allowHalfOpen: true })
      await taken(socket, greeting)
      socket.write('start!')
      await taken(socket, 2)
      return { server, event: 'secured', client: tls.connect({ socket, ...here }) }
    },

    async tunnel(chooser, there, here) {
      const server = tls.createServer(there)
      const port = await listen(server)
      const proxy = http.createServer().on('connect', (_request, socket) => {
        const upstream = net.connect({ host, port, allowHalfOpen: true }, () => {
          socket.write('HTTP/1.1 200 OK\r\n\r\n')
          socket.pipe(upstream).pipe(socket)
        })
        // As proxies do: one that is reset resets the other.
        socket.on('error', () => upstream.destroy()).on('close', () => upstream.destroy())
        upstream.on('error', () => socket.destroy()).on('close', () => socket.destroy())
      })
      const proxyPort = await listen(proxy)
      const request = http.request({ host, port: proxyPort, method: 'CONNECT', path: 'x:1', agent: false }).end()
      const [, socket] = await once(request, 'connect')
      return { server, event: 'secureConnection', client: tls.connect({ socket, ...here }), more: proxy }
    },

    async 'within TLS'(chooser, there, here) {
      const inner = tls.createServer(there)
      const outer = tls.createServer({ ...identity, allowHalfOpen: true }, (socket) => {
        socket.on('error', () => undefined)
        inner.emit('connection', socket)
      })
      const socket = tls.connect({
        host, port: await listen(outer), ca: trusted, servername: 'localhost', allowHalfOpen: true,
      })
      socket.on('error', () => undefined)
      return { server: outer, emitter: inner, event: 'secureConnection', client: tls.connect({ socket, ...here }) }
    },
  }

  /** Takes so many bytes, which are all that come, and stops reading. */
  async function taken(socket, size) {
    for (let left = size; left > 0;) {
      const chunk = socket.read()
      if (chunk === null) await until(socket, 'readable')
      else left -= chunk.byteLength
    }
  }

  async function both(exchange, names = Object.keys(routes)) {
    const [client, there, chooser] = [exchange.actor('client'), exchange.actor('server'), exchange.actor('chooser')]
    const chosen = options(chooser)
    const name = chooser.pick(...names)
    client.log('by', name)
    const route = await routes[name](chooser, chosen.there, chosen.here)
    watched(client, route.client)
    const accepted = await new Promise((resolve) => {
      (route.emitter ?? route.server).once(route.event, (socket) => resolve(watched(there, socket)))
    })
    if (route.client.secureConnecting) await once(route.client, 'secureConnect')
    client.log(...described(route.client))
    there.log(...described(accepted))
    const done = async () => {
      await Promise.all([closed(route.client), closed(accepted)])
      await gone(route.server)
      if (route.more !== undefined) await gone(route.more)
    }
    return { client, there, chooser, secure: route.client, accepted, done, name }
  }

  /** Both sides send what they have, and end in either order. */
  async function talk(exchange) {
    const { client, there, chooser, secure, accepted, done } = await both(exchange)
    const clientFirst = chooser.once(2)
    await Promise.all([
      client.converse(secure, 40_000, { endsFirst: clientFirst }),
      there.converse(accepted, 40_000, { endsFirst: !clientFirst }),
    ])
    await done()
  }

  /** One side goes, when what was sent before has been received. */
  async function abort(exchange) {
    const { client, there, chooser, secure, accepted, done } = await both(exchange)
    const exchanged = async (from, to) => {
      // Something: behind it nothing is left of the handshake, which could make a reset of what follows.
      const bytes = Buffer.concat([Buffer.alloc(1), chooser.bytes(30_000)])
      const hasCome = (async () => {
        let size = 0
        const all = promised()
        const count = (chunk) => { if ((size += chunk.byteLength) === bytes.byteLength) all.resolve() }
        to.on('data', count)
        await all.promise
        to.off('data', count).resume()
      })()
      await client.send(from, bytes, { end: false })
      await hasCome
    }
    await exchanged(secure, accepted)
    await exchanged(accepted, secure)
    const [goes, stays] = chooser.once(2) ? [secure, accepted] : [accepted, secure]
    const way = chooser.pick('destroy', 'destroySoon', 'error', 'end')
    client.log(way)
    stays.once('end', () => stays.end())
    if (way === 'destroy') goes.destroy()
    else if (way === 'destroySoon') goes.destroySoon()
    else if (way === 'error') goes.destroy(new Error('on purpose'))
    else goes.end()
    await Promise.all([closed(secure), closed(accepted)])
    client.log(codeOf(secure.errored), secure.bytesRead > 0)
    there.log(codeOf(accepted.errored))
    await done()
  }

  /** One side goes while the other sends more than there is room for. What has come by then is what was sent. */
  async function cutOff(exchange) {
    const plainly = ['direct', 'connected socket', 'plain', 'tunnel']
    const { client, chooser, secure, accepted } = await both(exchange, plainly)
    exchange.logs = {}
    const [from, to] = chooser.once(2) ? [secure, accepted] : [accepted, secure]
    from.resume()
    const bytes = chooser.bytes(2_000_000)
    const limit = chooser.below(bytes.byteLength + 1)
    const bySender = chooser.once(2)
    const received = client.receive(to, { whole: bytes, enough: bySender ? Infinity : limit })
    await client.send(from, bySender ? bytes.subarray(0, limit) : bytes, { end: !bySender })
    if (bySender) from.destroy()
    const text = await received
    to.destroy()
    await Promise.all([closed(secure), closed(accepted)])
    exchange.logs = { what: [text] }
    await Promise.all([...servers].filter((server) => server === accepted.server).map(gone))
  }

  /** A handshake that one side refuses. */
  async function refused(exchange) {
    const [client, there] = [exchange.actor('client'), exchange.actor('server')]
    const way = client.pick(
      'version', 'nobody', 'unknown client', 'protocol', 'untrusted', 'name', 'no TLS', 'server without TLS')
    const asks = way === 'nobody' || way === 'unknown client'
    const versions = way === 'version' ? { minVersion: 'TLSv1.3' } : { maxVersion: client.pick('TLSv1.2', 'TLSv1.3') }
    const protocols = way === 'protocol' ? { ALPNProtocols: ['x'] } : {}
    const asking = asks ? { requestCert: true, rejectUnauthorized: true, ca: [other.cert] } : {}
    const server = way === 'server without TLS'
      ? net.createServer((socket) => {
          socket.on('error', () => undefined).resume().end('plain text that is no record of TLS')
        })
      : tls.createServer({ ...identity, ...versions, ...asking, ...protocols }, (socket) => {
          there.log('secured')
          socket.on('error', () => undefined).on('end', () => socket.end()).resume()
        })
    const over = []
    server.on('connection', (raw) => over.push(closed(raw)))
    server.on('tlsClientError', (error) => there.log('tlsClientError', codeOf(error)))
    const port = await listen(server)
    const socket = way === 'no TLS'
      ? net.connect({ host, port }, () => socket.write('GET / HTTP/1.1\r\n\r\n'))
      : tls.connect({
          host,
          port,
          servername: way === 'name' ? 'other.example' : 'localhost',
          ca: way === 'untrusted' ? [] : trusted,
          ...way === 'version' ? { maxVersion: 'TLSv1.2' } : {},
          ...way === 'unknown client' ? clientIdentity : {},
          ...way === 'protocol' ? { ALPNProtocols: ['y'] } : {},
        })
    client.watch(socket, 'socket', 'secureConnect', 'end', 'error', 'close')
    socket.resume()
    client.log(way)
    await closed(socket)
    await Promise.all([gone(server), ...over])
    // Whom the server has in place of that socket is told behind it.
    for (let turns = 0; turns < 3; turns++) await turn()
  }

  /** Again, with the session of before. */
  async function resumed(exchange) {
    const [client, there, chooser] = [exchange.actor('client'), exchange.actor('server'), exchange.actor('chooser')]
    const { there: thereOptions, here } = options(chooser)
    const server = tls.createServer({ ...thereOptions, allowHalfOpen: false }, (socket) => {
      there.log(...described(socket))
      over.push(closed(watched(there, socket)))
      socket.pipe(socket)
    })
    const over = []
    const port = await listen(server)
    let session
    for (let count = 2 + chooser.below(2); count > 0; count--) {
      const socket = watched(client, tls.connect({ host, port, ...here, session }))
      let sessions = 0
      socket.on('session', (given) => {
        session = given
        sessions++
      })
      await once(socket, 'secureConnect')
      client.log(...described(socket))
      const bytes = client.bytes(100_000)
      const received = client.receive(socket)
      const outcome = await client.send(socket, bytes)
      client.log('received', await received, sessions)
      await closed(socket)
      client.log('sent', outcome())
    }
    await Promise.all([gone(server), ...over])
  }

  return { exchanges: { talk, abort, cutOff, refused, resumed }, close: () => Promise.all([...servers].map(gone)) }
}
