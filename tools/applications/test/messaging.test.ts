import { describe, expect, it } from 'vitest'
import { startMosquitto } from '../servers/mosquitto'
import { startNatsCluster } from '../servers/nats'
import { findProgram } from '../servers/server'
import { application, expectDone, forTest, need, testTimeoutMs } from './support'

describe('clients of brokers, unchanged', { timeout: testTimeoutMs }, () => {
  it('mqtt, with mosquitto', async (context) => {
    need(context, 'mosquitto', findProgram('mosquitto'))
    const mosquitto = await forTest(startMosquitto())
    await expectDone(application('mqtt.mjs', [mosquitto.port]))
  })

  it('nats: a server of three dies, and nothing that was acknowledged is lost', async (context) => {
    need(context, 'nats-server', findProgram('nats-server'))
    const servers = await forTest(startNatsCluster(3))
    const client = application('nats.mjs', servers.map(({ port }) => port))
    const connectedTo = Number(await client.line())
    const victim = servers.find(({ port }) => port === connectedTo)
    expect(victim).toBeDefined()
    process.kill(victim?.processId ?? 0, 'SIGKILL')
    await expectDone(client)
  })
})
