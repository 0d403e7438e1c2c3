import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
const tests = execFileSync('git', ['ls-files', 'packages/*/test/*.ts', 'packages/ring/src/testing/*.ts'], { cwd: root })
  .toString().trim().split('\n').map((path) => readFileSync(join(root, path), 'utf8'))

/** What the last column of each row of the bounds' table names. */
const named = readFileSync(join(root, 'docs/limits.md'), 'utf8').split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| what'))
  .flatMap((row) => {
    const names = [...(row.split('|').at(-2) ?? '').matchAll(/`([^`]+)`/g)].map(([, name]) => name)
    return names.length === 0 ? [`no test: ${row}`] : names
  })

it('the table of bounds names tests that there are', () => {
  expect(named.length).toBeGreaterThan(15)
  expect(named.filter((name) => !tests.some((text) => text.includes(name)))).toEqual([])
})
