import { execFileSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { bundlesWork } from '../src/self-test'
import { openDescriptors } from '../src/testing/descriptors'
import { binding } from './kernel'

const program = `
  import { createRing } from '@sheaf/ring'
  const { capabilities } = createRing()
  console.log(JSON.stringify(capabilities))
  process.exit()
`

function capabilities(environment: NodeJS.ProcessEnv): Record<string, object> {
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
    env: { ...process.env, ...environment },
    encoding: 'utf8',
  })
  return JSON.parse(output) as Record<string, object>
}

it('bundles pass their self-test on this kernel, and it leaves nothing behind', () => {
  const before = openDescriptors()
  for (let round = 0; round < 20; round++) expect(bundlesWork(binding)).toBe(true)
  expect(openDescriptors()).toBe(before)
})

it('capabilities say what is used', () => {
  const yes = { supported: true, enabled: true, reason: '' }
  expect(capabilities({})).toMatchObject({ ring: yes, bundledSend: yes, bundledReceive: yes })
})

it.each([
  ['off', false, false],
  ['send', true, false],
  ['recv', false, true],
  ['both', true, true],
])('SHEAF_BUNDLE=%s switches bundles, and capabilities say why', (value, send, receive) => {
  const found = capabilities({ SHEAF_BUNDLE: value })
  const expected = (enabled: boolean): object =>
    ({ supported: true, enabled, reason: enabled ? '' : `switched off by SHEAF_BUNDLE=${value}` })
  expect(found.bundledSend).toEqual(expected(send))
  expect(found.bundledReceive).toEqual(expected(receive))
})
