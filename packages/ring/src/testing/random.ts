/** Numbers that look random and are the same in every run (a xorshift). */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0 || 1
  }

  /** An integer from 0 to below `bound`. */
  below(bound: number): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return (x >>> 0) % bound
  }

  /** A chunk size from 1 to `max`, small ones as likely as large ones. */
  size(max: number): number {
    return Math.min(max, 1 + this.below(2 ** (1 + this.below(Math.ceil(Math.log2(max + 1))))))
  }
}
