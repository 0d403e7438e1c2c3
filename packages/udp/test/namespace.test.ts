import { execFileSync } from 'node:child_process'
import { expect, it, type TestContext } from 'vitest'
import { run } from './program'

/** What network set-up only a namespace of its own can have. */
function namespaceWith(context: TestContext, ...commands: string[]): string[] {
  try {
    execFileSync('unshare', ['-n', 'ip', 'link', 'set', 'lo', 'up'], { stdio: 'pipe' })
  } catch {
    context.skip('needs root and iproute2, for a network namespace')
  }
  const script = ['ip link set lo up', ...commands, 'exec "$0" "$@"'].join(' && ')
  return ['unshare', '-n', 'sh', '-c', script]
}

const cable = ['ip link add d0 type veth peer name d1', 'ip link set d0 up', 'ip link set d1 up']

it('multicast over IPv6', async (context) => {
  const wrapper = namespaceWith(
    context,
    ...cable,
    'ip -6 addr add fd00::1/64 dev d0 nodad',
  )
  const ended = await run(`
    const socket = await bind({ host: '::' }, {
      message(t, chunk, from) {
        console.log(String(chunk), from.address)
        t.close()
      },
    })
    const sender = await bind({ host: 'fd00::1' }, { error(t, error) { throw error } })
    sender.setMulticastInterface('d0')
    sender.setMulticastTimeToLive(1)
    socket.addMembership('ff12::1234', 'FD00:0::1')
    sender.send('six', { address: 'ff12::1234', port: socket.localAddress.port }, () => sender.close())
  `, 0, wrapper)
  expect(ended).toMatchObject({ code: 0, errors: '', output: 'six fd00::1\n' })
})

it('datagrams larger than the path takes are sent in fragments, not bundled, and the others go on in bundles',
  async (context) => {
    const wrapper = namespaceWith(context, 'ip link set lo mtu 1500')
    const ended = await run(`
      import { createRing } from '@sheaf/udp'
      const ring = createRing()
      let sum = 0
      let count = 0
      const socket = await bind({ host: '127.0.0.1', ring }, {
        message(t, chunk) { sum += chunk.length; count++ },
      })
      const to = { address: '127.0.0.1', port: socket.localAddress.port }
      const sender = await bind({ host: '127.0.0.1', ring }, { error(t, error) { throw error } })
      const settled = () => new Promise((resolve) => setTimeout(resolve, 30))
      for (const size of [3000, 3000, 1400]) {
        for (let index = 0; index < 10; index++) sender.send(Buffer.alloc(size), to)
        await settled()
      }
      const { segmentationRefusals, sends } = ring.metrics
      console.log(count, sum, segmentationRefusals, sends, ring.capabilities.segmentedSend.enabled)
      ring.close()
    `, 0, wrapper)
    expect(ended).toMatchObject({ code: 0, errors: '', output: '30 74000 1 21 true\n' })
  })

it('a path that takes little is no reason to send nobody bundles', async (context) => {
  const wrapper = namespaceWith(context, 'ip link set lo mtu 900')
  const ended = await run(`
    import { createRing } from '@sheaf/udp'
    const ring = createRing()
    let count = 0
    const socket = await bind({ host: '127.0.0.1', ring }, { message() { count++ } })
    const to = { address: '127.0.0.1', port: socket.localAddress.port }
    const sender = await bind({ host: '127.0.0.1', ring }, { error(t, error) { throw error } })
    for (let index = 0; index < 10; index++) sender.send(Buffer.alloc(1000), to)
    await new Promise((resolve) => setTimeout(resolve, 50))
    console.log(count, ring.metrics.segmentationRefusals, ring.capabilities.segmentedSend.enabled)
    ring.close()
  `, 0, wrapper)
  expect(ended).toMatchObject({ code: 0, errors: '', output: '10 1 true\n' })
})

it.for(['d0', 'docker_gwbridge', '100'])(
  'the sender on a link is told with the name of the interface, and can be answered: %s', async (name, context) => {
    const wrapper = namespaceWith(
      context,
      `ip link add ${name} type veth peer name peer`, `ip link set ${name} up`, 'ip link set peer up',
      `ip -6 addr add fe80::1/64 dev ${name} nodad`,
    )
    const ended = await run(`
      const socket = await bind({ host: '::' }, {
        message(t, chunk, from) {
          console.log(String(chunk), from.address)
          if (String(chunk) === 'question') t.send('answer', from, () => t.close())
        },
      })
      const asks = await bind({ host: 'fe80::1%${name}' }, {
        message(t, chunk, from) {
          console.log(String(chunk), from.address, t.localAddress.address)
          t.close()
        },
      })
      asks.send('question', { address: 'fe80::1%${name}', port: socket.localAddress.port })
    `, 0, wrapper)
    const address = `fe80::1%${name}`
    const output = `question ${address}\nanswer ${address} ${address}\n`
    expect(ended).toMatchObject({ code: 0, errors: '', output })
  })

it('an interface that is made anew is sent by', async (context) => {
  const wrapper = namespaceWith(context)
  const ended = await run(`
    import { execSync } from 'node:child_process'
    const socket = await bind({ host: '::' }, {})
    const to = { address: 'fe80::2%d0', port: 9 }
    for (let round = 0; round < 2; round++) {
      execSync('ip link add d0 type veth peer name d1 && ip link set d0 up && ip link set d1 up')
      execSync('ip -6 addr add fe80::1/64 dev d0 nodad')
      for (const text of ['a', 'b']) {
        console.log(await new Promise((resolve) => socket.send(text, to, (error) => resolve(error?.code ?? 'sent'))))
      }
      execSync('ip link delete d0')
    }
    console.log(await new Promise((resolve) => socket.send('c', to, (error) => resolve(error?.code))))
    socket.close()
  `, 0, wrapper)
  expect(ended).toMatchObject({ code: 0, errors: '', output: 'sent\nsent\nsent\nsent\nENETUNREACH\n' })
})

it.for(['ring', 'node'])('multicast by the address of an interface without a cable: %s', async (backend, context) => {
  const wrapper = namespaceWith(
    context, 'ip link add d0 type veth peer name p0', 'ip addr add 10.0.0.1/24 dev d0', 'ip link set d0 up',
  )
  const ended = await run(`
    const [first, second] = await Promise.all([1, 2].map(() => bind({ host: '0.0.0.0', backend: '${backend}' }, {})))
    first.addMembership('239.1.2.3', '10.0.0.1')
    first.dropMembership('239.1.2.3', '${backend === 'ring' ? 'd0' : '10.0.0.1'}')
    first.addSourceSpecificMembership('10.0.0.9', '239.1.2.3', '10.0.0.1')
    first.dropSourceSpecificMembership('10.0.0.9', '239.1.2.3', '10.0.0.1')
    second.setMulticastInterface('10.0.0.1')
    first.close()
    second.close()
  `, 0, wrapper)
  expect(ended).toMatchObject({ code: 0, errors: '', output: '' })
})

it('the interface by which multicast leaves is that of both families', async (context) => {
  const wrapper = namespaceWith(
    context,
    ...['0', '2'].flatMap((number) => [
      `ip link add d${number} type veth peer name p${number}`, `ip link set d${number} up`, `ip link set p${number} up`,
      `ip addr add 10.0.${number}.1/24 dev d${number}`, `ip addr add 10.0.${number}.2/24 dev p${number}`,
    ]),
    'ip route add default dev d0',
    'sysctl -qw net.ipv4.conf.all.accept_local=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.p2.rp_filter=0',
  )
  const ended = await run(`
    const socket = await bind({ host: '0.0.0.0' }, {
      message(t, chunk) {
        console.log(String(chunk))
        t.close()
      },
    })
    socket.addMembership('224.1.2.3', '10.0.2.2')
    const sender = await bind({}, { error(t, error) { throw error } })
    const to = { address: '224.1.2.3', port: socket.localAddress.port }
    sender.send('by the default route', to)
    await new Promise((resolve) => setTimeout(resolve, 30))
    sender.setMulticastInterface('d2')
    sender.send('by the other', to, () => sender.close())
  `, 0, wrapper)
  expect(ended).toMatchObject({ code: 0, errors: '', output: 'by the other\n' })
})

it.for(['connect', 'disconnect'])(
  'what waits in a full send buffer for the peer does not go to another: %s', async (how, context) => {
    const wrapper = namespaceWith(context, 'tc qdisc add dev lo root tbf rate 8mbit burst 3kb latency 5s')
    const ended = await run(`
      const counts = [0, 0]
      let last = -1
      const [to, other] = await Promise.all([0, 1].map((which) => bind({ host: '127.0.0.1' }, {
        message(t, chunk) {
          counts[which]++
          if (chunk.readUInt32BE(0) !== ++last) console.log('out of order')
        },
      })))
      const socket = await connect({ host: '127.0.0.1', port: to.localAddress.port, sendBufferBytes: 4096 }, {
        error(t, error) { throw error },
      })
      let left = 200
      await new Promise((resolve) => {
        const sent = () => --left === 0 && resolve()
        for (let index = 0; index < 200; index++) {
          const datagram = Buffer.alloc(1000 + index % 3)
          datagram.writeUInt32BE(index)
          socket.send(datagram, sent)
        }
        if (${how === 'connect'}) socket.connect({ address: '127.0.0.1', port: other.localAddress.port })
        else socket.disconnect()
        console.log(socket.messagesQueued > 100)
      })
      while (counts[0] < 200 && counts[1] === 0) await new Promise(setImmediate)
      console.log(counts.join())
      for (const each of [to, other, socket]) each.close()
    `, 0, wrapper)
    expect(ended).toMatchObject({ code: 0, errors: '', output: 'true\n200,0\n' })
  })

it('a socket of dgram is closed although the network takes hardly anything', async (context) => {
  const wrapper = namespaceWith(
    context,
    ...cable,
    'ip addr add 10.77.0.1/24 dev d0',
    'ip neigh add 10.77.0.2 lladdr 02:00:00:00:00:02 dev d0',
    // A datagram a second.
    'tc qdisc add dev d0 root tbf rate 8kbit burst 4kb limit 100mb',
  )
  const ended = await run(`
    import dgram from '@sheaf/udp/dgram'
    const socket = dgram.createSocket('udp4')
    await new Promise((resolve) => socket.bind(0, resolve))
    for (let count = 1000; count > 0; count--) socket.send(Buffer.alloc(1000), 9999, '10.77.0.2')
    await new Promise((resolve) => setImmediate(resolve))
    const queued = socket.getSendQueueCount()
    socket.close(() => console.log(queued > 0, 'closed'))
  `, 0, wrapper)
  expect(ended).toMatchObject({ code: 0, errors: '', output: 'true closed\n' })
})
