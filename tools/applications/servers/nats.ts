import { setTimeout as delay } from 'node:timers/promises'
import { freePort, program, type Running, startServer, temporaryDirectory } from './server'

const pollMs = 50
const joinTimeoutMs = 60_000

async function isHealthy(monitorPort: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${monitorPort}/healthz`)).ok
  } catch {
    return false
  }
}

/** One server, without JetStream. */
export async function startNats(): Promise<Running> {
  const port = await freePort()
  const parameters = ['-a', '127.0.0.1', '-p', `${port}`]
  return startServer({ command: program('nats-server'), parameters, port, directory: temporaryDirectory() })
}

/** A cluster with JetStream, whose servers have found a leader. */
export async function startNatsCluster(size: number): Promise<Running[]> {
  const members = []
  for (let index = 0; index < size; index++) {
    members.push({ port: await freePort(), clusterPort: await freePort(), monitorPort: await freePort() })
  }
  const routes = members.map(({ clusterPort }) => `nats://127.0.0.1:${clusterPort}`).join(',')
  const running = await Promise.all(members.map(({ port, clusterPort, monitorPort }, index) => {
    const directory = temporaryDirectory()
    const parameters = [
      '-a', '127.0.0.1', '-p', `${port}`, '-m', `${monitorPort}`, '-js', '-sd', directory, '-n', `server-${index}`,
      '-cluster_name', 'sheaf', '-cluster', `nats://127.0.0.1:${clusterPort}`, '-routes', routes,
    ]
    return startServer({ command: program('nats-server'), parameters, port, directory })
  }))
  const deadline = Date.now() + joinTimeoutMs
  for (const { monitorPort } of members) {
    while (!await isHealthy(monitorPort)) {
      if (Date.now() > deadline) throw new Error('the servers of the NATS cluster do not come together')
      await delay(pollMs)
    }
  }
  return running
}
