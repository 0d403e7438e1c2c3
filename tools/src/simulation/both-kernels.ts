import { readFileSync } from 'node:fs'
import { limits, type RingOptions } from '@sheaf/ring'
import type { Temperament } from '@sheaf/ring/testing'
import type { Subject } from './campaign'
import { runDatagrams } from './datagram-world'
import { LinuxMachine } from './linux-machine'
import type { Machine } from './machine'
import type { Operations } from './operations'
import { SimulatedMachine } from './simulated-machine'
import { runStreams } from './stream-world'
import { datagrams, streams } from './subjects'
import { check } from './violation'

/** The others count how often something was done, which is a matter of time. */
const comparedCounters = ['messagesRead', 'accepted', 'connected', 'closed']

interface Program {
  readonly seed: number
  readonly temperament: Partial<Temperament>
  readonly ring: RingOptions
}

/** What a program at rest can see of a kernel's temperament is to be as on Linux; anything else may be any. */
function asLinux(temperament: Partial<Temperament>): Partial<Temperament> {
  return {
    ...temperament,
    sendCapacityBytes: 256 * 1024,
    receiveCapacityBytes: 256 * 1024,
    datagramCapacityBytes: 256 * 1024,
    localQueueMax: Number(readFileSync('/proc/sys/net/unix/max_dgram_qlen', 'latin1')),
    resetLosesUnread: 0,
    groupRefused: 0,
  }
}

/** Runs a program on a simulated kernel and on Linux. @throws Violation if anything that it sees differs. */
async function runOnBoth<P extends Program>(
  program: P,
  run: (program: P, machine: Machine) => Promise<Operations>,
): Promise<Operations> {
  const simulated = new SimulatedMachine(program)
  const operations = await run(program, simulated)
  const onLinux = await run(program, new LinuxMachine(program.ring, simulated.seen))
  for (const name of comparedCounters) {
    const [expected, counted] = [operations, onLinux].map(({ metrics }) => metrics.get(name) ?? 0)
    check(counted === expected, 'Linux does as the simulation does', `${name} ${counted}, simulated ${expected}`)
  }
  operations.add(onLinux)
  return operations
}

/** As {@link streams}, on both kernels, which are compared whenever they are at rest. */
export const streamsOnBoth: Subject<Parameters<typeof runStreams>[0]> = {
  name: 'streams',
  programs: streams.programs.map((program) => ({
    ...program,
    temperament: asLinux(program.temperament),
    rests: true,
    descriptorsMax: 1000,
    // Which chunks bytes come in is a matter of time, and who is told first.
    pausesEvery: 0,
    reactsEvery: 0,
    throwsEvery: 0,
  })),
  run: (program) => runOnBoth(program, runStreams),
}

/** As {@link datagrams}, in the same way. */
export const datagramsOnBoth: Subject<Parameters<typeof runDatagrams>[0]> = {
  name: 'datagrams',
  programs: datagrams.programs.map((program) => ({
    ...program,
    temperament: asLinux(program.temperament),
    // Which messages find no memory is a matter of time.
    ring: { ...program.ring, sendBlocksMax: limits.sendBlocksMax },
    rests: true,
    reactsEvery: 0,
    throwsEvery: 0,
  })),
  run: (program) => runOnBoth(program, runDatagrams),
}
