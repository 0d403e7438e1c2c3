import type { Transport } from '@sheaf/ring'
import type { TestFramework } from '../streams'
import { defineTests, type Test } from './bench'
import type { FaultFamily } from './family'
import { isolationTests } from './isolation'
import { memoryTests } from './memory'
import { peerTests } from './peers'
import { pressureTests } from './pressure'
import { processTests } from './processes'
import { resetTests } from './resets'

/** A thousand workers, or a receiver that reads nothing for a minute, if they are asked for. */
const timeoutMs = 180_000

/**
 * Defines the tests of what the streams of every address family must survive, on the real kernel: resets, peers that
 * are killed or stopped, receivers that read nothing, limits of the process, its end, workers, collections; and that no
 * connection sees anything of another.
 *
 * `SHEAF_FAULT_SECONDS` (3) is how long a receiver reads nothing; `SHEAF_FAULT_WORKERS` (100) how many workers there
 * are. `npm run test:faults` has a minute, and a thousand.
 */
export function testFaults<T extends Transport>(
  name: string,
  family: FaultFamily<T>,
  framework: TestFramework,
): void {
  framework.describe(`${name}: faults`, () => {
    const define = (group: string, tests: Record<string, Test>): void =>
      defineTests(group, tests, family, framework, timeoutMs)
    define('a peer\'s reset', resetTests(family))
    define('a peer', peerTests(family))
    define('under pressure', pressureTests)
    define('isolation', isolationTests)
    for (const [what, tests] of Object.entries(processTests(family))) define(what, tests)
  })
}

/** Defines the tests of what becomes of memory that is taken away from a connection that has it in use. */
export function testMemoryFaults<T extends Transport>(
  name: string,
  family: FaultFamily<T>,
  framework: TestFramework,
): void {
  framework.describe(`${name}: memory taken away`, () => {
    for (const [how, tests] of Object.entries(memoryTests)) defineTests(`by ${how}`, tests, family, framework)
  })
}
