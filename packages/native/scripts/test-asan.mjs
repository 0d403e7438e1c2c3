// Builds the addon under AddressSanitizer and UndefinedBehaviorSanitizer, beside the usual build, and runs a command
// with that addon in place of the other: the tests of this package, or whatever is given.
//
//   npm run test:asan
//   npm run test:asan --workspace packages/native -- npx nx run-many -t test --parallel=1 --skip-nx-cache
import { spawnSync, execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const build = join(root, 'build-asan')
const reports = join(build, 'reports')
const [command = 'npx', ...rest] = process.argv.slice(2)
const given = process.argv.length > 2

// node-gyp builds in the folder that binding.gyp is in, so it gets a copy of what it needs.
rmSync(reports, { recursive: true, force: true })
mkdirSync(reports, { recursive: true })
for (const name of ['binding.gyp', 'package.json', 'src']) {
  cpSync(join(root, name), join(build, name), { recursive: true, preserveTimestamps: true })
}
execFileSync('npx', ['node-gyp', 'configure', '-C', build, '--', '-Dsheaf_sanitize=1'], { stdio: 'inherit' })
execFileSync('npx', ['node-gyp', 'build', '-C', build], { stdio: 'inherit' })

const library = execFileSync(process.env.CXX ?? 'g++', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim()
const { status, signal } = spawnSync(command, given ? rest : ['vitest', 'run'], {
  cwd: given ? process.env.INIT_CWD ?? process.cwd() : root,
  stdio: 'inherit',
  env: {
    ...process.env,
    SHEAF_NATIVE_BINARY: join(build, 'build', 'Release', 'sheaf_native.node'),
    // Node.js itself is not built with the sanitizer, so its runtime has to be there before anything else.
    LD_PRELOAD: library,
    // No search for leaks: Node.js and V8 leave most of what they have allocated to the end of the process. What the
    // addon may leak that matters (descriptors, mappings, rings) the tests count themselves.
    ASAN_OPTIONS: `detect_leaks=0:log_path=${join(reports, 'asan')}`,
    UBSAN_OPTIONS: `print_stacktrace=1:log_path=${join(reports, 'ubsan')}`,
  },
})

// Also from processes whose end no test looked at.
const found = readdirSync(reports)
for (const name of found) console.error(readFileSync(join(reports, name), 'utf8'))
if (found.length > 0) console.error(`${found.length} sanitizer reports, in ${reports}`)
process.exitCode = status !== 0 || signal !== null || found.length > 0 ? 1 : 0
