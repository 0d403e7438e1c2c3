import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build, type Plugin } from 'esbuild'
import type { Mutation } from './mutations'
import type { Verdict } from './trial'

/** The repository, from where this is built to. */
const root = join(import.meta.dirname, '../..')
const trial = join(root, 'tools/src/mutation/trial.ts')
/** A mutant that has used more processor time has come to no end. What is whole takes a few seconds. */
const cpuSecondsMax = 90
const endless: Verdict = { check: 'comes to an end', program: `after ${cpuSecondsMax} s` }

/** Applies a mutation. @throws Error if a text is not found exactly once: then the table is out of date. */
export async function mutate({ name, file, edits }: Mutation): Promise<string> {
  let source = await readFile(join(root, 'packages', file), 'utf8')
  for (const { find, replace } of edits) {
    const found = source.split(find).length - 1
    if (found !== 1) throw new Error(`"${name}": its text is ${found} times in ${file}`)
    source = source.replace(find, () => replace)
  }
  return source
}

function mutating(mutation: Mutation, source: string): Plugin {
  const path = join(root, 'packages', mutation.file)
  return {
    name: 'mutation',
    setup(context) {
      context.onLoad({ filter: /\.ts$/ }, (file) => file.path === path ? { contents: source, loader: 'ts' } : null)
    },
  }
}

/** Runs the property tests in a process of their own, against the sources as they are or with a mutation. */
export async function tryMutant(mutation: Mutation | undefined, index: number, runs: number): Promise<Verdict> {
  const plugins = mutation === undefined ? [] : [mutating(mutation, await mutate(mutation))]
  // Within the repository, so that it finds what it does not bundle.
  const outfile = join(root, `tools/dist/mutants/${index}.mjs`)
  await build({
    entryPoints: [trial],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    conditions: ['@sheaf/source'],
    // Nothing of it is mutated or used; fast-check is large, and the same for all.
    external: ['@sheaf/native', 'fast-check'],
    logLevel: 'error',
    plugins,
  })
  return new Promise((resolve, reject) => {
    const limited = `ulimit -t ${cpuSecondsMax} && exec "$0" "$@"`
    execFile('sh', ['-c', limited, process.execPath, outfile, String(runs)], (error, stdout, stderr) => {
      const line = stdout.trim().split('\n').at(-1) ?? ''
      if (line.startsWith('{')) resolve(JSON.parse(line) as Verdict)
      else if (typeof error?.signal === 'string') resolve(endless)
      else reject(new Error(`a trial said nothing: ${stderr}`, { cause: error }))
    })
  })
}
