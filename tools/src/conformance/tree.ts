import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A file of Node's test tree that concerns sockets, or what is built on them. */
export interface TestFile {
  /** As the tree names it: `parallel/test-net-binary.js`. */
  readonly name: string
  /** What it is about: a module's name, or `other` for tests of something else that use sockets. */
  readonly family: Family
  /** What Node is to be started with, and what is to be in its environment. */
  readonly flags: readonly string[]
  readonly environment: NodeJS.ProcessEnv
}

export const families = [
  'net', 'dgram', 'http', 'https', 'http2', 'tls', 'pipe', 'cluster', 'stream', 'other',
] as const
export type Family = typeof families[number]

const named = /^test-(net|dgram|https|http2|http|tls|pipe|cluster|stream)s?\d?[-.]/
const usesSockets = /(?:require\(|from )'(?:node:)?(?:net|dgram|https?|http2|tls)'/

function words(source: string, label: RegExp): string[] {
  return label.exec(source)?.[1].trim().split(/\s+/).filter((word) => word !== '') ?? []
}

function describe(name: string, source: string, family: Family): TestFile {
  const settings = words(source, /\/\/\s+Env:(.*)/).map((word) => word.split(/=(.*)/s, 2))
  return {
    name,
    family,
    flags: words(source, /\/\/\s+Flags:(.*)/),
    environment: Object.fromEntries(settings) as NodeJS.ProcessEnv,
  }
}

/**
 * @param tree the directory that has Node's `test` directory in it.
 * @param patterns parts of names; without any, all files.
 */
export function testFiles(tree: string, patterns: readonly string[]): TestFile[] {
  const found: TestFile[] = []
  for (const folder of ['parallel', 'sequential']) {
    const directory = join(tree, 'test', folder)
    for (const file of readdirSync(directory).sort()) {
      const name = `${folder}/${file}`
      if (!/^test-.*\.m?js$/.test(file)) continue
      if (patterns.length > 0 && !patterns.some((pattern) => name.includes(pattern))) continue
      const source = readFileSync(join(directory, file), 'utf8')
      const family = named.exec(file)?.[1] as Family | undefined
      if (family !== undefined) found.push(describe(name, source, family))
      else if (usesSockets.test(source)) found.push(describe(name, source, 'other'))
    }
  }
  return found
}
