import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, it } from 'vitest'

/*
 * The repository had two files named as the marks of a process, and nothing in it that wrote them there: a test of
 * Node's that had been run by hand.
 */

const preload = fileURLToPath(new URL('../src/conformance/preload.cjs', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'sheaf-preload-'))

afterAll(() => rmSync(directory, { recursive: true }))

function filesOfProcess(marks: string | undefined): string[] {
  const cwd = mkdtempSync(join(directory, 'run-'))
  const env = { ...process.env, SHEAF_CONFORMANCE_MARKS: marks === 'absolute' ? cwd : marks }
  execFileSync(process.execPath, ['--require', preload, '--eval', '0'], { cwd, env })
  return readdirSync(cwd)
}

it('marks what a process has used in the directory of the run', () => {
  expect(filesOfProcess('absolute')).toEqual([expect.stringMatching(/^\d+-0$/)])
})

it.each([
  ['no directory', undefined], ['an empty one', ''], ['a relative one', '.'],
])('leaves nothing with %s', (_name, marks) => {
  expect(filesOfProcess(marks)).toEqual([])
})
