import { freePort, program, type Running, startServer, temporaryDirectory } from './server'

export async function startRedis(): Promise<Running> {
  const port = await freePort()
  const directory = temporaryDirectory()
  const parameters = ['--bind', '127.0.0.1', '--port', `${port}`, '--save', '', '--dir', directory]
  const ready = /Ready to accept connections/
  return startServer({ command: program('redis-server'), parameters, port, directory, ready })
}
