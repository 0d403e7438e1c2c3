import { type Execution, execute, type ExecutionOptions, type Subject } from './execution'
import type { Expectations } from './expectations'
import type { TestFile } from './tree'
import { type Result, verdict } from './verdict'

export interface RunOptions extends ExecutionOptions {
  /** How many run at a time, but for the sequential ones. */
  readonly jobs: number
  /** Which files to run on stock modules too. */
  readonly compare: 'all' | 'failures' | 'none'
  readonly expectations: Expectations
}

/** The only one that runs. */
const alone = 0

/**
 * Runs the files, many at a time as Node's own runner does. What fails then and is not listed is run once more when
 * nothing else does: much in Node's tests is a matter of time. Stock modules have the same chances: what says that they
 * are to blame has to fail twice there as well.
 */
export async function runAll(files: readonly TestFile[], options: RunOptions): Promise<Result[]> {
  const { jobs, compare } = options
  const results: Result[] = []
  const first = async (test: TestFile, slot: number): Promise<void> => {
    const sheaf = await execute(test, 'sheaf', slot, options)
    const expected = options.expectations.get(test.name)
    const compared = compare === 'all' || (compare === 'failures' && sheaf.status === 'skipped')
    results.push({
      test,
      sheaf,
      flaky: false,
      ...expected === undefined ? {} : { expected },
      ...compared ? { stock: await execute(test, 'stock', slot, options) } : {},
    })
  }
  const parallel = files.filter(({ name }) => name.startsWith('parallel/'))
  await Promise.all(Array.from({ length: jobs }, async (_, slot) => {
    for (let test = parallel.shift(); test !== undefined; test = parallel.shift()) await first(test, slot)
  }))
  for (const test of files) if (test.name.startsWith('sequential/')) await first(test, alone)
  for (const [index, result] of results.entries()) results[index] = await again(result, options)
  return results.sort((a, b) => (a.test.name < b.test.name ? -1 : 1))
}

async function again(result: Result, options: RunOptions): Promise<Result> {
  const run = (subject: Subject): Promise<Execution> => execute(result.test, subject, alone, options)
  let { sheaf, stock, flaky } = result
  if (sheaf.status === 'failed' && result.expected === undefined) {
    const second = await run('sheaf')
    flaky = second.status === 'passed'
    if (second.status !== 'failed') sheaf = second
  }
  // A test may also skip itself only the second time.
  const inDoubt = sheaf.status === 'skipped' || verdict({ ...result, sheaf }) === 'failed'
  if (inDoubt && stock === undefined && options.compare !== 'none') stock = await run('stock')
  if (stock?.status === 'failed') stock = await run('stock')
  return { ...result, sheaf, flaky, ...stock === undefined ? {} : { stock } }
}
