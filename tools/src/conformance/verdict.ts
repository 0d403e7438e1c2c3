import type { Execution } from './execution'
import { type Expectation, kinds } from './expectations'
import type { TestFile } from './tree'

/** What became of one file. */
export interface Result {
  readonly test: TestFile
  readonly sheaf: Execution
  /** Known only if it was run there too. */
  readonly stock?: Execution
  /** It failed at first, and passed when it was run again, alone. */
  readonly flaky: boolean
  /** It is listed as failing. */
  readonly expected?: Expectation
}

/**
 * - `passed`, `skipped`: by the test itself
 * - `failed`: it fails, and is not listed
 * - `unexpected`: it passes, and is listed: the list is out of date
 * - `internals`, `difference`: it fails, and is listed as that
 * - `stock`: it fails on Node's own modules too, so it says nothing
 */
export const verdicts = ['passed', 'failed', 'unexpected', ...kinds, 'stock', 'skipped'] as const
export type Verdict = typeof verdicts[number]

export function verdict({ sheaf, stock, expected }: Omit<Result, 'test' | 'flaky'>): Verdict {
  if (stock?.status === 'failed') return 'stock'
  if (sheaf.status === 'failed') return expected?.kind ?? 'failed'
  if (expected !== undefined) return 'unexpected'
  // Skipping what the stock modules can do is no way to pass.
  if (sheaf.status === 'skipped') return stock?.status === 'passed' ? 'failed' : 'skipped'
  return 'passed'
}
