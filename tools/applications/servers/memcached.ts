import { userInfo } from 'node:os'
import { freePort, program, type Running, startServer, temporaryDirectory } from './server'

export async function startMemcached(): Promise<Running> {
  const port = await freePort()
  const parameters = ['-u', userInfo().username, '-l', '127.0.0.1', '-p', `${port}`]
  return startServer({ command: program('memcached'), parameters, port, directory: temporaryDirectory() })
}
