/** What a handler of a program throws, on purpose. */
export class Thrown extends Error {
  override readonly name = 'Thrown'
}

/** How those who are told something take it. */
export interface ReactionOptions<R> {
  /** Who is told something takes the next of the reactions, every so many times; 0 is never. */
  readonly reactsEvery: number
  readonly reactions: readonly R[]
  /** Who is told something throws, every so many times; 0 is never. */
  readonly throwsEvery: number
}

/** Reactions of one program: a write is called back, which may bring about another. */
const reactionsMax = 500

/** What handlers do when they are told something: something to any of the others, or they throw. */
export class Reactions<R> {
  readonly #options: ReactionOptions<R>
  readonly #act: (reaction: R) => void
  /** How often anybody was told anything. */
  #told = 0
  #stopped = false

  constructor(options: ReactionOptions<R>, act: (reaction: R) => void) {
    this.#options = options
    this.#act = act
  }

  /** Nobody reacts any more. */
  stop(): void {
    this.#stopped = true
  }

  /** Somebody has been told something: called last in a handler. @throws Thrown */
  readonly told = (): void => {
    if (this.#stopped) return
    const { reactsEvery, reactions, throwsEvery } = this.#options
    const told = ++this.#told
    if (reactsEvery !== 0 && told % reactsEvery === 0 && told <= reactionsMax * reactsEvery) {
      this.#act(reactions[told / reactsEvery % reactions.length])
    }
    if (throwsEvery !== 0 && told % throwsEvery === 0) throw new Thrown()
  }
}
