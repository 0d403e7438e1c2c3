import { createHash } from 'node:crypto'
import grpc from '@grpc/grpc-js'
import { service } from './grpc-service.mjs'

const server = new grpc.Server()
server.addService(service, {
  echo(call, callback) {
    if (call.request.length === 0) callback({ code: grpc.status.INVALID_ARGUMENT, details: 'nothing to echo' })
    else callback(null, call.request)
  },
  async count(call) {
    for (let index = 0; index < call.request.readUInt32BE(); index++) {
      const message = Buffer.alloc(100)
      message.writeUInt32BE(index)
      if (!call.write(message)) await new Promise((resolve) => call.once('drain', resolve))
    }
    call.end()
  },
  hash(call, callback) {
    const hash = createHash('sha256')
    call.on('data', (message) => hash.update(message))
    call.on('end', () => { callback(null, hash.digest()) })
  },
  chat(call) {
    call.on('data', (message) => call.write(message))
    call.on('end', () => call.end())
  },
})
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error
  console.log(`listening on ${port}`)
})
process.once('SIGTERM', () => server.tryShutdown(() => undefined))
