import { DatagramSocket } from './datagram-socket'
import type { LocalMessageSocket } from './local-message-socket'
import type { SimulatedSocket } from './socket'
import { StreamSocket } from './stream-socket'

const unixFamily = 1
const internetFamily = 2
const firstEphemeralPort = 40_000

export type Bound = StreamSocket | DatagramSocket | LocalMessageSocket

/** Which socket has which address. */
export class Names {
  readonly #streams = new Map<string, StreamSocket>()
  readonly #datagrams = new Map<string, DatagramSocket>()
  readonly #locals = new Map<string, LocalMessageSocket>()
  #nextPort = firstEphemeralPort

  /** Gives `socket` an address. @returns whether it is free. */
  bind(socket: Bound, name: Uint8Array): boolean {
    const chosen = Uint8Array.from(name)
    if (isInternet(chosen) && chosen[2] === 0 && chosen[3] === 0) setPort(chosen, this.#nextPort++)
    const key = keyOf(chosen)
    const owners: Map<string, Bound> = this.#ownersOf(socket)
    if (owners.has(key)) return false
    socket.name = chosen
    owners.set(key, socket)
    return true
  }

  /** Gives a socket that begins to talk to `peer` an address of its own, if it has none. */
  bindAnywhere(socket: SimulatedSocket, peer: Uint8Array | undefined): void {
    if (socket.name !== undefined) return
    if (socket.domain === unixFamily) {
      socket.name = Uint8Array.of(unixFamily, 0)
      return
    }
    const name = Uint8Array.from(peer ?? loopback(socket.domain))
    setPort(name, this.#nextPort++)
    socket.name = name
    if (socket instanceof DatagramSocket) this.#datagrams.set(keyOf(name), socket)
  }

  stream(name: Uint8Array): StreamSocket | undefined {
    return this.#streams.get(keyOf(name)) ?? this.#streams.get(anyKeyOf(name))
  }

  datagram(name: Uint8Array): DatagramSocket | undefined {
    return this.#datagrams.get(keyOf(name)) ?? this.#datagrams.get(anyKeyOf(name))
  }

  local(name: Uint8Array): LocalMessageSocket | undefined {
    return this.#locals.get(keyOf(name))
  }

  forget(socket: Bound): void {
    if (socket.name === undefined) return
    const key = keyOf(socket.name)
    const owners: Map<string, Bound> = this.#ownersOf(socket)
    if (owners.get(key) === socket) owners.delete(key)
  }

  #ownersOf(socket: Bound): Map<string, StreamSocket> | Map<string, DatagramSocket> | Map<string, LocalMessageSocket> {
    if (socket instanceof StreamSocket) return this.#streams
    return socket instanceof DatagramSocket ? this.#datagrams : this.#locals
  }

  get count(): number {
    return this.#streams.size + this.#datagrams.size + this.#locals.size
  }
}

function isInternet(name: Uint8Array): boolean {
  return name[0] !== unixFamily
}

function setPort(name: Uint8Array, port: number): void {
  name[2] = port >>> 8
  name[3] = port & 0xff
}

function loopback(domain: number): Uint8Array {
  const name = new Uint8Array(domain === internetFamily ? 16 : 28)
  name[0] = domain
  if (domain === internetFamily) name.set([127, 0, 0, 1], 4)
  else name[23] = 1
  return name
}

function keyOf(name: Uint8Array): string {
  return Buffer.from(name).toString('latin1')
}

/** The same port at any address. */
function anyKeyOf(name: Uint8Array): string {
  const any = Uint8Array.from(name)
  if (isInternet(name)) any.fill(0, name[0] === internetFamily ? 4 : 8, name[0] === internetFamily ? 8 : 24)
  return keyOf(any)
}
