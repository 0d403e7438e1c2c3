import { SocketAddress } from 'node:net'
import { expect, it } from 'vitest'
import { decodeSocketAddress, encodeSocketAddress, familyOf, internet6Family } from '../src/index'

const noZone = (): number => 0

it.each([
  '::', '::1', '::2', '::ffff', '::1:0', '::1.2.3.4', '::ffff:1.2.3.4', '::ffff:0:1.2.3.4', '64:ff9b::1.2.3.4',
  'fe80::1', '1::', '1::2', '1:0:0:2::3', '1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:0', '0:1:0:1:0:1:0:1', 'FE80:0:0::A',
])('%s is written as Node writes it', (address) => {
  const written = decodeSocketAddress(encodeSocketAddress(address, 1, noZone))
  expect(written).toEqual({ address: new SocketAddress({ address, family: 'ipv6' }).address, family: 'IPv6', port: 1 })
})

it('a zone may be any name, but no text that is none', () => {
  for (const zone of ['eth0', 'docker_gwbridge', '100', 'a%b']) {
    expect(familyOf(`fe80::1%${zone}`)).toBe(internet6Family)
    const zones: string[] = []
    encodeSocketAddress(`fe80::1%${zone}`, 1, (name) => zones.push(name))
    expect(zones).toEqual([zone])
  }
  for (const text of ['fe80::1%', '%eth0', 'localhost%eth0', '127.0.0.1%lo']) expect(familyOf(text)).toBeUndefined()
})
