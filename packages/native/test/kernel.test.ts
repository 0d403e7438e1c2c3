import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { binding, probe, unavailable } from '../src/index.js'
import { fixture, report, run, runFixture, runModule, type ChildOptions } from './child-process.js'
import { Opcode } from './fixtures/queue.mjs'

const setup = 425
const enter = 426
const register = 427

/** Runs Node.js where these system calls fail with `errno`. */
function refusing(errno: number, ...calls: number[]): ChildOptions {
  return { through: ['python3', fixture('refuse.py'), String(errno), calls.join(',')] }
}

describe('the probe', () => {
  it('says what this kernel has', () => {
    const { opcodes, ...rest } = probe()
    expect(rest).toMatchObject({ available: true, reason: '', errno: 0, release: release() })
    expect(opcodes[Opcode.nop]).toBe(1)
    expect(opcodes[Opcode.recv]).toBe(1)
    expect(opcodes.length).toBeLessThan(256)
  })

  it('is what the module exports stand for', () => {
    expect(unavailable).toBe('')
    expect(binding?.probe()).toEqual(probe())
  })

  it.each([
    ['a seccomp profile forbids the set-up', 1, [setup], /io_uring_setup is forbidden.*seccomp profiles of Docker/],
    ['a seccomp profile forbids all three calls', 1, [setup, enter, register], /io_uring_setup is forbidden/],
    ['a seccomp profile forbids registering', 1, [register], /io_uring_register is forbidden/],
    ['the kernel has no io_uring', 38, [setup, enter, register], /no io_uring_setup: it is older than 5\.1/],
    ['there is no memory', 12, [setup], /got no memory.*ulimit -l/],
    ['the process has no descriptor left', 24, [setup], /ulimit -n/],
    ['the system has no descriptor left', 23, [setup], /fs\.file-max/],
    ['the kernel answers something unheard of', 22, [setup], /failed: Invalid argument\./],
  ])('says why not when %s', async (_case, errno, calls, reason) => {
    const answer = report(await runFixture('availability.mjs', refusing(errno, ...calls)))
    expect(answer).toEqual({ bound: false, unavailable: expect.stringMatching(reason) as string, available: false,
      reason: expect.stringMatching(reason) as string, errno, release: release(), opcodes: 0 })
  })

  it('says why not when a seccomp profile allows the set-up only', async (context) => {
    const refused = refusing(1, enter, register)
    // From 22 on libuv uses io_uring itself, and takes that for impossible.
    const node = await runModule('', refused)
    if (node.stderr.includes('libuv: io_uring_enter')) context.skip('this Node.js aborts where it cannot enter a ring')
    const answer = report(await runFixture('availability.mjs', refused))
    expect(answer).toMatchObject({ bound: false, errno: 1,
      reason: expect.stringMatching(/io_uring_enter is forbidden.*seccomp/) as string })
  })

  it.each([
    ['2', /switched off on this system: kernel\.io_uring_disabled is 2/],
    ['1', /kept from this user: kernel\.io_uring_disabled is 1; join the group/],
  ])('says so when kernel.io_uring_disabled is %s', async (value, reason) => {
    // The switch is the whole machine's, so the process gets a file in its place and the refusal that goes with it.
    const folder = mkdtempSync(join(tmpdir(), 'sheaf-native-'))
    try {
      const file = join(folder, 'io_uring_disabled')
      writeFileSync(file, `${value}\n`)
      const mount = 'mount --bind "$0" /proc/sys/kernel/io_uring_disabled && exec "$@"'
      const { through = [] } = refusing(1, setup)
      const unshared = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', mount, file, ...through]
      const answer = report(await runFixture('availability.mjs', { through: unshared }))
      expect(answer).toMatchObject({ bound: false, errno: 1, reason: expect.stringMatching(reason) as string })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('loading', () => {
  const show = 'console.log(JSON.stringify({ bound: n.binding !== undefined, reason: n.unavailable }))'

  it.each([
    ['ESM', `import * as n from '@sheaf/native'; ${show}`],
    ['CommonJS', `import { createRequire } from 'node:module'
      const n = createRequire(process.cwd() + '/x')('@sheaf/native'); ${show}`],
  ])('works from %s', async (_case, text) => {
    expect(report(await runModule(text))).toEqual({ bound: true, reason: '' })
  })

  it('can be switched off in the environment', async () => {
    const text = `import * as n from '@sheaf/native'; ${show}`
    expect(report(await runModule(text, { environment: { SHEAF_DISABLE: '1' } })))
      .toEqual({ bound: false, reason: expect.stringContaining('SHEAF_DISABLE') as string })
    expect(report(await runModule(text, { environment: { SHEAF_DISABLE: '0' } }))).toMatchObject({ bound: true })
  })

  it.each([
    ['is not there', '/nonexistent/sheaf_native.node', /no compiled addon at \/nonexistent\/sheaf_native\.node/],
    ['is no addon', '/etc/hostname', /\/etc\/hostname can't be loaded: /],
  ])('says so when the addon %s', async (_case, path, reason) => {
    const outcome = await runModule(`import * as n from '@sheaf/native'; ${show}`,
      { environment: { SHEAF_NATIVE_BINARY: path } })
    expect(report(outcome)).toEqual({ bound: false, reason: expect.stringMatching(reason) as string })
  })

  it.each([
    ['another system', "Object.defineProperty(process, 'platform', { value: 'darwin' })", /none on darwin/],
    ['Bun', "Object.defineProperty(process.versions, 'bun', { value: '1.3' })", /bun has another/],
  ])('succeeds and says why not on %s', async (_case, pretend, reason) => {
    const outcome = await runModule(`${pretend}; const n = await import('@sheaf/native'); ${show}`)
    expect(report(outcome)).toEqual({ bound: false, reason: expect.stringMatching(reason) as string })
  })

  it('needs nothing but the C library and its own', async () => {
    const outcome = await run(['sh', '-c', 'ldd "$(find prebuilds -name "*.node" | head -1)"'])
    expect(outcome.stdout).not.toContain('liburing')
    expect(outcome.stdout).toMatch(/libc[.]/)
  })

  it('needs no newer C library than Node.js itself', async () => {
    const outcome = await run(['sh', '-c', 'objdump -T "$(find prebuilds -name "*.node" | head -1)"'])
    const versions = [...outcome.stdout.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor))
    expect(versions).not.toEqual([])
    expect(Math.max(...versions)).toBeLessThanOrEqual(28)
  })
})
