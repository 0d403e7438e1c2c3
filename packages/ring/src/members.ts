/**
 * Who uses a ring, by the slots of their operations. No `Set`: V8 leaves each table that one has outgrown linked to the
 * next, so a table that the collector has taken for old keeps alive all that came after, and all that was in them,
 * until a full collection.
 */
export class Members<Member extends object> {
  readonly #bySlot: (Member | undefined)[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  /** @param slot it is the member's until {@link delete}. */
  add(member: Member, slot: number): void {
    while (this.#bySlot.length < slot) this.#bySlot.push(undefined)
    this.#bySlot[slot] = member
    this.#size++
  }

  delete(slot: number): void {
    this.#bySlot[slot] = undefined
    this.#size--
  }

  * [Symbol.iterator](): Iterator<Member> {
    for (const member of this.#bySlot) if (member !== undefined) yield member
  }
}
