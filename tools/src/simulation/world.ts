import type { Ring, RingOptions } from '@sheaf/ring'
import { createRingOn, SimulatedKernel, SimulatedLoop, type Temperament, VirtualClock } from '@sheaf/ring/testing'
import { Operations } from './operations'
import { checkKernel, checkRing } from './ring-checks'
import { check } from './violation'

/** Iterations within which a world must come to rest. */
const settleIterationsMax = 20_000

interface Program<Step> {
  readonly seed: number
  readonly temperament: Partial<Temperament>
  readonly ring: RingOptions
  readonly steps: readonly Step[]
}

/** What lets time pass: the one step that every program may have. */
interface RunStep {
  readonly do: 'run'
  readonly iterations: number
}

/** The kernel, the clock, the loop and the rings that one program runs on, and what must hold of them at any time. */
export abstract class World<Step extends { readonly do: string }> {
  protected readonly kernel: SimulatedKernel
  protected readonly clock = new VirtualClock()
  protected readonly loop: SimulatedLoop
  protected readonly rings: readonly Ring[]
  readonly operations = new Operations()
  readonly #steps: readonly (Step | RunStep)[]

  constructor({ seed, temperament, ring, steps }: Program<Step | RunStep>) {
    this.kernel = new SimulatedKernel({ seed, temperament })
    this.loop = new SimulatedLoop(this.kernel, this.clock)
    this.rings = [0, 1].map(() => createRingOn(this.kernel.binding, ring))
    this.#steps = steps
  }

  async run(): Promise<void> {
    this.clock.install()
    try {
      await this.begin()
      for (const step of this.#steps) await this.#step(step)
      await this.finish()
      for (const ring of this.rings) {
        checkRing(ring)
        this.operations.addRing(ring.metrics)
      }
    } finally {
      for (const ring of this.rings) ring.close()
      this.clock.uninstall()
    }
    checkKernel(this.kernel)
    this.kernel.dispose()
  }

  async #step(step: Step | RunStep): Promise<void> {
    this.loop.touch()
    if (!isRun(step)) {
      this.operations.calls++
      // Nothing else happens between two steps unless one of them has it happen.
      const taking = this.take(step)
      if (taking !== undefined) await taking
      return
    }
    for (let left = step.iterations; left > 0; left--) {
      await this.loop.iterate()
      this.checkNow()
    }
  }

  /** What is there before the first step. */
  protected abstract begin(): Promise<void> | void
  protected abstract take(step: Step): Promise<void> | undefined
  /** Lets everything come to its end, and checks that nothing is left but the rings. */
  protected abstract finish(): Promise<void>
  /** What has been seen to be wrong where it could not be thrown. */
  protected abstract get violations(): readonly unknown[]

  protected checkNow(): void {
    const [thrown] = [...this.violations, ...this.loop.thrown]
    if (thrown !== undefined) throw thrown as Error
    const [violation] = this.kernel.violations as (string | undefined)[]
    check(violation === undefined, `the kernel: ${violation ?? ''}`)
  }

  protected async settle(): Promise<void> {
    this.loop.touch()
    const rested = await this.loop.settle(settleIterationsMax)
    this.checkNow()
    check(rested, 'everything comes to rest')
  }
}

function isRun(step: { readonly do: string }): step is RunStep {
  return step.do === 'run'
}
