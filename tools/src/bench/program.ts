import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Host } from '../lab/hosts'
import { median } from '../median'

/**
 * One of this package's programs, running; what it prints is read line by line, and it is an error if it ends before.
 * @param host absent: this machine.
 */
export function start(name: string, args: readonly string[], host?: Host) {
  const path = fileURLToPath(new URL(`${name}.js`, import.meta.url))
  const command = [process.execPath, path, ...args]
  const [program, ...words] = host?.on(command) ?? command
  const child = spawn(program, words, { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const line = async (): Promise<string> => {
    const next = await lines.next()
    // Why is on its standard error, which is ours.
    if (next.done === true) throw new Error(`${name} ended before it had said what it was to say`)
    return next.value
  }
  return { child, line }
}

/** Of one figure of several rounds. */
export function medianOf<F extends string>(rounds: readonly Readonly<Record<F, number>>[], figure: F): number {
  return median(rounds.map((round) => round[figure]))
}

/**
 * How many times theirs is ours: the median over the rounds, in each of which the two are measured one after the
 * other. Machines have faster and slower times that outlast a round, so the medians may be of different ones.
 */
export function factor(ours: readonly number[], theirs: readonly number[]): string {
  return `${median(ours.map((value, round) => theirs[round] / value)).toFixed(1)} ×`
}
