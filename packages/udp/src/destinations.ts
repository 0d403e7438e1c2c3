import {
  encodeSocketAddress, familyOf, invalidAddress, invalidArgumentType, Lane, limits, type Ring, systemError, zoneIndex,
} from '@sheaf/ring'
import { checkPort } from './options'
import type { Destination } from './transport'

/** An index that no interface has: the kernel says of each datagram that it can't be sent (`ENETUNREACH`). */
const noInterface = 0xffff_ffff

/** The lanes of one socket, by destination. Idle ones are forgotten when there are too many. */
export class Destinations {
  readonly #ring: Ring
  readonly #ipv6: boolean
  readonly #lanes = new Map<string, Map<number, Lane>>()
  #count = 0
  /** So many are looked through for idle ones. */
  #countMax: number = limits.messagePeersMax
  #last: Lane | undefined

  constructor(ring: Ring, ipv6: boolean) {
    this.#ring = ring
    this.#ipv6 = ipv6
  }

  /** @throws TypeError, RangeError if `to` is no destination. */
  lane(to: Destination): Lane {
    const last = this.#last
    if (last !== undefined && isSame(last, to)) return last
    const known = this.#lanes.get(to.address)?.get(to.port)
    if (known !== undefined && !isScoped(to)) return this.#last = known
    // The interface of a zone may have been made anew: it is asked for again where nothing waits to be sent by it.
    return known?.idle === false ? known : this.#add(to, known)
  }

  #add(to: Destination, known: Lane | undefined): Lane {
    const { address, port } = to
    const target = checkDestination(to, this.#ipv6, true)
    const name = encodeSocketAddress(target, port, (zone) => {
      const index = zoneIndex(this.#ring.sockets, zone)
      return index < 0 ? noInterface : index
    })
    if (known !== undefined && Buffer.compare(known.name, name) === 0) return known
    if (this.#count >= this.#countMax) this.#forgetIdle()
    const lane = new Lane(name, address, port)
    let lanes = this.#lanes.get(address)
    if (lanes === undefined) this.#lanes.set(address, lanes = new Map<number, Lane>())
    if (!lanes.has(port)) this.#count++
    lanes.set(port, lane)
    return lane
  }

  #forgetIdle(): void {
    this.#last = undefined
    for (const [address, lanes] of this.#lanes) {
      for (const [port, lane] of lanes) {
        if (!lane.idle) continue
        lanes.delete(port)
        this.#count--
      }
      if (lanes.size === 0) this.#lanes.delete(address)
    }
    // Those that are busy are not looked at again for each that is added.
    this.#countMax = Math.max(limits.messagePeersMax, 2 * this.#count)
  }
}

/** Whether the destination is of one interface: `fe80::1%eth0`. */
function isScoped({ address }: Destination): boolean {
  return address.includes('%')
}

/** The `sockaddr` of an address in text form. @throws SystemError `ENODEV` for a zone that is no interface. */
export function socketAddress(ring: Ring, address: string, port: number): Uint8Array {
  return encodeSocketAddress(address, port, (zone) => {
    const index = zoneIndex(ring.sockets, zone)
    if (index < 0) throw systemError(index, 'if_nametoindex', address)
    return index
  })
}

/** Whether that is the same destination. */
export function isSame(one: Pick<Lane, 'address' | 'port'>, other: Destination): boolean {
  return one.port === other.port && one.address === other.address
}

/**
 * @param allowZero for datagrams: one may come from port 0, and be answered, which is for the kernel to refuse.
 * @returns the address as the socket sends to it. @throws TypeError, RangeError if `to` is no destination.
 */
export function checkDestination({ address, port }: Destination, ipv6: boolean, allowZero: boolean): string {
  if (typeof address !== 'string') throw invalidArgumentType('to.address', 'of type string', address)
  checkPort('to.port', port, allowZero)
  if (familyOf(address) === undefined) throw invalidAddress(address)
  return ipv6 && !address.includes(':') ? `::ffff:${address}` : address
}
