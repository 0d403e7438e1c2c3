import { decodeSocketAddress, type InternetAddress, internetFamily, limits } from '@sheaf/ring'

const unknown: InternetAddress = Object.freeze({ address: '', family: 'IPv4', port: 0 })

/** Addresses that datagrams came from: the same sender is the same object, as long as there are not too many. */
export class Sources {
  readonly #byName = new Map<number | string, InternetAddress>()
  #lastKey: number | string = ''
  #last = unknown

  /** The address in a `sockaddr` of `lengthBytes`. */
  decode(bytes: Buffer, offset: number, lengthBytes: number): InternetAddress {
    const key = bytes[offset] === internetFamily
      ? bytes.readUInt32BE(offset + 4) * 65536 + bytes.readUInt16BE(offset + 2)
      : bytes.toString('latin1', offset, offset + lengthBytes)
    if (key === this.#lastKey) return this.#last
    const address = this.#byName.get(key) ?? this.#add(key, bytes.subarray(offset, offset + lengthBytes))
    this.#lastKey = key
    this.#last = address
    return address
  }

  #add(key: number | string, name: Uint8Array): InternetAddress {
    const decoded = decodeSocketAddress(name)
    if (decoded === undefined) return unknown
    if (this.#byName.size >= limits.messagePeersMax) this.#byName.clear()
    const address = Object.freeze(decoded)
    this.#byName.set(key, address)
    return address
  }
}
