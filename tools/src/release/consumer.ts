import { existsSync } from 'node:fs'
import { cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

import { run } from './command'
import { type StrangersNpm, strangersEnvironment } from './npm'

/** A directory with nothing of this workspace in reach, in which the packages are used. */
export class Consumer {
  readonly #directory: string
  readonly #npm: StrangersNpm
  readonly #signal: AbortSignal

  private constructor(directory: string, npm: StrangersNpm, signal: AbortSignal) {
    this.#directory = directory
    this.#npm = npm
    this.#signal = signal
  }

  /**
   * @param directory made here.
   * @param programs what is copied there: the programs to run.
   */
  static async create(directory: string, programs: string, npm: StrangersNpm, signal: AbortSignal): Promise<Consumer> {
    await mkdir(directory)
    await writeFile(join(directory, 'package.json'), '{ "private": true }\n')
    await cp(programs, directory, { recursive: true })
    return new Consumer(directory, npm, signal)
  }

  /** Installs the adapters, and sees to it that nothing else came along, and that no code was run for it. */
  async install(): Promise<void> {
    await this.#npm.run(['install', '@sheaf/tcp', '@sheaf/udp', '@sheaf/unix'], this.#directory)
    const modules = join(this.#directory, 'node_modules')
    const installed = (await readdir(join(modules, '@sheaf'))).sort().join(' ')
    if (installed !== 'native ring tcp udp unix') throw new Error(`installed for the adapters: ${installed}`)
    if (existsSync(join(modules, '@sheaf/native/gyp/build'))) {
      throw new Error('npm compiled @sheaf/native on installation')
    }
  }

  /** @param node which Node: a path. @returns its version, and whether it can be told not to `require()` ES modules. */
  async askNode(node: string): Promise<{ version: string, canRequireModules: boolean }> {
    const question = 'process.version + " " + (process.features.require_module ?? false)'
    const [version = '', canRequireModules] = (await this.#node(node, ['-p', question])).trim().split(' ')
    return { version, canRequireModules: canRequireModules === 'true' }
  }

  async use(
    program: string,
    node = process.execPath,
    flags: readonly string[] = [],
    environment: NodeJS.ProcessEnv = {},
  ): Promise<void> {
    await this.#node(node, [...flags, program], environment)
  }

  /** Compiles `program` as an ES module and as CommonJS, with the library's declarations checked too, and runs both. */
  async useTypeScript(program: string, moduleKind: string): Promise<void> {
    await this.#npm.run(['install', 'typescript', '@types/node'], this.#directory)
    const sources = ['mts', 'cts'].map((extension) => program.replace(/ts$/, extension))
    for (const source of sources) await cp(join(this.#directory, program), join(this.#directory, source))
    await this.#node(process.execPath, ['node_modules/typescript/bin/tsc', '--strict', '--target', 'es2022',
      '--types', 'node', '--module', moduleKind, '--outDir', moduleKind, ...sources])
    for (const source of sources) await this.use(join(moduleKind, source.replace(/ts$/, 'js')))
  }

  /** Replaces the addon that came with the package by one compiled from the sources that came with it. */
  async compileAddon(): Promise<void> {
    await rm(join(this.#directory, 'node_modules/@sheaf/native/prebuilds'), { recursive: true })
    const headers = nodeHeaders()
    const command = ['node-gyp', 'rebuild', '-C', 'gyp', ...headers === undefined ? [] : [`--nodedir=${headers}`]]
    await this.#npm.run(['explore', '@sheaf/native', '--', ...command], this.#directory, 300_000)
  }

  #node(node: string, parameters: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<string> {
    return run(node, parameters, {
      cwd: this.#directory,
      env: { ...strangersEnvironment(), ...environment },
      timeoutMs: 60_000,
      signal: this.#signal,
    })
  }
}

/**
 * Where Node's headers are on this machine, so that they need not be fetched: where `npm run` says that npm has been
 * told, or else beside Node, as its own archives put them.
 * @returns a directory that has them in `include/node`, or undefined.
 */
function nodeHeaders(): string | undefined {
  const { npm_config_nodedir: told } = process.env
  if (told !== undefined) return told
  const beside = join(dirname(process.execPath), '..')
  return existsSync(join(beside, 'include/node/node_api.h')) ? beside : undefined
}
