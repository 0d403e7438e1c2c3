import assert from 'node:assert/strict'
import stockNet from 'node:net'
import { defaultRing } from '@sheaf/ring'
import { untilIdle } from '../fixtures'
import type { SocketFamily } from '../sockets'
import type { TestFramework } from '../streams'
import { connecting, connectingOverTcp } from './connecting'
import { ending, endingOverPaths, endingOverTcp } from './ending'
import { listening } from './listening'
import { receiving, streaming } from './receiving'
import { type Net, type Scenario, Scene } from './scene'

async function logsOf(scenario: Scenario, net: Net, family: SocketFamily): Promise<Record<string, string[]>> {
  const scene = new Scene(net, () => family.place())
  try {
    await scenario(scene)
  } finally {
    await scene.close()
  }
  return scene.logs
}

/** What sockets and servers of a stand-in for `node:net` must do as `node:net` itself does it, event by event. */
export function testSameAsNode(name: string, family: SocketFamily, { describe, it }: TestFramework): void {
  const isTcp = 'port' in family.place()
  const groups = {
    listening,
    connecting: { ...connecting, ...isTcp ? connectingOverTcp : {} },
    receiving,
    streaming,
    ending: { ...ending, ...isTcp ? endingOverTcp : endingOverPaths },
  }
  for (const [group, scenarios] of Object.entries(groups)) {
    describe(`${name} as node:net: ${group}`, () => {
      for (const [title, scenario] of Object.entries(scenarios)) {
        it(title, async () => {
          const expected = await logsOf(scenario, stockNet, family)
          assert.notDeepEqual(expected, {}, 'something is compared')
          assert.deepEqual(await logsOf(scenario, family.net, family), expected)
          await untilIdle(defaultRing())
        })
      }
    })
  }
}
