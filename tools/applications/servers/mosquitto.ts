import { writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { freePort, program, type Running, startServer, temporaryDirectory } from './server'

export async function startMosquitto(): Promise<Running> {
  const port = await freePort()
  const directory = temporaryDirectory()
  const configuration = join(directory, 'mosquitto.conf')
  writeFileSync(configuration, [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    `user ${userInfo().username}`,
    // It would drop what a slow subscriber has not taken, and a publisher with more than 20 messages under way.
    'max_queued_messages 0',
    'max_inflight_messages 0',
    '',
  ].join('\n'))
  return startServer({ command: program('mosquitto'), parameters: ['-c', configuration], port, directory })
}
