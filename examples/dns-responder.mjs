// A DNS responder for a few names of its own. Datagrams are read in batches, without an object for each; what is
// answered in one turn leaves together.
import { Resolver } from 'node:dns/promises'
import { bind } from '@sheaf/udp'

const names = new Map([['printer.home', [192, 168, 0, 7]], ['nas.home', [192, 168, 0, 9]]])
const headerBytes = 12
const nameError = 3

/** The name in the question, and where the question ends (RFC 1035, 4.1.2). */
function question(query) {
  const labels = []
  let at = headerBytes
  for (let length = query[at++]; length !== 0; length = query[at++]) {
    labels.push(query.toString('ascii', at, at += length))
    if (at >= query.byteLength) return undefined
  }
  return { name: labels.join('.').toLowerCase(), end: at + 4 }
}

function answer(query) {
  const asked = query.byteLength > headerBytes ? question(query) : undefined
  if (asked === undefined || asked.end > query.byteLength) return undefined
  const address = names.get(asked.name)
  const record = address === undefined ? [] : [0xc0, headerBytes, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address]
  const response = Buffer.concat([query.subarray(0, asked.end), Buffer.from(record)])
  response.writeUInt16BE(0x8400 | (address === undefined ? nameError : 0), 2)
  response.writeUInt16BE(address === undefined ? 0 : 1, 6)
  response.fill(0, 8, headerBytes)
  return response
}

const server = await bind({ host: '127.0.0.1' }, {
  messages(socket, batch) {
    for (let index = 0; index < batch.count; index++) {
      const response = answer(batch.view(index))
      if (response !== undefined) socket.send(response, batch.from(index))
    }
  },
  error: (_socket, error) => console.error(error.message),
})

const resolver = new Resolver()
resolver.setServers([`127.0.0.1:${server.localAddress.port}`])
for (const name of [...names.keys(), 'nobody.home']) {
  const addresses = await resolver.resolve4(name).catch((error) => error.code)
  console.log(`${name}: ${addresses}`)
}
server.close()
