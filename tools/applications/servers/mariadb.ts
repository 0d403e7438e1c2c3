import { writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { freePort, program, run, type Running, startServer, temporaryDirectory } from './server'

/** User, password and database are `sheaf`. */
export async function startMariadb(): Promise<Running> {
  const port = await freePort()
  const directory = temporaryDirectory()
  const data = join(directory, 'data')
  // As root it wants to be told that this is meant.
  const user = `--user=${userInfo().username}`
  await run(program('mariadb-install-db'), ['--no-defaults', user, `--datadir=${data}`, '--skip-test-db'])
  const first = join(directory, 'first.sql')
  writeFileSync(first, [
    'CREATE DATABASE sheaf;',
    "CREATE USER 'sheaf'@'%' IDENTIFIED BY 'sheaf';",
    "GRANT ALL ON sheaf.* TO 'sheaf'@'%';",
  ].join('\n'))
  const parameters = [
    '--no-defaults', user, `--datadir=${data}`, `--port=${port}`, '--bind-address=127.0.0.1', '--skip-name-resolve',
    `--socket=${join(directory, 'socket')}`, `--pid-file=${join(directory, 'pid')}`, `--init-file=${first}`,
    '--innodb-flush-log-at-trx-commit=0', '--max-allowed-packet=64M',
  ]
  return startServer({ command: program('mariadbd'), parameters, port, directory, ready: /ready for connections/ })
}
