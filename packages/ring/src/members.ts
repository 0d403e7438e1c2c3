/**
 * Who uses a ring, by the slots of their operations. No `Set`: V8 leaves each table that one has outgrown linked to the
 * next, so a table that the collector has taken for old keeps alive all that came after, and all that was in them,
 * until a full collection.
 */
export class Members<Member extends object> {
  readonly #bySlot: (Member | undefined)[] = []
  /** How many had been added before the one in each slot. */
  readonly #ordinals: number[] = []
  #added = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  /** @param slot it is the member's until {@link delete}. */
  add(member: Member, slot: number): void {
    for (let next = this.#bySlot.length; next < slot; next++) {
      this.#bySlot.push(undefined)
      this.#ordinals.push(0)
    }
    this.#bySlot[slot] = member
    this.#ordinals[slot] = this.#added++
    this.#size++
  }

  delete(slot: number): void {
    this.#bySlot[slot] = undefined
    this.#size--
  }

  /** Those there are now, in the order in which they were added. */
  [Symbol.iterator](): Iterator<Member> {
    const ordinals = this.#ordinals
    const slots = [...this.#bySlot.keys()].filter((slot) => this.#bySlot[slot] !== undefined)
    slots.sort((slot, other) => ordinals[slot] - ordinals[other])
    return slots.map((slot) => this.#bySlot[slot] as Member).values()
  }
}
