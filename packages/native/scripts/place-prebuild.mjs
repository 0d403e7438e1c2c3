// Puts the addon that node-gyp has built where the loader looks for it first and `npm pack` picks it up.
import { copyFileSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const musl = process.platform === 'linux' && /ld-musl|libc\.musl/.test(readFileSync('/proc/self/maps', 'latin1'))
const target = join(root, 'prebuilds', `${process.platform}-${process.arch}${musl ? '-musl' : ''}`)

mkdirSync(target, { recursive: true })
// By renaming: a process that runs with the old file has it mapped, and writing over it would crash that process.
const temporary = join(target, `sheaf_native.${process.pid}.tmp`)
copyFileSync(join(root, 'gyp', 'build', 'Release', 'sheaf_native.node'), temporary)
renameSync(temporary, join(target, 'sheaf_native.node'))
