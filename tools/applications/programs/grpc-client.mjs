// Unary calls, an error, and streams in each direction and in both.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import grpc from '@grpc/grpc-js'
import { service } from './grpc-service.mjs'

const Client = grpc.makeGenericClientConstructor(service, 'Bytes')
const client = new Client(`127.0.0.1:${process.argv[2]}`, grpc.credentials.createInsecure())
const echo = (message) => new Promise((resolve, reject) => {
  client.echo(message, (error, reply) => {
    if (error) reject(error)
    else resolve(reply)
  })
})
let payloadBytes = 0

await Promise.all(Array.from({ length: 1000 }, async (_, index) => {
  const message = randomBytes(1 + index)
  payloadBytes += message.length
  assert.ok((await echo(message)).equals(message))
}))
await assert.rejects(echo(Buffer.alloc(0)), { code: grpc.status.INVALID_ARGUMENT, details: 'nothing to echo' })

const wanted = Buffer.alloc(4)
wanted.writeUInt32BE(10_000)
let expected = 0
for await (const message of client.count(wanted)) assert.equal(message.readUInt32BE(), expected++)
assert.equal(expected, 10_000)

const sent = createHash('sha256')
const digest = await new Promise((resolve, reject) => {
  const call = client.hash((error, reply) => {
    if (error) reject(error)
    else resolve(reply)
  })
  for (let index = 0; index < 200; index++) {
    const message = randomBytes(50_000)
    payloadBytes += message.length
    sent.update(message)
    call.write(message)
  }
  call.end()
})
assert.ok(digest.equals(sent.digest()))

const chat = client.chat()
const answers = []
chat.on('data', (message) => {
  answers.push(message.readUInt32BE())
  if (answers.length === 1000) chat.end()
})
for (let index = 0; index < 1000; index++) {
  const message = Buffer.alloc(1000)
  message.writeUInt32BE(index)
  chat.write(message)
}
await new Promise((resolve, reject) => {
  chat.on('status', ({ code }) => { if (code === grpc.status.OK) resolve() })
  chat.on('error', reject)
})
assert.deepEqual(answers, Array.from({ length: 1000 }, (_, index) => index))
client.close()
console.log(JSON.stringify({ received: 10_000 * 100, sent: payloadBytes }))
