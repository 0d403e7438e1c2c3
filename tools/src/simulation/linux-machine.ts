import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { binding, type SocketCalls, unavailable } from '@sheaf/native'
import { createRing, type Ring, type RingOptions } from '@sheaf/ring'
import { openDescriptors } from '@sheaf/ring/testing'
import type { Machine } from './machine'
import { check, Violation } from './violation'

/** What is seen must stay so for some turns: a step too many would show. */
const restTurns = 3
/** A machine that does other things, too, may need so long. */
const restMsMax = 20_000
/** After so many turns it leaves the processor to others between two. */
const busyTurnsMax = 200

/** The kernel that this process runs on. It is at rest when what can be seen is what a simulated one has come to. */
export class LinuxMachine implements Machine {
  readonly rings: readonly Ring[]
  readonly sockets: SocketCalls
  readonly datagramsLost = undefined
  readonly #expected: readonly string[]
  readonly #filesBefore: number
  #rests = 0

  /** @param expected what there is to be seen at each rest. */
  constructor(ring: RingOptions, expected: readonly string[]) {
    if (binding === undefined) throw new Error(`there is no io_uring: ${unavailable}`)
    this.sockets = binding.sockets
    this.#expected = expected
    this.#filesBefore = openDescriptors()
    this.rings = [0, 1].map(() => createRing(ring))
  }

  get nowMs(): number {
    return performance.now()
  }

  peerFinished(): undefined {
    // It does not say.
  }

  begin(): void {
    // Time passes by itself.
  }

  end(): void {
    for (const ring of this.rings) ring.close()
  }

  async turn(times: number, after?: () => void): Promise<void> {
    for (let left = times; left > 0; left--) {
      await turn()
      after?.()
    }
  }

  async rest(_turnsMax: number, see: () => string): Promise<boolean> {
    const expected = this.#expected[this.#rests++]
    const deadlineMs = this.nowMs + restMsMax
    for (let turns = 0, same = 0; same < restTurns; turns++) {
      if (turns < busyTurnsMax) await turn()
      else await sleep(1)
      same = see() === expected ? same + 1 : 0
      if (this.nowMs > deadlineMs) throw new Violation('Linux does as the simulation does', difference(expected, see()))
    }
    return true
  }

  checkNow(): void {
    // Linux does not say what should not have been asked of it.
  }

  checkFinally(): void {
    const left = openDescriptors() - this.#filesBefore
    check(left === 0, 'every descriptor is closed', `${left} are open`)
  }
}

function difference(simulated: string, seen: string): string {
  const lines = seen.split('\n')
  const differing = simulated.split('\n').map((line, index) => line === lines[index]
    ? `  ${line}`
    : `  simulated: ${line}\n  Linux:     ${lines[index] ?? ''}`)
  return `\n${differing.join('\n')}`
}
