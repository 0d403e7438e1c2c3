import { Random } from '../testing/random'

/** Every choice that a simulated kernel makes comes from one seed. */
export class Choices {
  readonly #random: Random

  constructor(seed: number) {
    this.#random = new Random(Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995)
  }

  /** @param probability 0 to 1. */
  chance(probability: number): boolean {
    return this.below(4096) < probability * 4096
  }

  /** An integer from 0 to below `bound`. */
  below(bound: number): number {
    return this.#random.below(bound)
  }

  /** An integer from 1 to `max`, small ones as likely as large ones. */
  size(max: number): number {
    return this.#random.size(max)
  }

  /** Puts `items` into another order. */
  shuffle(items: unknown[]): void {
    for (let left = items.length - 1; left > 0; left--) {
      const other = this.below(left + 1)
      const item = items[left]
      items[left] = items[other]
      items[other] = item
    }
  }
}
