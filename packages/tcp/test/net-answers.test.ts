import { once } from 'node:events'
import nodeNet, { type AddressInfo, type Socket } from 'node:net'
import { defaultRing } from '@sheaf/ring'
import { expect, it, onTestFinished } from 'vitest'
import net from '../src/net'

const questions = 20
const answer = 'answer'

/** Sends that answering `questions` takes, one at a time, after the first few. */
async function sends(answerTo: (socket: Socket) => void, answerBytes: number): Promise<number> {
  const server = net.createServer((socket) => socket.on('data', () => answerTo(socket)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // Of Node's: it is no peer on the ring.
  const client = nodeNet.connect((server.address() as AddressInfo).port, '127.0.0.1')
  onTestFinished(async () => {
    client.destroy()
    server.close()
    await once(server, 'close')
  })
  await once(client, 'connect')
  const ask = async (): Promise<void> => {
    client.write('question')
    for (let bytes = 0; bytes < answerBytes;) bytes += (await once(client, 'data') as [Buffer])[0].byteLength
  }
  for (let count = 0; count < 3; count++) await ask()
  const { metrics } = defaultRing()
  const before = metrics.sends
  for (let count = 0; count < questions; count++) await ask()
  return metrics.sends - before
}

it('what a listener answers leaves at once', async () => {
  expect(await sends((socket) => socket.write(answer), answer.length)).toBe(questions)
})

it('what the ticks after a listener write leaves along with what it has written', async () => {
  expect(await sends((socket) => {
    socket.write(answer)
    process.nextTick(() => {
      socket.write(answer)
      process.nextTick(() => socket.write(answer))
    })
  }, 3 * answer.length)).toBe(questions)
})

it('what is written along with a large chunk leaves in one system call with it', async () => {
  const { metrics } = defaultRing()
  const before = metrics.sendsInPlace
  const large = Buffer.alloc(100_000, 'large')
  expect(await sends((socket) => {
    socket.cork()
    socket.write('before')
    socket.write(large)
    socket.write('behind')
    socket.uncork()
  }, large.length + 12)).toBe(0)
  expect(metrics.sendsInPlace - before).toBe(questions + 3)
})
