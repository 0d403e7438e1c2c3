import type { WriteCallback } from '../transport'

/** Callbacks that wait until the kernel has taken the stream up to their position. */
export class WriteCallbacks {
  #positions: number[] = []
  #callbacks: WriteCallback[] = []
  #head = 0

  get empty(): boolean {
    return this.#head === this.#callbacks.length
  }

  add(position: number, callback: WriteCallback): void {
    this.#positions.push(position)
    this.#callbacks.push(callback)
  }

  /** Takes the next callback at or before `position`, or undefined. */
  takeUpTo(position: number): WriteCallback | undefined {
    if (this.empty || this.#positions[this.#head] > position) return undefined
    const callback = this.#callbacks[this.#head++]
    if (this.#head === this.#callbacks.length) {
      this.#positions = []
      this.#callbacks = []
      this.#head = 0
    }
    return callback
  }
}
