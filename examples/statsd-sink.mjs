// Adds up statsd counters (`name:value|c`) that come as Unix datagrams, as agents on the same machine send them, and
// over UDP. A Unix sender waits for a sink that is busy; over UDP what does not fit is lost.
import { join } from 'node:path'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { datagram } from '@sheaf/unix'
import { bind } from '@sheaf/udp'

const counters = new Map()

const sink = {
  messages(_socket, batch) {
    for (let index = 0; index < batch.count; index++) {
      for (const line of batch.view(index).toString().split('\n')) {
        const [, name, value] = /^([^:]+):(-?\d+)\|c/.exec(line) ?? []
        if (name !== undefined) counters.set(name, (counters.get(name) ?? 0) + Number(value))
      }
    }
  },
  error: (_socket, error) => console.error(error.message),
}

const directory = mkdtempSync(join(tmpdir(), 'statsd-'))
const path = join(directory, 'socket')
const local = await datagram.bind({ path, mode: 0o666, removeStale: true }, sink)
const remote = await bind({ host: '127.0.0.1' }, sink)

// Two senders, one of each kind.
const total = 10_000
const agent = await datagram.connect({ path }, { drain: send })
let sent = 0
function send() {
  while (sent < total) {
    sent++
    // False: the queue is full. What was sent is queued all the same; `drain` says when to go on.
    if (!agent.send(`requests:1|c\nbytes:${sent}|c`)) return
  }
  agent.close()
}
send()
const host = await bind({ host: '127.0.0.1' }, {})
host.send('restarts:2|c', remote.localAddress, () => host.close())

while (counters.get('requests') !== total || counters.size !== 3) await sleep(5)
console.log(Object.fromEntries([...counters].sort()))
local.close()
remote.close()
process.on('exit', () => rmdirSync(directory))
