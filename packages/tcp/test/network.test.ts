import { execFileSync } from 'node:child_process'
import { CabledPrograms } from '@sheaf/ring/testing'
import { expect, it, onTestFinished } from 'vitest'

const prelude = `
  import { connect, listen } from '@sheaf/tcp'
  const { pattern, sha, until } = await import('@sheaf/ring/testing')
  const sizeBytes = 60_000_000
`

it('an interface that goes down and comes up again in the middle of a transfer loses nothing', async (context) => {
  try {
    execFileSync('unshare', ['--net', 'ip', 'link', 'set', 'lo', 'up'], { stdio: 'pipe' })
  } catch {
    context.skip('needs root and iproute2, for a network namespace')
  }
  const pair = await CabledPrograms.start(`${prelude}
    const hash = sha()
    let bytes = 0
    const listener = await listen({ host: '0.0.0.0', port: 7000 }, {
      data(connection, chunk) {
        hash.update(chunk)
        if (bytes < 10_000_000 && bytes + chunk.length >= 10_000_000) {
          console.log('much')
          connection.pause()
          process.stdin.once('data', () => connection.resume())
        }
        bytes += chunk.length
      },
      close(connection, error) { console.log(bytes, hash.digest('hex'), String(error)) },
    })
    console.log('listening')
  `, `${prelude}
    const sent = pattern(sizeBytes, 1)
    process.stdin.once('data', () => connect({ host: given.there, port: 7000 }, {
      open(connection) { connection.write(sent); connection.end() },
      close(connection, error) { console.log(sha().update(sent).digest('hex'), String(error)) },
    }))
  `)
  onTestFinished(() => pair.kill())
  const { first, second } = pair
  expect(await first.line()).toBe('listening')
  second.child.stdin?.write('connect\n')
  expect(await first.line()).toBe('much')
  pair.setCable('down')
  first.child.stdin?.write('resume\n')
  // Long enough for segments to be sent, and sent again, into nothing.
  await new Promise((resolve) => setTimeout(resolve, 700))
  pair.setCable('up')
  const [digest, sendError] = (await second.line()).split(' ')
  expect(sendError).toBe('undefined')
  expect(await first.line()).toBe(`60000000 ${digest} undefined`)
}, 60_000)
