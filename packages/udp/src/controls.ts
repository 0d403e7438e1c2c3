import { controlMessages, decodeSocketAddress, internet6Family, type MessageDetails } from '@sheaf/ring'

/** Levels and types of the control messages that a UDP socket may be told, on Linux. */
const internetLevel = 0
const socketLevel = 1
const udpLevel = 17
const internet6Level = 41
const coalescedType = 104
const packetInfoType = 8
const packetInfo6Type = 50
const typeOfServiceType = 1
const trafficClassType = 67
const timestampType = 35
const dropCounterType = 40

const twoTo32 = 2 ** 32

/** Reads the control messages that come with a datagram. One object serves a socket; each read replaces the last. */
export class Controls {
  /** Size of the datagrams that the kernel has coalesced, or 0. */
  segmentBytes = 0
  details: MessageDetails | undefined

  read(words: Int32Array, offset: number, lengthBytes: number): void {
    this.segmentBytes = 0
    this.details = undefined
    controlMessages(words, offset, lengthBytes, this.#read)
  }

  readonly #read = (level: number, type: number, words: Int32Array, at: number): void => {
    if (level === udpLevel && type === coalescedType) {
      this.segmentBytes = words[at]
      return
    }
    const details = this.details ??= {}
    if (level === socketLevel && type === timestampType) {
      const seconds = (words[at] >>> 0) + words[at + 1] * twoTo32
      details.timestampUs = seconds * 1e6 + Math.floor(words[at + 2] / 1000)
    } else if (level === socketLevel && type === dropCounterType) {
      details.dropped = words[at] >>> 0
    } else if (level === internetLevel && type === packetInfoType) {
      details.interfaceIndex = words[at]
      details.localAddress = new Uint8Array(words.buffer, (at + 2) * 4, 4).join('.')
    } else if (level === internet6Level && type === packetInfo6Type) {
      details.interfaceIndex = words[at + 4]
      details.localAddress = address6(new Uint8Array(words.buffer, at * 4, 16))
    } else if ((level === internetLevel && type === typeOfServiceType)
      || (level === internet6Level && type === trafficClassType)) {
      details.typeOfService = words[at] & 0xff
    }
  }
}

function address6(bytes: Uint8Array): string {
  const name = new Uint8Array(28)
  name[0] = internet6Family
  name.set(bytes, 8)
  return decodeSocketAddress(name)?.address ?? ''
}
