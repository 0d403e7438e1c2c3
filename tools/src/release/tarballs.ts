import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { run } from './command'

/** What `npm pack --json` says of one tarball. */
interface PackReport {
  readonly name: string
  readonly version: string
  readonly filename: string
  readonly files: readonly { readonly path: string }[]
}

export interface Tarball {
  readonly name: string
  readonly version: string
  readonly path: string
  readonly files: readonly string[]
}

/**
 * Not a `binding.gyp` in the root: pnpm before 10 and Yarn take that for an install script, compile the addon, and fail
 * without a compiler.
 */
const shipped
  = /^(package\.json|LICENSE|README\.md|CHANGELOG\.md|gyp\/binding\.gyp|dist\/.+|prebuilds\/.+\.node|src\/.+)$/
const sources = /\.(ts|cc|h)$/
const neverShipped = /(^|\/)(tests?|fixtures|bench|node_modules)\/|\.(test|spec|bench)\.|\.(tsbuildinfo|log|tgz|tmp)$/

/**
 * Packs a package of this workspace as `npm publish` would.
 * @throws Error if something is in it that users have no use for, or something is missing.
 */
export async function packOwn(packageDirectory: string, into: string, signal: AbortSignal): Promise<Tarball> {
  const tarball = await pack(packageDirectory, into, signal)
  const junk = tarball.files.filter((path) =>
    !shipped.test(path) || neverShipped.test(path) || (path.startsWith('src/') && !sources.test(path)))
  if (junk.length > 0) throw new Error(`${tarball.name} would ship ${junk.join(', ')}`)
  const missing = ['LICENSE', ...await promised(packageDirectory)].filter((path) => !tarball.files.includes(path))
  if (missing.length > 0) throw new Error(`${tarball.name} would not ship ${missing.join(', ')}`)
  const { files } = tarball
  if (files.includes('gyp/binding.gyp') && !files.some((path) => path.startsWith('prebuilds/'))) {
    throw new Error(`${tarball.name} would not ship its addon`)
  }
  return tarball
}

/** Every file that `exports` and `bin` of a package lead to. */
async function promised(packageDirectory: string): Promise<string[]> {
  const path = join(packageDirectory, 'package.json')
  const { exports, bin } = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
  return [...new Set(leaves([exports, bin]).map((target) => target.replace(/^\.\//, '')))]
}

function leaves(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(leaves) : []
}

/** Packs somebody else's package again as it is installed here, so that the rehearsal needs no other registry. */
export function packInstalled(packageDirectory: string, into: string, signal: AbortSignal): Promise<Tarball> {
  return pack(packageDirectory, into, signal)
}

async function pack(packageDirectory: string, into: string, signal: AbortSignal): Promise<Tarball> {
  // What is packed is what was built; other people's `prepack` scripts need more than they ship.
  const parameters = ['pack', '--json', '--ignore-scripts', '--pack-destination', into]
  const output = await run('npm', parameters, { cwd: packageDirectory, signal })
  const [report] = JSON.parse(output) as [PackReport]
  return {
    name: report.name,
    version: report.version,
    path: join(into, report.filename),
    files: report.files.map((file) => file.path),
  }
}
