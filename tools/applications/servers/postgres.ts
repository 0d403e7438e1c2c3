import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import {
  findProgram, freePort, program, run, type Running, startServer, temporaryDirectory, unprivileged,
} from './server'

const installed = '/usr/lib/postgresql'

/** Debian keeps the programs of each version apart, and out of the PATH. */
function binaries(): string[] {
  try {
    const versions = readdirSync(installed).sort((a, b) => Number(b) - Number(a))
    return versions.map((version) => join(installed, version, 'bin'))
  } catch {
    return []
  }
}

export function findPostgres(): string | undefined {
  return findProgram('initdb', ...binaries())
}

/** The user is `postgres`, without a password; so is the database. */
export async function startPostgres(): Promise<Running> {
  const port = await freePort()
  // It refuses to run as root.
  const account = unprivileged('postgres')
  const directory = temporaryDirectory(account)
  const data = join(directory, 'data')
  const initialise = ['-D', data, '-U', 'postgres', '--auth=trust', '--no-sync', '--encoding=UTF8', '--locale=C']
  await run(program('initdb', ...binaries()), initialise, account)
  // Durability is not what is tested. Scans start where the table does, so that rows come in order.
  const settings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', synchronize_seqscans: 'off' }
  const parameters = ['-D', data, '-h', '127.0.0.1', '-p', `${port}`, '-k', directory]
  for (const [name, value] of Object.entries(settings)) parameters.push('-c', `${name}=${value}`)
  const command = program('postgres', ...binaries())
  return startServer({ command, parameters, port, directory, account, ready: /ready to accept connections/ })
}
