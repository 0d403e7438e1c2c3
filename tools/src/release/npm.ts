import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { run } from './command'

/** npm as a stranger has it: no configuration, no cache, and no environment of this workspace; only a registry. */
export class StrangersNpm {
  readonly #environment: NodeJS.ProcessEnv
  readonly #signal: AbortSignal

  private constructor(environment: NodeJS.ProcessEnv, signal: AbortSignal) {
    this.#environment = environment
    this.#signal = signal
  }

  /** @param directory where its configuration and its cache are kept; made here. */
  static async create(directory: string, registryUrl: string, signal: AbortSignal): Promise<StrangersNpm> {
    await mkdir(directory)
    const userConfiguration = join(directory, 'npmrc')
    await writeFile(userConfiguration, [
      `registry=${registryUrl}`,
      // npm does not publish without a token; the registry takes any.
      `${registryUrl.replace('http:', '')}:_authToken=rehearsal`,
      'audit=false',
      'fund=false',
      'update-notifier=false',
      '',
    ].join('\n'))
    return new StrangersNpm({
      ...strangersEnvironment(),
      npm_config_userconfig: userConfiguration,
      npm_config_globalconfig: join(directory, 'no-npmrc'),
      npm_config_cache: join(directory, 'cache'),
    }, signal)
  }

  run(parameters: readonly string[], cwd: string, timeoutMs = 120_000): Promise<string> {
    return run('npm', parameters, { cwd, env: this.#environment, timeoutMs, signal: this.#signal })
  }
}

/** The environment without what `npm run`, Nx and tests of Sheaf put there, which would lead back to the workspace. */
export function strangersEnvironment(): NodeJS.ProcessEnv {
  const ours = /^(npm_|nx_|sheaf_|init_cwd$|node_path$|node_options$)/i
  const kept = Object.entries(process.env).filter(([name]) => !ours.test(name))
  const folders = process.env.PATH?.split(':').filter((folder) => !folder.endsWith('/node_modules/.bin'))
  return { ...Object.fromEntries(kept), PATH: folders?.join(':') }
}
