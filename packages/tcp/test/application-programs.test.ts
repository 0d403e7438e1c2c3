import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, it } from 'vitest'

/** How many programs of each protocol, and which: a seed is a program. */
const from = Number(process.env.SHEAF_PROGRAMS_FROM ?? 1)
const counts = { http: 40, tls: 30, http2: 50 }

/** What came of a program, by the things that it did and by who took part. */
type Logs = Record<string, unknown>

interface Came {
  readonly programs: readonly { readonly seed: number, readonly logs: Logs }[]
  readonly code: number | null
  readonly errors: string
}

async function run(protocol: string, count: number, flags: readonly string[]): Promise<Came> {
  const program = join(import.meta.dirname, 'programs/run.mjs')
  const child = spawn(process.execPath, ['--expose-gc', ...flags, program, protocol, String(from), String(count)])
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => { output += text })
  child.stderr.setEncoding('utf8').on('data', (text: string) => { errors += text })
  const [code] = await once(child, 'close') as [number | null]
  const lines = output.split('\n').filter((line) => line !== '')
  const programs = lines.map((line) => JSON.parse(line) as Came['programs'][0])
  return { programs, code, errors }
}

/** Whose memory changes, what never ends, and what nobody has caught. */
function faults(logs: Logs): unknown[] {
  const { hung, uncaught, ...exchanges } = logs as Record<string, Record<string, unknown>>
  return [hung, uncaught, ...Object.values(exchanges).map(({ memory, thrown }) => memory ?? thrown)]
    .filter((fault) => fault !== undefined)
}

it.each(Object.entries(counts))('random programs of %s come to the same as with node:net', async (protocol, few) => {
  const count = Number(process.env.SHEAF_PROGRAMS ?? few)
  const expected = await run(protocol, count, [])
  const actual = await run(protocol, count, ['--import', '@sheaf/tcp/register'])
  for (const { programs, code, errors } of [expected, actual]) {
    for (const { seed, logs } of programs) expect(faults(logs), `${protocol} ${seed}`).toEqual([])
    expect({ ran: programs.length, code, errors }).toEqual({ ran: count, code: 0, errors: '' })
  }
  for (const [index, { seed, logs }] of actual.programs.entries()) {
    expect(logs, `node --import @sheaf/tcp/register test/programs/run.mjs ${protocol} ${seed}`)
      .toEqual(expected.programs[index].logs)
  }
}, 180_000 + Number(process.env.SHEAF_PROGRAMS ?? 0) * 2000)
