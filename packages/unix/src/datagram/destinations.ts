import { invalidArgumentType, Lane, limits } from '@sheaf/ring'
import { checkPath } from '../options'
import { encodeUnixAddress } from '../unix-address'

/** The lanes of one socket, by path. Idle ones are forgotten when there are too many. */
export class Destinations {
  readonly #lanes = new Map<string, Lane>()
  /** So many are looked through for idle ones. */
  #countMax: number = limits.messagePeersMax
  #last: Lane | undefined

  /** @throws TypeError if `path` is none; SystemError `EINVAL` if it is too long. */
  lane(path: string): Lane {
    const last = this.#last
    if (last?.address === path) return last
    const lane = this.#lanes.get(path) ?? this.#add(path)
    this.#last = lane
    return lane
  }

  #add(path: string): Lane {
    if (typeof path !== 'string') throw invalidArgumentType('to.path', 'of type string', path)
    checkPath('to.path', path)
    if (this.#lanes.size >= this.#countMax) this.#forgetIdle()
    const lane = new Lane(encodeUnixAddress(path, 'send'), path, undefined, true)
    this.#lanes.set(path, lane)
    return lane
  }

  #forgetIdle(): void {
    this.#last = undefined
    for (const [path, lane] of this.#lanes) if (lane.idle) this.#lanes.delete(path)
    // Those that are busy are not looked at again for each that is added.
    this.#countMax = Math.max(limits.messagePeersMax, 2 * this.#lanes.size)
  }
}
