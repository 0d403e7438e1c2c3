import { testMessages } from '@sheaf/ring/testing'
import { describe, it } from 'vitest'
import type { UdpSocket } from '../src/index'
import { addressOf, bound, connected } from './support'

for (const coalesce of [true, false]) {
  testMessages<UdpSocket>(`UDP, ${coalesce ? 'coalesced' : 'one by one'}`, {
    messageBytesMax: 65_507,
    reliable: false,
    async open(ring, handlers, options) {
      const receiver = await bound(ring, handlers.receiver, { coalesce })
      const sender = await connected(ring, receiver, handlers.sender, options)
      return { sender, receiver, answer: (chunk) => receiver.send(chunk, addressOf(sender)) }
    },
  }, { describe, it })
}
