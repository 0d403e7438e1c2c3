const assert = require('node:assert')
const { spawnSync } = require('node:child_process')

/** Every tier has an exit status of its own. */
const tiers = ['full', 'ring', 'node']
const { status, stdout, stderr } = spawnSync('npx', ['--no-install', '@sheaf/ring', 'doctor', '--json'])
assert(tiers[status] !== undefined, `npx @sheaf/ring doctor: ${status}\n${stderr}`)
assert.strictEqual(JSON.parse(stdout).tier, tiers[status])
assert.strictEqual(tiers[status] === 'node', process.env.SHEAF_DISABLE === '1', stdout.toString())
