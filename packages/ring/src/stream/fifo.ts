/** Taken places are cut off when there are so many, and as many as there are others: each is moved once at most. */
const cutLength = 256

/** First in, first out. What is taken is forgotten at once, also where it is never empty. */
export class Fifo<Item extends object> {
  #items: (Item | undefined)[] = []
  #head = 0

  get length(): number {
    return this.#items.length - this.#head
  }

  push(item: Item): void {
    this.#items.push(item)
  }

  /** @param index from the next one on. @returns undefined where there is none. */
  at(index: number): Item | undefined {
    return this.#items[this.#head + index]
  }

  shift(): Item | undefined {
    const items = this.#items
    if (this.#head === items.length) return undefined
    const item = items[this.#head]
    items[this.#head++] = undefined
    if (this.#head === items.length) {
      this.#items = []
      this.#head = 0
    } else if (this.#head >= cutLength && this.#head * 2 >= items.length) {
      items.splice(0, this.#head)
      this.#head = 0
    }
    return item
  }

  * [Symbol.iterator](): Iterator<Item> {
    for (let index = 0; index < this.length; index++) yield this.at(index) as Item
  }
}
