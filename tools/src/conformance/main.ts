/** Runs Node's own tests with Sheaf beneath Node's modules, and judges by the same files on stock modules. */
import { execFileSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { positive } from '../integer'
import { judgeClasses } from './classes'
import { readExpectations } from './expectations'
import { json, score, summary, table } from './report'
import { runAll, type RunOptions } from './run'
import { type TestFile, testFiles } from './tree'
import { type Result, verdict } from './verdict'

interface Flags {
  readonly tree: string
  readonly node: string
  readonly jobs: number
  readonly timeout: number
  readonly compare: RunOptions['compare']
  readonly list?: string
  readonly expectations: string
  readonly out?: string
  readonly summary?: string
  readonly output: boolean
}

const command = new Command('conformance')
  .description("Runs Node's own socket tests on Sheaf. Exits with 1 unless exactly the files that are listed fail, "
    + 'and enough pass.')
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
  .option('--summary <file>', 'write there what CI adds up')
  .option('--output', 'print what failing tests print', false)
  .parse()
const flags = command.opts<Flags>()

const version = execFileSync(flags.node, ['--version'], { encoding: 'utf8' }).trim()
const major = Number(/^v(\d+)/.exec(version)?.[1])
const expectations = readExpectations(flags.expectations, major)
const tree = resolve(flags.tree)

function selected(): TestFile[] {
  const files = testFiles(tree, command.args)
  if (flags.list === undefined) return files
  const lines = readFileSync(flags.list, 'utf8').split('\n')
  const names = new Set(lines.map((line) => line.split(/[\t#]/, 1)[0].trim()))
  return files.filter(({ name }) => names.has(name))
}

function tell(result: Result): void {
  const { test: { name }, sheaf, stock, expected, flaky } = result
  if (flaky) console.log(`flaky       ${name}`)
  switch (verdict(result)) {
    case 'failed':
      console.log(`failed      ${name}: ${sheaf.reason}`)
      if (flags.output) console.log(sheaf.output?.replace(/^/gm, '    '))
      break
    case 'unexpected':
      console.log(`passed      ${name}, though listed: ${expected?.reason}`)
      break
    case 'stock':
      console.log(`stock       ${name}: ${stock?.reason}`)
      break
    case 'passed':
    case 'internals':
    case 'difference':
    case 'skipped':
  }
}

const files = selected()
if (files.length === 0) command.error('no such tests')
const whole = command.args.length === 0 && flags.list === undefined
const names = new Set(files.map(({ name }) => name))
const missing = whole ? [...expectations.keys()].filter((name) => !names.has(name)) : []
const results = await runAll(files, {
  node: flags.node, tree, timeoutMs: flags.timeout * 1000, jobs: flags.jobs, compare: flags.compare, expectations,
})

for (const result of results) tell(result)
for (const name of missing) console.log(`missing     ${name}, which is listed`)
console.log(table(results))
const judged = judgeClasses(results)
for (const { line } of judged) console.log(line)
// Of a few files it says nothing how many of them pass, say anything, or use a ring.
const below = whole ? judged.flatMap(({ complaints }) => complaints) : []
for (const complaint of below) console.log(complaint)
const notAsListed = results.filter((result) => ['failed', 'unexpected'].includes(verdict(result))).length
const wrong = notAsListed + missing.length + below.length
if (flags.out !== undefined) writeFileSync(flags.out, json(version, results))
if (flags.summary !== undefined) {
  mkdirSync(dirname(flags.summary), { recursive: true })
  writeFileSync(flags.summary, summary(results, wrong))
}
const { passed, of } = score(results)
console.log(`conformance: Node ${version}: ${passed} of ${of} files pass on Sheaf; ${wrong} not as listed`)
process.exitCode = wrong > 0 ? 1 : 0
