#!/usr/bin/env node
/* `sheaf doctor`: what Sheaf can do on this machine, and why not more. */
import { parseArgs } from 'node:util'
import type { Tier } from '@sheaf/ring'
import { examine } from './examination'
import { report } from './report'

const usage = `usage: sheaf doctor [--json]

Says what Sheaf can do on this machine, and why not more.

  --json  as JSON, for programs

exit status: 0 io_uring with bundles, 1 io_uring without, 2 Node's own sockets, 64 wrong usage`

const exitCodes: Record<Tier, number> = { full: 0, ring: 1, node: 2 }
const wrongUsage = 64

function main(): number {
  let parsed
  try {
    const options = { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const
    parsed = parseArgs({ options, allowPositionals: true })
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`)
    return wrongUsage
  }
  const { values, positionals } = parsed
  if (values.help === true) {
    console.log(usage)
    return 0
  }
  if (positionals.length !== 1 || positionals[0] !== 'doctor') {
    console.error(usage)
    return wrongUsage
  }
  const examination = examine()
  console.log(values.json === true ? JSON.stringify(examination, undefined, 2) : report(examination))
  return exitCodes[examination.tier]
}

process.exitCode = main()
