import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/*
 * Where the kernel refuses io_uring, in every way that it does: applications run on Node's own sockets, and are told
 * why.
 */

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const refuse = here('../../packages/native/test/fixtures/refuse.py')
const program = here('fixtures/every-adapter.mjs')
const doctor = here('../../packages/ring/dist/sheaf.js')

const setup = 425
const enter = 426
const register = 427
/** `IORING_REGISTER_PBUF_RING` as a bit of a mask. */
const bufferRings = 2 ** 22

let directory = ''
let olderKernel = ''

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'sheaf-refusals-'))
  olderKernel = join(directory, 'older-kernel.so')
  const source = here('../../packages/native/test/fixtures/older-kernel.c')
  execFileSync('cc', ['-shared', '-fPIC', '-o', olderKernel, source, '-ldl'])
  writeFileSync(join(directory, 'io_uring_disabled'), '2\n')
})

afterAll(() => {
  rmSync(directory, { recursive: true })
})

interface Refusal {
  /** A command that runs another under it. */
  readonly through?: () => readonly string[]
  readonly environment?: () => Record<string, string>
  /** What is said. */
  readonly reason: RegExp
}

function seccomp(errno: number, ...calls: number[]): readonly string[] {
  return ['python3', refuse, String(errno), calls.join(',')]
}

const refusals: Record<string, Refusal> = {
  'a container\'s seccomp profile forbids it (EPERM)': {
    through: () => seccomp(1, setup, enter, register),
    reason: /forbidden.*seccomp profiles of Docker/,
  },
  'the kernel was built without it (ENOSYS)': {
    through: () => seccomp(38, setup, enter, register),
    reason: /no io_uring_setup/,
  },
  'a sysctl switches it off': {
    // The switch is the whole machine's, so the process gets a file in its place and the refusal that goes with it.
    through: () => {
      const mount = 'mount --bind "$0" /proc/sys/kernel/io_uring_disabled && exec "$@"'
      const file = join(directory, 'io_uring_disabled')
      const unshared = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', mount, file]
      return [...unshared, ...seccomp(1, setup)]
    },
    reason: /kernel\.io_uring_disabled is 2/,
  },
  'the kernel is older than 6.0': {
    through: () => ['setarch', '--uname-2.6'],
    reason: /Linux 2\.6\.\S+ has no multishot receive \(it came with 6\.0\)/,
  },
  'the kernel has no provided-buffer rings': {
    environment: () => ({ LD_PRELOAD: olderKernel, SHEAF_TEST_UNKNOWN_OPERATIONS: String(bufferRings) }),
    reason: /multishot receive failed its self-test/,
  },
  'the environment switches it off': {
    environment: () => ({ SHEAF_DISABLE: '1' }),
    reason: /switched off by SHEAF_DISABLE/,
  },
}

function run(refusal: Refusal, ...parameters: string[]): { status: number | null, output: string, errors: string } {
  const [command, ...rest] = [...refusal.through?.() ?? [], process.execPath, ...parameters]
  const env = { ...process.env, SHEAF_LOG: '1', ...refusal.environment?.() }
  const { status, stdout, stderr } = spawnSync(command, rest, { env, encoding: 'utf8', timeout: 60_000 })
  return { status, output: stdout, errors: stderr }
}

describe.each(Object.entries(refusals))('where %s', (_name, refusal) => {
  it('TCP, Unix and UDP run on Node\'s own sockets, and say why', () => {
    const { status, output, errors } = run(refusal, program)
    expect(errors.split('\n').filter((line) => line.startsWith('sheaf: ')))
      .toEqual([expect.stringMatching(/Node's own sockets instead of io_uring/)])
    expect(errors).toMatch(refusal.reason)
    expect(status).toBe(0)
    expect(JSON.parse(output)).toEqual({
      replies: ['hello', 'hello', 'hello'],
      reason: expect.stringMatching(refusal.reason) as string,
      bytesRead: 6 * 'hello'.length,
      unsupported: 'ERR_SHEAF_UNSUPPORTED',
      usesRing: false,
      insisting: 'ERR_SHEAF_UNAVAILABLE',
    })
  })

  it('the doctor says so, to people and to programs', () => {
    const { status, output } = run(refusal, doctor, 'doctor')
    expect(status).toBe(2)
    expect(output).toMatch(/^Tier node: /m)
    expect(output).toMatch(refusal.reason)
    const json = run(refusal, doctor, 'doctor', '--json')
    expect(json.status).toBe(2)
    expect(JSON.parse(json.output)).toMatchObject({
      tier: 'node', capabilities: { ring: { enabled: false, reason: expect.stringMatching(refusal.reason) as string } },
    })
  })
})

describe('where nothing is refused', () => {
  it('sockets run on io_uring, and nothing is said', () => {
    const { status, output, errors } = run({ reason: /^$/ }, program)
    expect({ status, errors }).toEqual({ status: 0, errors: '' })
    expect(JSON.parse(output)).toEqual({
      replies: ['hello', 'hello', 'hello'], reason: '', bytesRead: 0, unsupported: '', usesRing: true,
      insisting: 'ECONNREFUSED',
    })
  })

  it.each([
    ['', 0, /^Tier full: /m],
    ['SHEAF_BUNDLE=off', 1, /^Tier ring: [^]*no {3}bundled send: switched off by SHEAF_BUNDLE=off/m],
    ['SHEAF_UDP_OFFLOAD=send', 0, /no {3}UDP coalescing on receipt: switched off by SHEAF_UDP_OFFLOAD=send/],
    ['SHEAF_RESTRICTIONS=off', 0, /no {3}rings restricted.*: switched off by SHEAF_RESTRICTIONS=off/],
    ['SHEAF_DEFER_TASKRUN=off', 0, /no {3}deferred task run: switched off by SHEAF_DEFER_TASKRUN=off/],
  ])('with the environment "%s" the doctor ends with %i', (setting, expected, text) => {
    const [name = '', value = ''] = setting.split('=')
    const refusal = { environment: () => name === '' ? {} : { [name]: value } } as unknown as Refusal
    const { status, output } = run(refusal, doctor, 'doctor')
    expect(output).toMatch(text)
    expect(output).toMatch(/open files +\d/)
    expect(status).toBe(expected)
  })

  it('the doctor knows how it is used', () => {
    const refusal = { reason: /^$/ }
    const usage = expect.stringContaining('usage: sheaf doctor') as string
    expect(run(refusal, doctor)).toMatchObject({ status: 64, output: '', errors: usage })
    expect(run(refusal, doctor, 'doctor', '--loud')).toMatchObject({ status: 64, output: '', errors: usage })
    expect(run(refusal, doctor, '--help')).toMatchObject({ status: 0, output: usage, errors: '' })
  })
})
