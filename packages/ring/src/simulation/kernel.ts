import type { Binding, NativeRing, NativeRingOptions } from '@sheaf/native'
import { Feature } from '../abi'
import { Choices } from './choices'
import type { DatagramNetwork, DatagramSocket } from './datagram-socket'
import { Descriptors } from './descriptors'
import type { LocalMessageSocket, LocalNetwork } from './local-message-socket'
import { SimulatedMemory } from './memory'
import { NamedMemory } from './named-memory'
import { Names } from './names'
import type { Request } from './request'
import { type RingKernel, SimulatedRing } from './ring'
import type { SimulatedSocket } from './socket'
import { SimulatedSocketCalls } from './socket-calls'
import type { Network, StreamSocket } from './stream-socket'
import type { Submission } from './submission'
import { beginRequest } from './submissions'
import { calm, type Temperament } from './temperament'

export interface SimulatedKernelOptions {
  /** All that the kernel chooses comes from it. Default 1. */
  readonly seed?: number
  /** Default {@link calm}. */
  readonly temperament?: Partial<Temperament>
  /** Descriptors that may be open. Default 1000. */
  readonly descriptorsMax?: number
}

/**
 * Linux as Sheaf's TypeScript sees it: memory, io_urings in it, and sockets that are connected with each other. It
 * stands behind the interface of `@sheaf/native`, and nothing of it is real: one seed always makes the same run.
 *
 * It watches what is asked of it. What no correct program does to memory that the kernel names is a violation.
 */
export class SimulatedKernel implements RingKernel, Network, DatagramNetwork, LocalNetwork {
  readonly temperament: Temperament
  readonly choices: Choices
  readonly memory = new SimulatedMemory()
  readonly named: NamedMemory
  readonly descriptors: Descriptors
  readonly names = new Names()
  readonly rings = new Set<SimulatedRing>()
  readonly binding: Binding
  /** What was asked of it that must not be, in order. */
  readonly violations: string[] = []
  /** Datagrams that no receiver had room for, or that nobody read before their socket was closed. */
  datagramsLost = 0
  readonly #carrying = new Set<StreamSocket>()

  constructor({ seed = 1, temperament, descriptorsMax = 1000 }: SimulatedKernelOptions = {}) {
    this.temperament = { ...calm, ...temperament }
    this.choices = new Choices(seed)
    this.named = new NamedMemory(this.memory, (what) => {
      this.violated(what)
    })
    this.descriptors = new Descriptors(descriptorsMax)
    this.binding = {
      probe: () => ({
        available: true,
        reason: '',
        errno: 0,
        release: this.temperament.bundles ? '6.18.0-simulated' : '6.1.0-simulated',
        features: Feature.NoDrop | (this.temperament.bundles ? Feature.Bundle : 0),
        opcodes: new Uint8Array(64).fill(1),
      }),
      createRing: (options) => this.#createRing(options),
      sockets: new SimulatedSocketCalls(this, this),
    }
  }

  /** Requests in all rings. */
  get inFlight(): number {
    let count = 0
    for (const ring of this.rings) count += ring.inFlight
    return count
  }

  get capacityBytes(): number {
    return this.temperament.datagramCapacityBytes
  }

  /** Gives its memory back. Its rings must be closed, and nobody may use what was in them. */
  dispose(): void {
    this.memory.unmap()
  }

  get segments(): boolean {
    return this.temperament.segments
  }

  violated(what: string): void {
    this.violations.push(what)
  }

  begin(ring: SimulatedRing, submission: Submission): Request | number {
    return beginRequest(this, ring, submission)
  }

  closed(ring: SimulatedRing): void {
    this.rings.delete(ring)
  }

  /** Moves bytes that are under way. @returns whether there were any. */
  move(): boolean {
    const { delivery, receiveCapacityBytes } = this.temperament
    for (const socket of this.#carrying) {
      if (!socket.underWay) this.#carrying.delete(socket)
      else if (this.choices.chance(delivery)) {
        socket.move(delivery === 1 ? Infinity : this.choices.size(receiveCapacityBytes))
      }
    }
    return this.#carrying.size !== 0
  }

  carry(socket: StreamSocket): void {
    this.#carrying.add(socket)
  }

  forget(socket: StreamSocket): void {
    this.names.forget(socket)
  }

  datagramReceiver(name: Uint8Array): DatagramSocket | undefined {
    return this.names.datagram(name)
  }

  bindAnywhere(socket: SimulatedSocket): void {
    this.names.bindAnywhere(socket, undefined)
  }

  lost(datagrams: number): void {
    this.datagramsLost += datagrams
  }

  get localQueueMax(): number {
    return this.temperament.localQueueMax
  }

  localReceiver(name: Uint8Array): LocalMessageSocket | undefined {
    return this.names.local(name)
  }

  forgetLocal(socket: LocalMessageSocket): void {
    this.names.forget(socket)
  }

  forgetDatagrams(socket: DatagramSocket): void {
    this.names.forget(socket)
  }

  #createRing(options: NativeRingOptions): NativeRing {
    const ring = new SimulatedRing(this, options)
    this.rings.add(ring)
    return ring
  }
}
