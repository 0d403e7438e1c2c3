import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const node = promisify(execFile)
const program = fileURLToPath(new URL('../src/release/programs/one-class.cjs', import.meta.url))

describe('import and require() of a built package give the same classes', () => {
  it('where require() loads ES modules', async () => {
    const { stderr } = await node(process.execPath, ['--no-warnings', program])
    expect(stderr).toBe('')
  })

  it('where it does not, as before Node 20.19', async () => {
    const { stderr } = await node(process.execPath, ['--no-experimental-require-module', program])
    expect(stderr).toBe('')
  })
})
