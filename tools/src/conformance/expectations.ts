import { readFileSync } from 'node:fs'

/** Files that can't pass on Sheaf, and why. */
export type Expectations = ReadonlyMap<string, string>

interface Entry {
  readonly reason: string
  /** Only with these major versions of Node; absent: with all. */
  readonly node?: readonly number[]
  readonly files: readonly string[]
}

/**
 * @param path a JSON file: an array of reasons, each with the files that it holds for.
 * @param major of the Node that the tests run with.
 * @throws Error when a file is listed twice or without a reason.
 */
export function readExpectations(path: string, major: number): Expectations {
  const expectations = new Map<string, string>()
  for (const { reason, node, files } of JSON.parse(readFileSync(path, 'utf8')) as Entry[]) {
    if (reason.trim() === '') throw new Error(`no reason is given for ${files.join(', ')}`)
    if (node !== undefined && !node.includes(major)) continue
    for (const file of files) {
      if (expectations.has(file)) throw new Error(`${file} is listed twice`)
      expectations.set(file, reason)
    }
  }
  return expectations
}
