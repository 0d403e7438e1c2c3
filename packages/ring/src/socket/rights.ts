import { controlHeaderBytes } from '../abi'
import { invalidArgumentType, outOfRange, SheafError, systemError } from '../errors'
import { checkInteger } from '../option-checks'
import type { Ring } from '../ring'
import type { ReceivedDetails } from '../transport'

/*
 * Descriptors that go along with a message of a Unix socket (`SCM_RIGHTS`, `unix(7)`).
 */

export const socketLevel = 1
export const rightsType = 1
/** `SCM_MAX_FD`: the kernel refuses more in one message. */
const descriptorsMax = 253
/** Room that the control message of so many takes. */
export const rightsBytesMax = controlHeaderBytes + ((descriptorsMax * 4 + 7) & ~7)

/** Some of the descriptors that were sent with received bytes did not arrive; those that did are closed. */
export function descriptorsLost(): SheafError {
  return new SheafError('ERR_SHEAF_DESCRIPTORS_LOST', 'Descriptors were sent that this process has no room for')
}

/** @throws TypeError, RangeError for what is no list of 1 to 253 descriptors. */
function checkDescriptors(fds: unknown): asserts fds is readonly number[] {
  if (!Array.isArray(fds)) throw invalidArgumentType('fds', 'an instance of Array', fds)
  if (fds.length === 0 || fds.length > descriptorsMax) {
    throw outOfRange('fds.length', `>= 1 and <= ${descriptorsMax}`, fds.length)
  }
  for (const [index, fd] of fds.entries()) checkInteger(`fds[${index}]`, fd, 0, 2 ** 31 - 1)
}

/**
 * Descriptors on their way: duplicates, so that whoever sends may close the originals at once. They belong to the
 * message, and are closed when the kernel has taken it or never will.
 */
export class SentDescriptors {
  readonly #ring: Ring
  readonly #fds: number[] = []

  /** @throws TypeError, RangeError for what is no list of descriptors; SystemError `EBADF`, `EMFILE` of `dup`. */
  constructor(ring: Ring, fds: unknown) {
    checkDescriptors(fds)
    this.#ring = ring
    for (const fd of fds) {
      const duplicate = ring.sockets.dup(fd)
      if (duplicate < 0) {
        this.close()
        throw systemError(duplicate, 'dup')
      }
      this.#fds.push(duplicate)
    }
  }

  /** Writes the control message. @param offset a multiple of 8. @returns its length, as `msg_controllen` has it. */
  write(bytes: Uint8Array, offset: number): number {
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + offset, rightsBytesMax / 4)
    const length = controlHeaderBytes + this.#fds.length * 4
    words[0] = length
    words[1] = 0
    words[2] = socketLevel
    words[3] = rightsType
    words.set(this.#fds, controlHeaderBytes / 4)
    return (length + 7) & ~7
  }

  /** Harmless when repeated. */
  close(): void {
    for (const fd of this.#fds) this.#ring.sockets.close(fd)
    this.#fds.length = 0
  }
}

/**
 * Descriptors that came along with received bytes, all close-on-exec. Those that the handler has not {@link take}n when
 * it returns are closed.
 */
export class ReceivedDescriptors {
  readonly #ring: Ring
  #fds: number[]

  /** @internal @param at the first of `count` words that are descriptors. */
  constructor(ring: Ring, words: Int32Array, at: number, count: number) {
    this.#ring = ring
    this.#fds = [...words.subarray(at, at + count)]
  }

  /** Descriptors that nobody has taken. */
  get count(): number {
    return this.#fds.length
  }

  /** The descriptors, in the order that they were sent in. They are the caller's from now on, to be closed by it. */
  take(): number[] {
    const fds = this.#fds
    this.#fds = []
    for (const fd of fds) this.#ring.disown(fd)
    return fds
  }

  /** Closes those that nobody has taken. Harmless when repeated. */
  close(): void {
    for (const fd of this.#fds) this.#ring.sockets.close(fd)
    this.#fds = []
  }
}

/** The handler has had its chance to take what came along. */
export function closeUnclaimed(details: ReceivedDetails | undefined): void {
  if (details?.fds instanceof ReceivedDescriptors) details.fds.close()
}
