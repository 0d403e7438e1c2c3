import Table from 'cli-table3'
import { families, type Family } from './tree'
import { type Result, type Verdict, verdict, verdicts } from './verdict'

const headings: Record<Verdict, string> = {
  passed: 'passed',
  failed: 'failed',
  unexpected: 'listed, passed',
  internals: 'internals',
  difference: 'differ',
  stock: 'fail on stock',
  skipped: 'skipped',
}

function count(results: readonly Result[], ...wanted: Verdict[]): number {
  return results.filter((result) => wanted.includes(verdict(result))).length
}

/**
 * Files on which Sheaf can be judged, and those of them that pass. Those that Node doesn't pass say nothing, nor those
 * that look into what only Node's own modules have.
 */
export function score(results: readonly Result[]): { passed: number, of: number } {
  const passed = count(results, 'passed', 'unexpected')
  return { passed, of: passed + count(results, 'failed', 'difference') }
}

function percent(results: readonly Result[]): string {
  const { passed, of } = score(results)
  return of === 0 ? '-' : `${(passed / of * 100).toFixed(1)} %`
}

/** A line for each module. */
export function table(results: readonly Result[]): string {
  const rows = new Table({
    head: ['tests of', 'files', ...verdicts.map((name) => headings[name]), 'on Sheaf', 'of them pass'],
    colAligns: ['left', ...verdicts.map(() => 'right' as const), 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  })
  const row = (name: string, some: readonly Result[]): void => {
    const onSheaf = some.filter((result) => result.sheaf.submissions > 0).length
    rows.push([name, some.length, ...verdicts.map((wanted) => count(some, wanted)), onSheaf, percent(some)])
  }
  for (const family of families) {
    const some = results.filter(({ test }) => test.family === family)
    if (some.length > 0) row(family, some)
  }
  row('all', results)
  return rows.toString()
}

/** What a program makes of it. */
export function json(node: string, results: readonly Result[]): string {
  const files = results.map((result) => ({
    name: result.test.name,
    family: result.test.family satisfies Family,
    verdict: verdict(result),
    ...result.flaky ? { flaky: true } : {},
    ...result.expected === undefined ? {} : { expected: result.expected },
    sheaf: result.sheaf,
    ...result.stock === undefined ? {} : { stock: result.stock },
  }))
  return `${JSON.stringify({ node, score: score(results), files }, undefined, 2)}\n`
}

/**
 * What `.ci/run` adds up, in the form that all suites have. Files that are listed, or that Node skips or fails itself,
 * are not among our tests.
 */
export function summary(results: readonly Result[], wrong: number): string {
  const passed = results.filter((result) => verdict(result) === 'passed').map(({ test }) => test.name)
  return `${JSON.stringify({ passed, failed: wrong, skipped: [] }, undefined, 2)}\n`
}
