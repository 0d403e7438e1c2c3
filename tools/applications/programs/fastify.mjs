import Fastify from 'fastify'

const app = Fastify({ forceCloseConnections: true, bodyLimit: 32_000_000 })
app.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (_request, body, done) => {
  done(null, body)
})
app.get('/', () => ({ hello: 'world' }))
app.post('/echo', (request, reply) => reply.type('application/octet-stream').send(request.body))
await app.listen({ host: '127.0.0.1', port: 0 })
console.log(`listening on ${app.server.address().port}`)
process.once('SIGTERM', () => { void app.close() })
