import type { SocketCalls } from '@sheaf/native'
import type { Ring, RingOptions, Transport } from '@sheaf/ring'
import {
  createRingOn, SimulatedKernel, SimulatedLoop, StreamSocket, type Temperament, VirtualClock,
} from '@sheaf/ring/testing'
import type { Machine } from './machine'
import { Thrown } from './reactions'
import { check } from './violation'

export interface SimulatedMachineOptions {
  readonly seed: number
  readonly temperament: Partial<Temperament>
  readonly ring: RingOptions
  readonly descriptorsMax?: number
}

/** A simulated kernel and virtual time. One seed always makes the same run. */
export class SimulatedMachine implements Machine {
  readonly rings: readonly Ring[]
  /** What could be seen at each rest. */
  readonly seen: string[] = []
  readonly #kernel: SimulatedKernel
  readonly #clock = new VirtualClock()
  readonly #loop: SimulatedLoop

  constructor({ ring, ...kernel }: SimulatedMachineOptions) {
    this.#kernel = new SimulatedKernel(kernel)
    this.#loop = new SimulatedLoop(this.#kernel, this.#clock)
    this.rings = [0, 1].map(() => createRingOn(this.#kernel.binding, ring))
  }

  get sockets(): SocketCalls {
    return this.#kernel.binding.sockets
  }

  get nowMs(): number {
    return this.#clock.nowMs
  }

  get datagramsLost(): number {
    return this.#kernel.datagramsLost
  }

  peerFinished(transport: Transport): boolean {
    const { fd } = transport as Transport & { readonly fd: number }
    const socket = this.#kernel.descriptors.get(fd)?.socket
    return socket instanceof StreamSocket && socket.peerFinished
  }

  begin(): void {
    this.#clock.install()
    process.setUncaughtExceptionCaptureCallback((error) => { this.#loop.thrown.push(error) })
  }

  end(): void {
    for (const ring of this.rings) ring.close()
    this.#clock.uninstall()
    process.setUncaughtExceptionCaptureCallback(null)
  }

  async turn(times: number, after?: () => void): Promise<void> {
    // A program may have called something, by which microtasks may be waiting.
    this.#loop.touch()
    for (let left = times; left > 0; left--) {
      await this.#loop.iterate()
      after?.()
    }
  }

  async rest(turnsMax: number, see: () => string): Promise<boolean> {
    this.#loop.touch()
    const rested = await this.#loop.settle(turnsMax)
    this.seen.push(see())
    return rested
  }

  checkNow(): void {
    const thrown = this.#loop.thrown.find((error) => !(error instanceof Thrown))
    if (thrown !== undefined) throw thrown as Error
    this.#checkViolations()
  }

  checkFinally(): void {
    this.#checkViolations()
    check(this.#kernel.inFlight === 0, 'no request is left in the kernel')
    const { count } = this.#kernel.descriptors
    check(count === 0, 'every descriptor is closed', `${count} are open`)
    check(this.#kernel.named.named === 0, 'no memory is left named')
    this.#kernel.dispose()
  }

  #checkViolations(): void {
    const [violation] = this.#kernel.violations as (string | undefined)[]
    check(violation === undefined, `the kernel: ${violation ?? ''}`)
  }
}
