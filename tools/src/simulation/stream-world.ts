import type { Listener, Ring, Transport } from '@sheaf/ring'
import { ConnectionEnd, Link } from './connection-end'
import { Flow } from './flow'
import type { Machine } from './machine'
import type { Operations } from './operations'
import type { StreamProgram, StreamReaction, StreamStep } from './program'
import { Reactions, Thrown } from './reactions'
import { SimulatedMachine } from './simulated-machine'
import { type FamilyAdapter, adapters } from './stream-families'
import { check } from './violation'
import { settleTurnsMax, World } from './world'

const pausedTurnsMax = 3000
/** Times that the narrowest place of a world is to be gone through. */
const transfersMax = 200
/** Bytes that any kernel holds for a connection whose receiver does not read. */
const restingBytesMax = 50_000

type Step = Exclude<StreamStep, { do: 'run' }>

/** The rings, connections and kernel that one program runs in. */
class StreamWorld extends World<Step> {
  readonly #program: StreamProgram
  readonly #adapter: FamilyAdapter
  readonly #listeners = new Map<Ring, Listener>()
  readonly #ownListeners: Listener[] = []
  readonly #ends: ConnectionEnd[] = []
  readonly #cancels = new Map<ConnectionEnd, AbortController>()
  /** Ends by the address that the other end knows them by. */
  readonly #unmatched = new Map<string, ConnectionEnd>()
  readonly #failures: unknown[] = []
  readonly #violations: unknown[] = []
  #flows = 0
  readonly #reactions: Reactions<StreamReaction>
  /** Bytes that may still be written: no more than moves through the kernel's narrowest place in reasonable time. */
  #budgetBytes: number

  constructor(program: StreamProgram, machine: Machine) {
    super(program, machine)
    this.#program = program
    this.#adapter = adapters[program.family]
    this.#reactions = new Reactions(program, (reaction) => {
      const end = this.#end(reaction.at)
      if (end !== undefined) this.#act(end, reaction)
    })
    const { sendCapacityBytes = 65_536, receiveCapacityBytes = 65_536 } = program.temperament
    const { receiveBufferBytes = 4096, receiveBuffers = 128, completionEntries = 256 } = program.ring
    const atOnce = receiveBufferBytes * Math.min(receiveBuffers / 4, completionEntries)
    const narrowest = Math.min(sendCapacityBytes, receiveCapacityBytes, atOnce)
    this.#budgetBytes = Math.min(narrowest * transfersMax, program.rests ? restingBytesMax : Infinity)
  }

  protected override async begin(): Promise<void> {
    if (this.#adapter.keysOf !== undefined) for (const ring of this.machine.rings) await this.#listen(ring)
  }

  // ---------------------------------------------------------------- steps

  protected override async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'open':
        this.#open(step.ring, step.pair)
        break
      case 'listenAnew':
        await this.#listenAnew(this.machine.rings[step.ring % this.machine.rings.length])
        break
      default: {
        const end = this.#end(step.at)
        if (end !== undefined) this.#act(end, step)
      }
    }
  }

  #act(end: ConnectionEnd, step: Exclude<Step, { do: 'open' | 'listenAnew' }>): void {
    const { transport } = end
    if (step.do === 'cancel') {
      this.#cancels.get(end)?.abort()
      end.link.cut = true
      return
    }
    if (transport === undefined) return
    switch (step.do) {
      case 'write':
        this.#write(end, step.sizeBytes, step.times)
        break
      case 'proxy':
      case 'forward':
        this.#forward(end, this.#end(step.to), step.do === 'proxy')
        break
      case 'pause':
        transport.pause()
        break
      case 'resume':
        transport.resume()
        break
      case 'flush':
        transport.flush()
        break
      case 'end':
        if (!end.target && !end.forwarding) transport.end()
        break
      case 'destroy':
        end.link.cut = true
        transport.destroy()
        break
      case 'reset':
        end.link.cut = true
        transport.reset()
        break
    }
  }

  #write(end: ConnectionEnd, sizeBytes: number, times: number): void {
    // How many bytes are taken for who is gone is a matter of time.
    if (this.#program.rests && end.link.cut) return
    for (let left = times; left > 0 && this.#budgetBytes >= sizeBytes; left--) {
      this.#budgetBytes -= sizeBytes
      end.write(sizeBytes)
      this.operations.calls++
    }
  }

  #end(at: number): ConnectionEnd | undefined {
    return this.#ends.length === 0 ? undefined : this.#ends[at % this.#ends.length]
  }

  /** Joins two connections: in one direction, or in both. */
  #forward(from: ConnectionEnd, to: ConnectionEnd | undefined, bothWays: boolean): void {
    // In a circle nobody would be left to end it.
    if (to === undefined || from.link.isJoinedWith(to.link)) return
    const ends = [from, to]
    if (ends.some((end) => end.state !== 'open' || end.receives === undefined || end.forwarding || end.target)) return
    from.link.join(to.link)
    this.#forwardOne(from, to)
    if (bothWays) this.#forwardOne(to, from)
    // The receiver's own end may come before what is forwarded.
    else from.link.cut = true
  }

  #forwardOne(from: ConnectionEnd, to: ConnectionEnd): void {
    if (from.receives === undefined || to.transport === undefined) return
    to.sends.continueWith(from.receives, from.receivedBytes)
    from.forwarding = true
    to.target = true
    from.transport?.forward(to.transport)
  }

  // ---------------------------------------------------------------- connections

  async #listen(ring: Ring): Promise<void> {
    // One handler serves all: each connection gets its own when it opens.
    const accepted = (transport: Transport): void => {
      const end = this.#newEnd(new Link())
      transport.handler = end
      end.open(transport)
    }
    const listening = this.#adapter.listen(ring, { open: accepted }, this.#program)
    let over = false
    void listening.then((listener) => {
      this.#listeners.set(ring, listener)
    }, (error: unknown) => {
      this.#failed(error)
    }).finally(() => { over = true })
    const waits = (): boolean => !over
    for (let left = 10; waits() && left > 0; left--) await this.machine.turn(1)
    check(over, 'a listener listens')
  }

  /** Who is connecting may be refused or reset by that. */
  async #listenAnew(ring: Ring): Promise<void> {
    const listener = this.#listeners.get(ring)
    if (listener === undefined) return
    for (const end of this.#ends) if (end.receives === undefined) end.link.cut = true
    this.#ownListeners.push(listener)
    this.#listeners.delete(ring)
    void listener.close()
    await this.#listen(ring)
  }

  /** Something could not be opened: for a program that may have few descriptors, that is how it goes. */
  #failed(error: unknown): void {
    if ((error as NodeJS.ErrnoException).code === 'EMFILE') this.operations.descriptorsLacked++
    else this.#failures.push(error)
  }

  #open(ringIndex: number, pair: boolean): void {
    const ring = this.machine.rings[ringIndex % this.machine.rings.length]
    const link = new Link()
    if (pair && this.#adapter.pair !== undefined) {
      const ends: [ConnectionEnd, ConnectionEnd] = [this.#newEnd(link), this.#newEnd(link)]
      ends[0].match(ends[1])
      ends[1].match(ends[0])
      try {
        this.#adapter.pair(ring, ends[0], ends[1], this.#program)
      } catch (error) {
        // Who is told that it is open and throws has both destroyed.
        link.cut = true
        if (!(error instanceof Thrown)) this.#failed(error)
      }
      return
    }
    const end = this.#newEnd(link)
    const otherRing = this.machine.rings[(ringIndex >> 1) % this.machine.rings.length]
    const listener = this.#listeners.get(otherRing)
    const opening = listener === undefined ? this.#openOwn(ring, otherRing, end) : this.#connect(ring, listener, end)
    opening.catch((error: unknown) => {
      if (!end.link.cut) this.#failed(error)
    })
  }

  async #connect(ring: Ring, listener: Listener, end: ConnectionEnd): Promise<void> {
    const controller = new AbortController()
    this.#cancels.set(end, controller)
    await this.#adapter.connect(ring, listener, end, { ...this.#program, signal: controller.signal })
  }

  /** Connects through a listener that nobody else uses. */
  async #openOwn(ring: Ring, otherRing: Ring, end: ConnectionEnd): Promise<void> {
    const accepted = (transport: Transport): void => {
      const other = this.#newEnd(end.link)
      transport.handler = other
      other.match(end)
      end.match(other)
      void listener.close()
      other.open(transport)
    }
    const listener = await this.#adapter.listen(otherRing, { open: accepted }, this.#program)
    this.#ownListeners.push(listener)
    await this.#connect(ring, listener, end)
  }

  #newEnd(link: Link): ConnectionEnd {
    const end = new ConnectionEnd(link, new Flow(this.#flows++), this.#violations, (opened) => {
      this.#opened(opened)
    }, this.#reactions.told, (transport) => this.machine.peerFinished(transport))
    end.pausesEvery = this.#program.pausesEvery
    end.resumes = this.#program.resumes
    this.#ends.push(end)
    return end
  }

  /** Finds the other end, if that has opened. */
  #opened(end: ConnectionEnd): void {
    const { transport } = end
    if (transport === undefined) return
    const keys = this.#adapter.keysOf?.(transport)
    if (keys === undefined) return
    const other = this.#unmatched.get(keys.theirs)
    if (other === undefined) {
      this.#unmatched.set(keys.ours, end)
      return
    }
    this.#unmatched.delete(keys.theirs)
    end.link.join(other.link)
    end.match(other)
    other.match(end)
  }

  // ---------------------------------------------------------------- what must hold

  protected override get violations(): readonly unknown[] {
    return this.#violations
  }

  protected override readonly see = (): string => this.#ends.map((end) => end.see()).join('\n')

  protected override goesWithNext(step: StreamStep, next: StreamStep): boolean {
    return [step, next].every(({ do: what }) => what === 'write' || what === 'flush')
  }

  protected override checkNow(): void {
    super.checkNow()
    for (const end of this.#ends) end.checkNow()
  }

  /** Lets everything come to its end, and checks that nothing is left. */
  protected override async finish(): Promise<void> {
    this.#reactions.stop()
    // As long as somebody is paused, others may look in vain for buffers every few milliseconds.
    await this.machine.rest(pausedTurnsMax, this.see)
    this.checkNow()
    await this.#checkClosing()
    for (const end of this.#ends) end.pausesEvery = 0
    this.#giveUpUnmatched()
    for (const end of this.#ends) end.transport?.resume()
    await this.#settleOpen()
    await this.#endAll()
    this.#closeListeners()
    await this.settle()
    check(this.#failures.length === 0, 'connecting succeeds', () => String(this.#failures[0]))
    for (const end of this.#ends) end.checkFinally()
  }

  /** Who is closing is closed, whoever is paused. */
  async #checkClosing(): Promise<void> {
    const closing = this.#ends.filter((end) => end.state === 'closing')
    if (closing.length === 0) return
    // They may have begun just now.
    await this.machine.rest(pausedTurnsMax, this.see)
    this.checkNow()
    check(closing.every((end) => end.state !== 'closing'), 'closing waits for nobody else')
  }

  /** Ends who is open, and destroys who was cut: that may leave who it was joined with waiting for ever for more. */
  async #endAll(): Promise<void> {
    let ends: number
    do {
      ends = this.#ends.length
      for (const end of this.#ends) {
        end.pausesEvery = 0
        end.transport?.resume()
        if (end.target || end.forwarding || end.state !== 'open') continue
        end.transport?.end()
        await this.settleBetween()
      }
      await this.#settleOpen()
      this.#giveUpUnmatched()
      for (const end of this.#ends) {
        if (!end.link.cut) continue
        end.transport?.destroy()
        await this.settleBetween()
      }
      await this.#settleOpen()
      if (ends === this.#ends.length) await this.#settleLast()
      // Descriptors that are free again may have let others be accepted, who end as well.
    } while (ends !== this.#ends.length)
  }

  /** Nobody holds a descriptor any more that a listener could wait for, but who waits for it to be accepted. */
  async #settleLast(): Promise<void> {
    const rested = await this.machine.rest(settleTurnsMax, this.see)
    this.checkNow()
    if (rested) return
    for (const end of this.#ends) {
      if (end.receives !== undefined) continue
      end.link.cut = true
      end.transport?.destroy()
    }
    // Listeners alone may have all descriptors, and try in vain to accept who is gone.
    this.#closeListeners()
    await this.settle()
  }

  #closeListeners(): void {
    for (const listener of [...this.#listeners.values(), ...this.#ownListeners]) void listener.close()
  }

  /** As long as there are connections, a listener may try in vain to accept more. */
  async #settleOpen(): Promise<void> {
    if (this.machine.rings.every(({ metrics }) => metrics.acceptPauses === 0)) return this.settle()
    await this.machine.rest(pausedTurnsMax, this.see)
    this.checkNow()
  }

  /** Who was accepted and has no other end belongs to a connect that was given up. */
  #giveUpUnmatched(): void {
    let [accepted, givenUp] = [0, 0]
    for (const end of this.#ends) {
      if (end.receives !== undefined) continue
      if (this.#cancels.has(end)) givenUp++
      else if (end.transport !== undefined) accepted++
      end.link.cut = true
      end.transport?.destroy()
    }
    check(accepted <= givenUp, 'who connects is accepted once', `${accepted} have no other end`)
  }
}

/**
 * Runs a program. @param machine default a simulated one. @returns what it consisted of. @throws Violation if something
 * that must hold does not.
 */
export async function runStreams(
  program: StreamProgram,
  machine: Machine = new SimulatedMachine(program),
): Promise<Operations> {
  const world = new StreamWorld(program, machine)
  await world.run()
  return world.operations
}
