const assert = require('node:assert')
const { randomBytes } = require('node:crypto')
const { readdirSync, readlinkSync } = require('node:fs')

/**
 * A client sends a megabyte and its FIN to a server of the same process, which sends it back. `path` is that of a Unix
 * socket; without one it is TCP.
 */
exports.echo = async function echo({ connect, defaultRing, listen }, path) {
  const tcp = (port) => ({ host: '127.0.0.1', port })
  const server = await listen(path === undefined ? tcp(0) : { path }, {
    data(transport, chunk) { transport.write(chunk) },
    end(transport) { transport.end() },
  })
  const sent = randomBytes(1 << 20)
  const received = await new Promise((resolve, reject) => {
    const chunks = []
    connect(path === undefined ? tcp(server.address.port) : { path }, {
      open(transport) {
        for (let at = 0; at < sent.length; at += 4096) transport.write(sent.subarray(at, at + 4096))
        transport.end()
      },
      data(transport, chunk) { chunks.push(chunk) },
      close(transport, error) {
        if (error) reject(error)
        else resolve(Buffer.concat(chunks))
      },
    }).catch(reject)
  })
  assert(received.equals(sent), `${received.length} other bytes came back`)
  await server.close()
  if (process.env.SHEAF_DISABLE === '1') {
    assert(!usesRing(), 'io_uring is open in this process')
    return
  }
  assert(usesRing(), 'no io_uring is open in this process')
  const { bytesRead, bytesWritten } = defaultRing().metrics
  assert.deepStrictEqual({ bytesRead, bytesWritten }, { bytesRead: 2 * sent.length, bytesWritten: 2 * sent.length })
}

/** Whether this process has a ring open. */
function usesRing() {
  return readdirSync('/proc/self/fd').some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).includes('io_uring')
    } catch {
      // The descriptor that listed the others is closed by now.
      return false
    }
  })
}
