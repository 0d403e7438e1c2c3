import nodeDatagram from 'node:dgram'
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import sheafDatagram from '../../src/dgram/index'
import { blocking, type Dgram, type Scenario, scenarios } from './scenarios'

async function logOf(scenario: Scenario, module: Dgram): Promise<string[]> {
  const log: string[] = []
  await scenario(module, (...values) => {
    // Ports that the system chose.
    log.push(inspect(values, { depth: 5 }).replace(/\b[3-6]\d{4}\b/g, 'port'))
  })
  return log
}

describe('@sheaf/udp/dgram does what node:dgram does', () => {
  it.for(Object.entries(scenarios))('%s', async ([, scenario], context) => {
    const expected = await logOf(scenario, nodeDatagram)
    if (expected.length === 0) context.skip('this version of Node.js does not have it')
    expect(await logOf(scenario, sheafDatagram)).toEqual(expected)
  })
})

describe('@sheaf/udp/dgram does what later versions of node:dgram do', () => {
  it('neither sends to nor hears whom it blocks', async () => {
    const log = await logOf(blocking, sheafDatagram)
    expect(log).toHaveLength(1)
    expect(log[0]).toContain('IP(127.0.0.1) is blocked by net.BlockList')
    expect(log[0]).toContain('ERR_IP_BLOCKED')
  })
})
