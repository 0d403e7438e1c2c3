// Builds the addon under AddressSanitizer and UndefinedBehaviorSanitizer, beside the usual build, and runs a command
// with that addon in place of the other: the tests of every package, or whatever is given.
//
//   npm run test:asan
//   npm run test:asan -- npx vitest run test/teardown.test.ts
import { spawnSync, execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Tests that are left to the usual build, and why. */
const leftOut = [
  ['**/leaks.test.ts', 'minutes of connections, to see that JavaScript holds no more in the end than in the beginning'],
]

/** For one test, in ms: a process takes seconds to end, as what it leaves is looked through. */
const timeout = 120_000

const root = fileURLToPath(new URL('..', import.meta.url))
const packages = join(root, '..')
const build = join(root, 'build-asan')
const reports = join(build, 'reports')
const suppressions = join(build, 'suppressions')
const [command, ...rest] = process.argv.slice(2)

// node-gyp builds in the folder that binding.gyp is in, so it gets a copy of what it needs.
rmSync(reports, { recursive: true, force: true })
mkdirSync(reports, { recursive: true })
for (const name of ['gyp/binding.gyp', 'package.json', 'src']) {
  cpSync(join(root, name), join(build, name), { recursive: true, preserveTimestamps: true })
}
const nodeGyp = (command, ...options) =>
  execFileSync('npx', ['node-gyp', command, '-C', join(build, 'gyp'), ...options], { stdio: 'inherit' })
nodeGyp('configure', '--', '-Dsheaf_sanitize=1')
nodeGyp('build')

// What a ring that could not be closed loses on purpose: the kernel may still write to it.
writeFileSync(suppressions, 'leak:sheaf::napi::RingObject::CloseRing\n')
const library = execFileSync(process.env.CXX ?? 'g++', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim()
const environment = {
  ...process.env,
  SHEAF_NATIVE_BINARY: join(build, 'gyp', 'build', 'Release', 'sheaf_native.node'),
  // Node.js itself is not built with the sanitizer, so its runtime has to be there before anything else.
  LD_PRELOAD: library,
  ASAN_OPTIONS: `detect_leaks=1:log_path=${join(reports, 'asan')}`,
  UBSAN_OPTIONS: `print_stacktrace=1:log_path=${join(reports, 'ubsan')}`,
  // A process that ends by `process.exit` leaves much of Node.js's own behind: only reports say what was ours.
  LSAN_OPTIONS: `exitcode=0:print_suppressions=0:suppressions=${suppressions}`,
}

/** @returns {boolean} whether it ended well. */
function run(file, args, cwd) {
  const { status, signal } = spawnSync(file, args, { cwd, stdio: 'inherit', env: environment })
  return status === 0 && signal === null
}

function runTests() {
  for (const [pattern, reason] of leftOut) console.log(`left out under the sanitizers: ${pattern}: ${reason}`)
  const exclude = leftOut.flatMap(([pattern]) => ['--exclude', pattern])
  const tested = readdirSync(packages).filter((name) => existsSync(join(packages, name, 'vitest.config.ts')))
  return tested.filter((name) => {
    console.log(`@sheaf/${name} under the sanitizers`)
    return !run('npx', ['vitest', 'run', `--testTimeout=${timeout}`, ...exclude], join(packages, name))
  }).length === 0
}

/**
 * A leak of memory that the addon itself has allocated: its code comes right after the allocator's, and the containers'
 * and the wrappers' that called that. Where a frame has a line, it is printed in place of the module's name.
 */
const ourLeak = /^\w+ leak.*\n\s+#0.*\n(?:.*(?:std|__gnu_cxx|Napi)::.*\n)*(?:.*\n)?.*sheaf(?:_native|::)/

/** Of a report: all of it if it is of an error; of leaks those of {@link ourLeak}. */
function ours(report) {
  if (!report.includes('LeakSanitizer: detected memory leaks')) return report
  return report.split('\n\n').filter((leak) => ourLeak.test(leak)).join('\n\n')
}

const passed = command === undefined
  ? runTests()
  : run(command, rest, process.env.INIT_CWD ?? process.cwd())

// Also from processes whose end no test looked at.
const found = readdirSync(reports).map((name) => ours(readFileSync(join(reports, name), 'utf8')))
  .filter((report) => report !== '')
for (const report of found) console.error(report)
if (found.length > 0) console.error(`${found.length} sanitizer reports, in ${reports}`)
process.exitCode = passed && found.length === 0 ? 0 : 1
