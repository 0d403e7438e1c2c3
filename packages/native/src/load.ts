import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Addon } from './binding.js'

export type Loaded
  = | { readonly addon: Addon, readonly reason: '' }
    | { readonly addon: undefined, readonly reason: string }

/** Runtimes that have a `process.versions.node` but not the event loop that the addon joins. */
const otherRuntimes = ['bun', 'deno', 'electron'] as const

/**
 * Finds and loads the compiled addon:
 * - the file that `SHEAF_NATIVE_BINARY` names, and no other (a build of one's own, or one under a sanitizer);
 * - the one that came with the package, `prebuilds/<platform>-<arch>[-musl]/`;
 * - the one that `npm run build:native` made, `gyp/build/Release/`.
 *
 * `SHEAF_DISABLE=1` leaves it alone. Never throws.
 */
export function loadAddon(): Loaded {
  const { SHEAF_DISABLE: disable, SHEAF_NATIVE_BINARY: named } = process.env
  if (disable !== undefined && disable !== '' && disable !== '0') {
    return refuse('io_uring is switched off by SHEAF_DISABLE in the environment.')
  }
  if (process.platform !== 'linux') return refuse(`io_uring is Linux's: there is none on ${process.platform}.`)
  const runtime = otherRuntimes.find((name) => process.versions[name] !== undefined)
  if (runtime !== undefined) return refuse(`The addon joins Node.js's event loop; ${runtime} has another.`)

  const candidates = named !== undefined && named !== '' ? [named] : shippedPaths()
  const path = candidates.find((candidate) => existsSync(candidate))
  if (path === undefined) {
    const where = candidates.join(' or ')
    return refuse(`There is no compiled addon at ${where}; \`npx node-gyp rebuild -C gyp\` in @sheaf/native makes one, `
      + 'and a bundler must leave @sheaf/native out of its bundle.')
  }
  try {
    // Not require(): it takes a file that is not called `.node` for JavaScript.
    const module = { exports: {} }
    process.dlopen(module, path)
    return { addon: module.exports as Addon, reason: '' }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return refuse(`The addon ${path} can't be loaded: ${why.replace(/\.$/, '')}.`)
  }
}

function refuse(reason: string): Loaded {
  return { addon: undefined, reason }
}

/** This file is one folder below the package's root, as source (`src/`) and as built (`dist/`). */
function shippedPaths(): string[] {
  const file = ownPath() ?? process.argv.at(1) ?? process.execPath
  const folder = `${process.platform}-${process.arch}${usesMusl() ? '-musl' : ''}`
  return [`../prebuilds/${folder}/sheaf_native.node`, '../gyp/build/Release/sheaf_native.node']
    .map((path) => resolve(file, '..', path))
}

/** In a bundle there may be none. */
function ownPath(): string | undefined {
  try {
    return import.meta.filename
  } catch {
    return undefined
  }
}

/** Which C library this very process has mapped; `process.report` says the same, but takes milliseconds. */
function usesMusl(): boolean {
  try {
    return /ld-musl|libc\.musl/.test(readFileSync('/proc/self/maps', 'latin1'))
  } catch {
    return false
  }
}
