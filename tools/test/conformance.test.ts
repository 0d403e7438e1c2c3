import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { judgeClasses } from '../src/conformance/classes'
import type { Execution } from '../src/conformance/execution'
import type { Family } from '../src/conformance/tree'
import { type Result, verdict, type Verdict } from '../src/conformance/verdict'

type Status = Execution['status']

function execution(status: Status, submissions = 1): Execution {
  return { status, submissions, milliseconds: 1 }
}

function result(sheaf: Execution, stock?: Status, family: Family = 'net'): Result {
  const test = { name: 'parallel/test-made-up.js', family, flags: [], environment: {} }
  return { test, sheaf, flaky: false, ...stock !== undefined && { stock: execution(stock) } }
}

describe('the verdict on a file', () => {
  it.each<[Status, Status | undefined, Verdict]>([
    ['passed', undefined, 'passed'],
    ['passed', 'passed', 'passed'],
    ['passed', 'failed', 'stock'],
    ['failed', undefined, 'failed'],
    ['failed', 'passed', 'failed'],
    ['failed', 'skipped', 'failed'],
    ['failed', 'failed', 'stock'],
    ['skipped', 'skipped', 'skipped'],
    ['skipped', 'passed', 'failed'],
  ])('that has %s on Sheaf, and %s on stock modules, is %s', (sheaf, stock, expected) => {
    expect(verdict(result(execution(sheaf), stock))).toBe(expected)
  })

  it('that is listed and passes is that the list is out of date', () => {
    const expected = { kind: 'internals', reason: 'made up' } as const
    expect(verdict({ sheaf: execution('passed'), expected })).toBe('unexpected')
    expect(verdict({ sheaf: execution('failed'), expected })).toBe('internals')
  })
})

describe('a class of tests', () => {
  const complaintsOf = (...results: Result[]): readonly string[] =>
    judgeClasses(results).flatMap(({ complaints }) => complaints)
  const passing = Array.from({ length: 99 }, () => result(execution('passed')))

  it('is content when nearly all pass', () => {
    expect(complaintsOf(...passing, result(execution('failed'), 'passed'))).toEqual([])
  })

  it('complains when too many fail', () => {
    const failing = Array.from({ length: 9 }, () => result(execution('failed'), 'passed'))
    expect(complaintsOf(...passing, ...failing)).toEqual(['net: fewer than 98 % pass'])
  })

  it.each(['failed', 'skipped'] as const)('complains when too many have %s on stock modules', (status) => {
    const silent = Array.from({ length: 9 }, () => result(execution(status), status))
    expect(complaintsOf(...passing, ...silent)).toEqual(['net: more than 5 % say nothing on this machine'])
  })

  it('complains when no file has used a ring', () => {
    const onNode = result(execution('passed', 0), undefined, 'dgram')
    expect(complaintsOf(...passing, onNode)).toEqual(['dgram: none has used a ring'])
  })
})

/** The first time on either it does this, and says so; from the second on the other. */
const once = (first: string, then: string): string => `
  const { existsSync, writeFileSync } = require('fs')
  const mark = __filename + (onSheaf ? '-sheaf' : '-stock')
  if (!existsSync(mark)) {
    writeFileSync(mark, '')
    ${first}
  } else {
    ${then}
  }
`
const fail = 'throw new Error("made to fail")'
const skip = 'console.log("1..0 # Skipped: made to skip")'

/** Runs tests that are made up. @param bodies by name; `onSheaf` is what it says. */
function conformance(bodies: Record<string, string>, ...names: string[]): { status: number | null, output: string } {
  const tree = mkdtempSync(join(tmpdir(), 'sheaf-made-up-tests-'))
  onTestFinished(() => { rmSync(tree, { recursive: true }) })
  for (const folder of ['parallel', 'sequential']) mkdirSync(join(tree, 'test', folder), { recursive: true })
  const files = Object.entries(bodies).map(([name, body]) => [`test-net-${name}.js`, body] as const)
  for (const [file, body] of files) {
    const onSheaf = 'const onSheaf = process.env.SHEAF_CONFORMANCE_MARKS !== undefined'
    writeFileSync(join(tree, 'test/parallel', file), `require('net'); ${onSheaf}\n${body}`)
  }
  const program = fileURLToPath(new URL('../dist/conformance.js', import.meta.url))
  const expectations = join(tree, 'expectations.json')
  writeFileSync(expectations, '[]')
  const words = [program, '--tree', tree, '--expectations', expectations, '--jobs', '2', ...names]
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8', timeout: 60_000 })
  return { status, output: stdout + stderr }
}

describe('conformance', () => {
  it('a file that fails twice on Sheaf and once on stock modules has failed', () => {
    const { status, output } = conformance({ busy: `if (onSheaf) ${fail}\n${once(fail, '')}` }, 'test-net')
    expect(output).toMatch(/^failed {6}parallel\/test-net-busy\.js: Error: made to fail$/m)
    expect(status).toBe(1)
  })

  it('a file that fails on Sheaf, and skips itself there when it is run again, has failed', () => {
    const { status, output } = conformance({ skips: `if (onSheaf) {${once(fail, skip)}}` }, 'test-net')
    expect(output).toMatch(/^failed {6}parallel\/test-net-skips\.js: made to skip$/m)
    expect(status).toBe(1)
  })

  it('a file that fails once is named as flaky', () => {
    const { status, output } = conformance({ flaky: once(fail, '') }, 'test-net')
    expect(output).toMatch(/^flaky {7}parallel\/test-net-flaky\.js$/m)
    expect(status).toBe(0)
  })

  it('a file that fails twice on both is named, and says nothing', () => {
    const { status, output } = conformance({ lacking: fail }, 'test-net')
    expect(output).toMatch(/^stock {7}parallel\/test-net-lacking\.js: Error: made to fail$/m)
    expect(status).toBe(0)
  })

  it('a whole run of which most says nothing fails', () => {
    const { status, output } = conformance({ lacking: fail, well: '' })
    expect(output).toMatch(/^net: more than 5 % say nothing on this machine$/m)
    expect(output).toMatch(/^net: none has used a ring$/m)
    expect(status).toBe(1)
  })
})
