import { limits } from '@sheaf/ring'
import { DatagramEnd, DatagramLedger } from './datagram-end'
import { type AnySocket, type MessageFamilyAdapter, messageAdapters, type SocketOptions } from './message-families'
import type { Machine } from './machine'
import type { Operations } from './operations'
import type { DatagramProgram, DatagramReaction, DatagramStep } from './program'
import { Reactions } from './reactions'
import { SimulatedMachine } from './simulated-machine'
import { check } from './violation'
import { World } from './world'

/** So many turns take at least so long while somebody is paused and others only look for room now and then. */
const pausedTurnsMax = 12_000
const pausedMsMin = 2000
/** Bytes that one program sends at most. */
const budgetBytesMax = 300_000
/** What any kernel holds for a socket that does not read, and what it needs for a datagram beside its bytes. */
const restingBytesMax = 100_000
const overheadBytes = 1000

type Step = Exclude<DatagramStep, { do: 'run' }>

/** The rings, sockets and kernel that one program runs in. */
class DatagramWorld extends World<Step> {
  readonly #program: DatagramProgram
  readonly #family: MessageFamilyAdapter
  readonly #ledger: DatagramLedger
  readonly #ends: DatagramEnd[] = []
  readonly #reactions: Reactions<DatagramReaction>
  #budgetBytes: number

  constructor(program: DatagramProgram, machine: Machine) {
    super(program, machine)
    this.#program = program
    this.#family = messageAdapters[program.family]
    this.#reactions = new Reactions(program, (reaction) => {
      const end = this.#end(reaction.at)
      if (end?.socket !== undefined) this.#act(end, end.socket, reaction)
    })
    this.#ledger = new DatagramLedger(this.#family, machine.sockets, program.receiveDescriptors, this.#reactions.told)
    const { sendBlocksMax = limits.sendBlocksMax } = program.ring
    if (sendBlocksMax < limits.sendBlocksMax) this.#ledger.undisturbed = false
    this.#budgetBytes = program.rests ? restingBytesMax : budgetBytesMax
  }

  protected override begin(): void {
    // Sockets are only made by steps.
  }

  protected override take(step: Step): undefined {
    switch (step.do) {
      case 'bind':
        this.#bind(this.#options(step))
        break
      case 'connect':
        this.#connect(this.#options(step), this.#end(step.to))
        break
      case 'pair':
        this.#pair(this.#options(step))
        break
      default: {
        const end = this.#end(step.at)
        if (end?.socket !== undefined) this.#act(end, end.socket, step)
      }
    }
  }

  #options({ ring, coalesce }: { readonly ring: number, readonly coalesce: boolean }): SocketOptions {
    const { writableHighWaterMark, receiveDescriptors } = this.#program
    const { rings } = this.machine
    return { ring: rings[ring % rings.length], coalesce, writableHighWaterMark, receiveDescriptors }
  }

  #bind(options: SocketOptions): void {
    const family = this.#family
    if (family.bind === undefined) this.#pair(options)
    else this.#open(undefined, (end) => family.bind?.(options, end))
  }

  #connect(options: SocketOptions, peer: DatagramEnd | undefined): void {
    const family = this.#family
    const address = peer?.socket?.localAddress
    if (address === undefined || (family.exclusive && peer?.peer !== undefined)) return
    if (peer?.peer !== undefined) this.#ledger.everyoneHeard = false
    this.#open(peer, (end) => family.connect?.(options, end, address))
  }

  #pair(options: SocketOptions): void {
    if (this.#family.pair === undefined) return
    const [one, other] = [new DatagramEnd(this.#ledger, undefined), new DatagramEnd(this.#ledger, undefined)]
    one.peer = other
    other.peer = one
    this.#ends.push(one, other)
    try {
      const [socket, otherSocket] = this.#family.pair(options, one, other)
      one.opened(socket)
      other.opened(otherSocket)
    } catch (error) {
      this.#failed(error)
    }
  }

  #open(peer: DatagramEnd | undefined, open: (end: DatagramEnd) => Promise<AnySocket> | undefined): void {
    const end = new DatagramEnd(this.#ledger, peer)
    const opening = open(end)
    if (opening === undefined) return
    this.#ends.push(end)
    opening.then((socket) => {
      end.opened(socket)
    }, (error: unknown) => {
      this.#failed(error)
    })
  }

  /** A socket could not be opened: where the kernel may lack memory for a group, that is how it goes. */
  #failed(error: unknown): void {
    if ((error as NodeJS.ErrnoException).code !== 'ENOMEM') this.#ledger.violations.push(error)
  }

  #act(
    end: DatagramEnd,
    socket: AnySocket,
    step: DatagramReaction,
  ): void {
    switch (step.do) {
      case 'send': {
        const to = end.peer ?? this.#end(step.to)
        const costBytes = (step.sizeBytes + (this.#program.rests ? overheadBytes : 0)) * step.times
        if (to === undefined || this.#budgetBytes < costBytes) break
        if (this.#family.exclusive && to.peer !== undefined && to.peer !== end) break
        this.#budgetBytes -= costBytes
        end.send(to, step.sizeBytes, step.times, step.together, step.descriptors)
        if (!step.together) this.operations.calls += step.times - 1
        break
      }
      case 'pause':
        socket.pause()
        break
      case 'resume':
        socket.resume()
        break
      case 'flush':
        socket.flush()
        break
      case 'end':
        // Only connections have ends.
        if (this.#family.end !== undefined) end.end()
        this.#family.end?.(socket)
        break
      case 'close':
        this.#ledger.undisturbed = false
        socket.close()
        break
      case 'destroy':
        this.#ledger.undisturbed = false
        socket.destroy()
        break
    }
  }

  #end(at: number): DatagramEnd | undefined {
    return this.#ends.length === 0 ? undefined : this.#ends[at % this.#ends.length]
  }

  protected override get violations(): readonly unknown[] {
    return this.#ledger.violations
  }

  protected override readonly see = (): string => {
    const { taken, refused, arrived } = this.#ledger
    const ends = this.#ends.map((end) => end.see())
    return [`sent ${taken + refused} arrived ${arrived}`, ...ends].join('\n')
  }

  /** Whose datagram comes first decides whose finds a full queue. */
  protected override goesWithNext(): boolean {
    return false
  }

  /** Lets everything arrive, closes, and checks that nothing is left. */
  protected override async finish(): Promise<void> {
    this.#reactions.stop()
    await this.#waitPaused()
    for (const end of this.#ends) end.socket?.resume()
    await this.settle()
    const { undisturbed, everyoneHeard, taken, arrived } = this.#ledger
    const lost = this.machine.datagramsLost
    if (undisturbed && everyoneHeard && lost !== undefined) {
      check(arrived + lost === taken, 'every datagram arrives or is lost in the kernel', () =>
        `${arrived} arrived and ${lost} were lost of ${taken}`)
    }
    for (const end of this.#ends) {
      end.socket?.close()
      await this.settleBetween()
    }
    await this.settle()
    for (const end of this.#ends) end.checkFinally()
    this.checkNow()
  }

  /** While somebody is paused, others may look in vain for room every few milliseconds, but not all the time. */
  async #waitPaused(): Promise<void> {
    const before = this.machine.nowMs
    const rested = await this.machine.rest(pausedTurnsMax, this.see)
    this.checkNow()
    check(rested || this.machine.nowMs - before > pausedMsMin, 'waiting for room leaves the processor alone')
  }
}

/** As `runStreams`. */
export async function runDatagrams(
  program: DatagramProgram,
  machine: Machine = new SimulatedMachine(program),
): Promise<Operations> {
  const world = new DatagramWorld(program, machine)
  await world.run()
  return world.operations
}
