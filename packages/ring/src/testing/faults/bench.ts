import assert from 'node:assert/strict'
import {
  type Address,
  type ConnectionOptions,
  createRing,
  type Listener,
  type ListenerHandler,
  type Ring,
  type RingOptions,
  type StreamHandler,
  type Transport,
} from '@sheaf/ring'
import { untilIdle } from '../fixtures'
import type { TestFramework } from '../streams'
import type { FaultFamily } from './family'

/** One test's rings and listeners, which are closed when it is over. */
export class Bench {
  readonly #family: FaultFamily
  readonly #rings: Ring[] = []
  readonly #listeners: Listener[] = []
  readonly #closing: (() => unknown)[] = []

  constructor(family: FaultFamily) {
    this.#family = family
  }

  ring(options?: RingOptions): Ring {
    const ring = createRing(options)
    this.#rings.push(ring)
    return ring
  }

  /** Has `close` called when the test is over. */
  onClose(close: () => unknown): void {
    this.#closing.push(close)
  }

  async listen(ring: Ring, handler: ListenerHandler, options: ConnectionOptions = {}): Promise<Listener> {
    const listener = await this.#family.listen(handler, { ring, ...options })
    this.#listeners.push(listener)
    return listener
  }

  connect(
    ring: Ring,
    listener: Listener,
    handler: StreamHandler,
    options: ConnectionOptions = {},
  ): Promise<Transport> {
    return this.#family.connect(listener, handler, { ring, ...options })
  }

  /** Connects to what another process listens at. */
  connectTo(ring: Ring, address: Address, handler: StreamHandler, options: ConnectionOptions = {}): Promise<Transport> {
    return this.#family.connect({ address } as Listener, handler, { ring, ...options })
  }

  /** Closes the listeners; then nothing may be left in the rings. */
  async assertEmpty(): Promise<void> {
    for (const listener of this.#listeners) await listener.close()
    for (const ring of this.#rings) {
      await untilIdle(ring)
      assert.equal(ring.metrics.staleCompletions, 0)
    }
  }

  async close(): Promise<void> {
    for (const close of this.#closing) await close()
    for (const listener of this.#listeners) await listener.close()
    for (const ring of this.#rings) ring.close()
  }
}

export type Test = (bench: Bench) => Promise<void>

/** Thrown by a test that can't be run here, with the reason. */
export class Skip extends Error {}

export function hasCode(code: string): (error: unknown) => boolean {
  return (error) => (error as NodeJS.ErrnoException).code === code
}

/** Defines tests, each with a bench of its own. @param timeoutMs for those that need more than the usual. */
export function defineTests(
  group: string,
  tests: Record<string, Test>,
  family: FaultFamily,
  { describe, it }: TestFramework,
  timeoutMs?: number,
): void {
  describe(group, () => {
    for (const [title, test] of Object.entries(tests)) {
      // Without a parameter of its own, which some frameworks take for a callback.
      it(title, async (...contexts) => {
        const context = contexts.at(0)
        const bench = new Bench(family)
        try {
          await test(bench)
        } catch (error) {
          if (!(error instanceof Skip) || context === undefined) throw error
          context.skip(error.message)
        } finally {
          await bench.close()
        }
      }, timeoutMs)
    }
  })
}
