import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

/* Where Sheaf runs on Node's own sockets, benchmarks compared those with themselves, and said 0.86 × the echoes. */

function run(environment: NodeJS.ProcessEnv, name: string, ...words: string[]) {
  const program = fileURLToPath(new URL(`../dist/${name}.js`, import.meta.url))
  const env = { ...process.env, ...environment }
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...words], { env, encoding: 'utf8' })
  return { status, output: stdout, errors: stderr }
}

const benchmarks = ['echo', 'datagram', 'local', 'drop-in', 'idle', 'applications']

it.each(benchmarks)('%s measures nothing without io_uring', (name) => {
  const { status, output, errors } = run({ SHEAF_DISABLE: '1' }, name)
  expect(errors).toMatch(/^error: there is no io_uring, .* switched off by SHEAF_DISABLE/)
  expect({ status, output }).toEqual({ status: 1, output: '' })
})

it.each([['echo-server', 'sheaf'], ['datagram-receiver', 'sheaf', 'receive', '127.0.0.1', '1']])(
  '%s, on its own, does not fall back to Node\'s sockets', (name, ...words) => {
    const { status, output, errors } = run({ SHEAF_DISABLE: '1' }, name, ...words)
    expect(errors).toContain('ERR_SHEAF_UNAVAILABLE')
    expect({ status, output }).toEqual({ status: 1, output: '' })
  })

it.each([['datagram', '--only'], ['drop-in'], ['applications'], ['mutate', '--only']])(
  '%s is told a name that there is not', (name, ...words) => {
    const { status, output, errors } = run({}, name, ...words, 'nonsense')
    expect(errors).toMatch(/^error: nothing has 'nonsense' in its name\. There are:\n {2}\S/)
    expect({ status, output }).toEqual({ status: 1, output: '' })
  })

it.each([
  ['echo', '--rounds', 'x'], ['echo', '--size', '0'], ['datagram', '--seconds', '-1'], ['datagram', '--receiver', 'fo'],
  ['local', '--rounds', '1.5'], ['drop-in', '--rounds', ''], ['idle', '--connections', '1e'],
  ['applications', '--seconds', 'x'], ['conformance', '--jobs', 'x'], ['simulate', '--steps', '0'],
])('%s is given %s %s, which it can\'t be', (name, option, value) => {
  const { status, output, errors } = run({}, name, `${option}=${value}`)
  expect(errors).toMatch(new RegExp(`^error: option '${option} .*' argument '${value}' is invalid`))
  expect({ status, output }).toEqual({ status: 1, output: '' })
})
