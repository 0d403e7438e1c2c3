import type { Machine } from './machine'
import { Operations } from './operations'
import { checkRing } from './ring-checks'
import { check } from './violation'

/** Turns within which a world must come to rest. */
export const settleTurnsMax = 40_000
/** And so many it is given where it may not, as somebody waits for what another has to do. */
const restTurnsMax = 5000

interface Program<Step> {
  readonly rests: boolean
  readonly steps: readonly Step[]
}

/** What lets time pass: the one step that every program may have. */
interface RunStep {
  readonly do: 'run'
  readonly iterations: number
}

/** What one program runs in, and what must hold of it at any time. */
export abstract class World<Step extends { readonly do: string }> {
  protected readonly machine: Machine
  readonly operations = new Operations()
  readonly #program: Program<Step | RunStep>

  constructor(program: Program<Step | RunStep>, machine: Machine) {
    this.machine = machine
    this.#program = program
  }

  async run(): Promise<void> {
    const { machine } = this
    machine.begin()
    try {
      await this.begin()
      await this.#runSteps(this.#program)
      await this.finish()
      for (const ring of machine.rings) {
        checkRing(ring)
        this.operations.addRing(ring.metrics)
      }
    } finally {
      machine.end()
    }
    machine.checkFinally()
  }

  async #runSteps({ steps, rests }: Program<Step | RunStep>): Promise<void> {
    for (const [index, step] of steps.entries()) {
      if (!isRun(step)) {
        this.operations.calls++
        // Nothing else happens between two steps unless one of them has it happen.
        const taking = this.take(step)
        if (taking !== undefined) await taking
      } else if (!rests) {
        await this.machine.turn(step.iterations, () => { this.checkNow() })
      }
      const together = index + 1 < steps.length && this.goesWithNext(step, steps[index + 1])
      if (rests && !together) await this.#rest()
    }
  }

  async #rest(): Promise<void> {
    await this.machine.rest(restTurnsMax, this.see)
    this.checkNow()
  }

  /** What is there before the first step. */
  protected abstract begin(): Promise<void> | void
  protected abstract take(step: Step): Promise<void> | undefined
  /** What can be seen after both does not depend on which comes first: a program that rests need not do so between. */
  protected abstract goesWithNext(step: Step | RunStep, next: Step | RunStep): boolean
  /** Lets everything come to its end, and checks that nothing is left but the rings. */
  protected abstract finish(): Promise<void>
  /** What has been seen to be wrong where it could not be thrown. */
  protected abstract get violations(): readonly unknown[]
  /** What can be seen of a world at rest, line by line: nothing that depends on when it happened. */
  protected abstract readonly see: () => string

  protected checkNow(): void {
    const [thrown] = this.violations
    if (thrown !== undefined) throw thrown as Error
    this.machine.checkNow()
  }

  /** Between two things that race with each other. */
  protected async settleBetween(): Promise<void> {
    if (this.#program.rests) await this.settle()
  }

  protected async settle(): Promise<void> {
    const rested = await this.machine.rest(settleTurnsMax, this.see)
    this.checkNow()
    check(rested, 'everything comes to rest')
  }
}

function isRun(step: { readonly do: string }): step is RunStep {
  return step.do === 'run'
}
