import express from 'express'

const app = express()
app.get('/', (_request, response) => { response.json({ hello: 'world' }) })
app.post('/echo', express.raw({ limit: '32mb' }), (request, response) => { response.send(request.body) })
const server = app.listen(0, '127.0.0.1', () => { console.log(`listening on ${server.address().port}`) })
process.once('SIGTERM', () => {
  server.close()
  server.closeAllConnections()
})
