/*
 * Adds up what the tests of all packages said, and prints it as the last line. Fails when a test failed, when a package
 * with tests said nothing, or when a test was skipped: CI's machine is root, on a kernel with everything that Sheaf
 * uses. What this version of Node.js can't run must have passed on newer ones (`npm run test:newer-node`), and counts
 * as passed then.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'

const read = (path) => JSON.parse(readFileSync(path, 'utf8'))
const totals = { passed: 0, failed: 0, skipped: 0 }
const complaints = []
const packages = [...readdirSync('packages').map((name) => `packages/${name}`), 'tools']
  .filter((project) => read(`${project}/package.json`).scripts?.test !== undefined)
for (const project of [...packages, 'tools/applications', 'tools/conformance']) {
  const path = `${project}/test-results/summary.json`
  if (!existsSync(path)) {
    complaints.push(`no tests were run: ${path} is missing`)
    continue
  }
  const { passed, failed, skipped } = read(path)
  if (passed.length + failed === 0) complaints.push(`no test was executed: ${path}`)
  const newer = readdirSync(`${project}/test-results`).filter((name) => name.startsWith('newer-node'))
    .map((name) => read(`${project}/test-results/${name}`))
  totals.passed += passed.length
  totals.failed += newer.reduce((sum, { failed }) => sum + failed, failed)
  for (const { name, reason } of skipped) {
    if (newer.some(({ passed }) => passed.includes(name))) {
      totals.passed++
      continue
    }
    totals.skipped++
    console.log(`skipped: ${name}: ${reason}`)
    complaints.push(`must not be skipped here: ${name}`)
  }
}
for (const complaint of complaints) console.log(complaint)
if (totals.failed > 0 || complaints.length > 0) process.exitCode = 1
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`)
