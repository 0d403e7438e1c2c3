import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { defineConfig } from 'vitest/config'
import type { Reporter, TestModule, TestRunEndReason, Vitest } from 'vitest/node'

// Nx asks for colours, and programs that tests start would print them where tests read numbers.
delete process.env.FORCE_COLOR
delete process.env.NO_COLOR

/** Runs on other versions of Node.js are reported beside the one that has all tests. */
const reportPath = `test-results/${process.env.SHEAF_TEST_REPORT ?? 'summary'}.json`

/** What `.ci/run` adds up over all packages. */
interface TestSummary {
  passed: string[]
  failed: number
  skipped: { name: string, reason: string }[]
}

/**
 * Prints why tests were skipped, and fails the run when one does not say: `context.skip('needs root')` is the way, as
 * `it.skip` and `skipIf` keep their reason to themselves.
 */
class SummaryReporter implements Reporter {
  #path = reportPath
  /** Only tests of some name are run. */
  #isPart = false

  onInit(vitest: Vitest): void {
    this.#path = join(vitest.config.root, reportPath)
    this.#isPart = vitest.config.testNamePattern !== undefined
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[], reason: TestRunEndReason): void {
    if (this.#isPart) return
    const summary: TestSummary = { passed: [], failed: unhandledErrors.length, skipped: [] }
    for (const module of modules) {
      summary.failed += module.errors().length
      for (const test of module.children.allTests()) {
        const result = test.result()
        if (result.state === 'passed') summary.passed.push(test.fullName)
        else if (result.state === 'skipped') summary.skipped.push({ name: test.fullName, reason: result.note ?? '' })
        else summary.failed += 1
      }
      for (const suite of module.children.allSuites()) summary.failed += suite.errors().length
    }
    if (reason !== 'passed' && summary.failed === 0) summary.failed = 1
    mkdirSync(dirname(this.#path), { recursive: true })
    writeFileSync(this.#path, `${JSON.stringify(summary, undefined, 2)}\n`)
    for (const { name, reason } of summary.skipped) {
      console.log(`skipped: ${name}: ${reason || 'NO REASON GIVEN'}`)
      if (reason === '') process.exitCode = 1
    }
  }
}

/**
 * The tests of one package. They run against the sources of the whole repository (by the `@sheaf/source` condition);
 * programs that tests start as processes or workers use what was built.
 */
export function tests() {
  const conditions = ['@sheaf/source', 'module-sync', 'node', 'import', 'default']
  return defineConfig({
    resolve: { conditions },
    ssr: { resolve: { conditions } },
    test: {
      include: ['test/**/*.test.ts'],
      pool: 'forks',
      // Tests about leaks ask for collections.
      execArgv: ['--expose-gc'],
      maxWorkers: 2,
      testTimeout: 30_000,
      hookTimeout: 30_000,
      reporters: ['default', new SummaryReporter()],
    },
  })
}
