import { readFileSync } from 'node:fs'

/**
 * Why a file can't pass: it tests `internals` of Node's that no module outside Node can have, so it says nothing of
 * what programs see; or it sees a `difference`, which the adapter's README tells its users.
 */
export const kinds = ['internals', 'difference'] as const
export type Kind = typeof kinds[number]

export interface Expectation {
  readonly kind: Kind
  readonly reason: string
}

/** Files that can't pass on Sheaf, and why. */
export type Expectations = ReadonlyMap<string, Expectation>

interface Entry extends Expectation {
  /** Only with these major versions of Node; absent: with all. */
  readonly node?: readonly number[]
  readonly files: readonly string[]
}

/**
 * @param path a JSON file: an array of reasons, each with the files that it holds for.
 * @param major of the Node that the tests run with.
 * @throws Error when a file is listed twice, or without a kind and a reason.
 */
export function readExpectations(path: string, major: number): Expectations {
  const expectations = new Map<string, Expectation>()
  for (const { kind, reason, node, files } of JSON.parse(readFileSync(path, 'utf8')) as Entry[]) {
    if (reason.trim() === '') throw new Error(`no reason is given for ${files.join(', ')}`)
    if (!kinds.includes(kind)) throw new Error(`${kind} is no kind of reason, for ${files.join(', ')}`)
    if (node !== undefined && !node.includes(major)) continue
    for (const file of files) {
      if (expectations.has(file)) throw new Error(`${file} is listed twice`)
      expectations.set(file, { kind, reason })
    }
  }
  return expectations
}
