import { fullTier, nodeTier, testMessages, type Tier } from '@sheaf/ring/testing'
import { describe, it } from 'vitest'
import { bind, connect, type UdpSocket } from '../src/index'
import { ownLoopback, portOf, receiveBufferBytes } from './support'

function test(tier: Tier, coalesce: boolean): void {
  testMessages<UdpSocket>(`UDP, ${coalesce ? 'coalesced' : 'one by one'}`, {
    messageBytesMax: 65_507,
    reliable: false,
    async open(where, handlers, options) {
      const place = { host: ownLoopback, receiveBufferBytes, ...where }
      const receiver = await bind({ ...place, coalesce }, handlers.receiver)
      const sender = await connect({ ...place, port: portOf(receiver), ...options }, handlers.sender)
      return { sender, receiver, answer: (chunk) => receiver.send(chunk, sender.localAddress) }
    },
  }, { describe, it }, tier)
}

test(fullTier, true)
test(fullTier, false)
test({ name: 'a ring without offloads', ring: {}, environment: { SHEAF_UDP_OFFLOAD: 'off' } }, false)
test(nodeTier, false)
