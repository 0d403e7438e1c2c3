import { limits, type PathAddress } from '@sheaf/ring'
import { decodeUnixAddress } from './unix-address'

const unnamed: PathAddress = Object.freeze({ path: '' })

/** Addresses that datagrams came from: the same sender is the same object, as long as there are not too many. */
export class Addresses {
  readonly #byName = new Map<string, PathAddress>()

  /** The address in a `sockaddr_un` of `lengthBytes`. */
  decode(bytes: Buffer, offset: number, lengthBytes: number): PathAddress {
    if (lengthBytes === 0) return unnamed
    const key = bytes.toString('latin1', offset, offset + lengthBytes)
    return this.#byName.get(key) ?? this.#add(key, bytes.subarray(offset, offset + lengthBytes))
  }

  #add(key: string, name: Uint8Array): PathAddress {
    if (this.#byName.size >= limits.messagePeersMax) this.#byName.clear()
    const address = Object.freeze(decodeUnixAddress(name))
    this.#byName.set(key, address)
    return address
  }
}
