/** Runs Node's own tests with Sheaf beneath Node's modules, and judges by the same files on stock modules. */
import { execFileSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command, InvalidArgumentError } from 'commander'
import { type Expectations, readExpectations } from './expectations'
import { type Execution, execute, type Subject } from './execution'
import { json, score, table } from './report'
import { type TestFile, testFiles } from './tree'
import { type Result, verdict } from './verdict'

interface Flags {
  readonly tree: string
  readonly node: string
  readonly jobs: number
  readonly timeout: number
  readonly compare: 'all' | 'failures' | 'none'
  readonly list?: string
  readonly expectations: string
  readonly out?: string
  readonly output: boolean
}

function positive(text: string): number {
  const value = Number(text)
  if (!(Number.isInteger(value) && value > 0)) throw new InvalidArgumentError(`${text} is not a positive integer.`)
  return value
}

const command = new Command('conformance')
  .description("Runs Node's own socket tests on Sheaf. Exits with 1 unless exactly the files that are listed fail.")
  .argument('[names...]', 'parts of names, as net-server or parallel/test-http-; all tests if none is given')
  .requiredOption('--tree <directory>', "what has Node's test directory in it (conformance/fetch-tree.sh gets one)")
  .option('--list <file>', 'only the files named in it, one a line')
  .option('--node <path>', 'the Node to test with', process.execPath)
  .option('--jobs <n>', 'tests at a time, but for the sequential ones', positive, 2 * availableParallelism())
  .option('--timeout <s>', 'for one test', positive, 60)
  .option('--compare <which>', 'which files to run on stock modules too: all, failures, none', 'failures')
  .option('--expectations <file>', 'the files that cannot pass, with the reasons',
    fileURLToPath(new URL('../conformance/expectations.json', import.meta.url)))
  .option('--out <file>', 'write everything there, as JSON')
  .option('--output', 'print what failing tests print', false)
  .parse()
const flags = command.opts<Flags>()

const version = execFileSync(flags.node, ['--version'], { encoding: 'utf8' }).trim()
const major = Number(/^v(\d+)/.exec(version)?.[1])
const expectations: Expectations = readExpectations(flags.expectations, major)
const options = { node: flags.node, tree: resolve(flags.tree), timeoutMs: flags.timeout * 1000 }

function selected(): TestFile[] {
  const files = testFiles(options.tree, command.args)
  if (flags.list === undefined) return files
  const lines = readFileSync(flags.list, 'utf8').split('\n')
  const names = new Set(lines.map((line) => line.split(/[\t#]/, 1)[0].trim()))
  return files.filter(({ name }) => names.has(name))
}

/** Runs a test once more when it fails, on a machine that is busy with others. */
async function attempt(test: TestFile, subject: Subject, slot: number): Promise<{ run: Execution, flaky: boolean }> {
  const first = await execute(test, subject, slot, options)
  if (first.status !== 'failed' || expectations.has(test.name)) return { run: first, flaky: false }
  const second = await execute(test, subject, slot, options)
  return second.status === 'failed' ? { run: first, flaky: false } : { run: second, flaky: true }
}

async function judge(test: TestFile, slot: number): Promise<Result> {
  const { run: sheaf, flaky } = await attempt(test, 'sheaf', slot)
  const compared = flags.compare === 'all' || (flags.compare === 'failures' && sheaf.status !== 'passed')
  const expected = expectations.get(test.name)
  return {
    test,
    sheaf,
    flaky,
    ...expected === undefined ? {} : { expected },
    ...compared ? { stock: (await attempt(test, 'stock', slot)).run } : {},
  }
}

const results: Result[] = []

async function conclude(test: TestFile, slot: number): Promise<void> {
  const result = await judge(test, slot)
  results.push(result)
  if (result.flaky) console.log(`flaky       ${test.name}`)
  switch (verdict(result)) {
    case 'failed':
      console.log(`failed      ${test.name}: ${result.sheaf.reason}`)
      if (flags.output) console.log(result.sheaf.output?.replace(/^/gm, '    '))
      break
    case 'unexpected':
      console.log(`passed      ${test.name}, though listed: ${result.expected}`)
      break
    case 'passed':
    case 'expected':
    case 'stock':
    case 'skipped':
  }
}

const files = selected()
if (files.length === 0) command.error('no such tests')
const parallel = files.filter(({ name }) => name.startsWith('parallel/'))
await Promise.all(Array.from({ length: flags.jobs }, async (_, slot) => {
  for (let test = parallel.shift(); test !== undefined; test = parallel.shift()) await conclude(test, slot)
}))
for (const test of files) if (test.name.startsWith('sequential/')) await conclude(test, 0)

results.sort((a, b) => (a.test.name < b.test.name ? -1 : 1))
if (flags.out !== undefined) writeFileSync(flags.out, json(version, results))
console.log(table(results))
const wrong = results.filter((result) => ['failed', 'unexpected'].includes(verdict(result))).length
const { passed, of } = score(results)
console.log(`conformance: Node ${version}: ${passed} of ${of} files pass on Sheaf; ${wrong} not as listed`)
process.exitCode = wrong > 0 ? 1 : 0
