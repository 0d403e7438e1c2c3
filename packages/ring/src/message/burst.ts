import type { Region, SocketCalls } from '@sheaf/native'
import { multipleMessageHeaderBytes, MessageFlag, MessageHeaderWord, vectorBytes } from '../abi'
import { limits } from '../limits'
import { setAddress } from '../memory/address'

const vectorsMax = limits.burstMessagesMax + limits.messagePiecesMax
const headersBytes = limits.burstMessagesMax * multipleMessageHeaderBytes
const headerWords = multipleMessageHeaderBytes / 4

/** Memory that a burst needs. */
export const burstBytes = headersBytes + vectorsMax * vectorBytes

/**
 * Messages that leave by one `sendmmsg`, which takes them in order and stops at the first that there is no room for.
 * The kernel reads its memory only within that call.
 */
export class MessageBurst {
  readonly #headers: Uint8Array
  readonly #words: Uint32Array
  readonly #vectorsAddress: number
  count = 0
  #vectors = 0

  constructor(region: Region, offsetBytes: number) {
    this.#headers = new Uint8Array(region.buffer, offsetBytes, headersBytes)
    this.#words = new Uint32Array(region.buffer, offsetBytes, burstBytes / 4)
    this.#vectorsAddress = region.address + offsetBytes + headersBytes
  }

  clear(): void {
    this.count = this.#vectors = 0
  }

  /** Whether any message fits. */
  get hasRoom(): boolean {
    return this.count < limits.burstMessagesMax && this.#vectors + limits.messagePiecesMax <= vectorsMax
  }

  /** Adds a message, for which there must be room and whose bytes follow by {@link addPiece}. */
  add(name: number, nameBytes: number, control: number, controlBytes: number): void {
    const words = this.#words
    const at = this.count++ * headerWords
    setAddress(words, at + MessageHeaderWord.Name, name)
    words[at + MessageHeaderWord.NameBytes] = nameBytes
    setAddress(words, at + MessageHeaderWord.Vector, this.#vectorsAddress + this.#vectors * vectorBytes)
    words[at + MessageHeaderWord.VectorCount] = 0
    setAddress(words, at + MessageHeaderWord.Control, control)
    words[at + MessageHeaderWord.ControlBytes] = controlBytes
  }

  /** The next bytes of the message added last. */
  addPiece(address: number, lengthBytes: number): void {
    const words = this.#words
    const at = (headersBytes + this.#vectors++ * vectorBytes) / 4
    setAddress(words, at, address)
    words[at + 2] = lengthBytes
    words[at + 3] = 0
    words[(this.count - 1) * headerWords + MessageHeaderWord.VectorCount]++
  }

  /**
   * @returns how many messages the kernel took; or the `-errno` of the first, if it took none. What keeps it from
   *   taking one of the others it says when that one is the first.
   */
  send(sockets: SocketCalls, fd: number): number {
    return sockets.sendmmsg(fd, this.#headers, this.count, MessageFlag.DontWait | MessageFlag.NoSignal)
  }
}
