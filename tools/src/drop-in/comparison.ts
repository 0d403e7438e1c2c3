import Table from 'cli-table3'
import { medianOf } from '../bench/program'

const kinds = ['node', 'sheaf'] as const
/** Whose sockets an application has. */
export type Kind = typeof kinds[number]

export interface Round {
  readonly perSecond: number
  readonly cpuMicroseconds: number
}

/** An application on Node's sockets and on Sheaf's: the two take turns, and the medians go in a table. */
export class Comparison {
  readonly #rounds: number
  readonly #table = new Table({
    head: ['application', 'node/s', 'Sheaf/s', '×', 'CPU µs, node', 'Sheaf', '×'],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  })

  /** @param rounds measurements of each. */
  constructor(rounds: number) {
    this.#rounds = rounds
  }

  async add(name: string, measure: (kind: Kind) => Promise<Round>): Promise<void> {
    const rounds: Record<Kind, Round[]> = { node: [], sheaf: [] }
    for (let round = 0; round < this.#rounds; round++) {
      for (const kind of kinds) rounds[kind].push(await measure(kind))
    }
    const [node, sheaf] = kinds.map((kind) => medianOf(rounds[kind], 'perSecond'))
    const [nodeCpu, sheafCpu] = kinds.map((kind) => medianOf(rounds[kind], 'cpuMicroseconds'))
    this.#table.push([
      name,
      Math.round(node).toLocaleString('en'),
      Math.round(sheaf).toLocaleString('en'),
      (sheaf / node).toFixed(2),
      nodeCpu.toFixed(2),
      sheafCpu.toFixed(2),
      (sheafCpu / nodeCpu).toFixed(2),
    ])
  }

  toString(): string {
    return this.#table.toString()
  }
}
