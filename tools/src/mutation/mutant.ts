import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build, type Plugin } from 'esbuild'
import { mutated, type Mutation } from './mutations'
import type { Verdict } from './trial'

/** The repository, from where this is built to. */
const root = join(import.meta.dirname, '../..')
const trial = join(root, 'tools/src/mutation/trial.ts')
/**
 * A mutant that has used more processor time has come to no end. What is whole takes 6 ms a run, and up to 30 where
 * other programs have the machine too.
 */
const cpuSecondsMax = (runs: number): number => Math.ceil(60 + 0.03 * runs)

/** The text of a mutation's file with it. */
export async function mutate(mutation: Mutation): Promise<string> {
  return mutated(mutation, await readFile(join(root, 'packages', mutation.file), 'utf8'))
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
  return run(outfile, runs)
}

function run(program: string, runs: number): Promise<Verdict> {
  const seconds = cpuSecondsMax(runs)
  // The soft limit alone: where the hard one is reached, too, the kernel sends a SIGKILL, as others may.
  const limited = `ulimit -S -t ${seconds} && exec "$0" "$@"`
  return new Promise((resolve, reject) => {
    execFile('sh', ['-c', limited, process.execPath, program, String(runs)], (error, stdout, stderr) => {
      const line = stdout.trim().split('\n').at(-1) ?? ''
      const signal = error?.signal ?? undefined
      if (signal === 'SIGXCPU') resolve({ check: 'comes to an end', program: `after ${seconds} s` })
      else if (signal === undefined && line.startsWith('{')) resolve(JSON.parse(line) as Verdict)
      else reject(new Error(`a trial said nothing: ${signal ?? stderr}`, { cause: error }))
    })
  })
}
