import {
  controlMessages, limits, type MessageDetails, type MessageSocketTraits, type Ring, setSocketOption,
} from '@sheaf/ring'

/** `SO_PASSCRED`: each message comes with a control message that tells who sent it. */
const passCredentials = [1, 16] as const
const socketLevel = 1
const credentialsType = 2
/** `CMSG_SPACE(sizeof(struct ucred))`. */
export const credentialsBytes = 32

/** Has each message of a socket come with its sender's credentials, as a control message. */
export function receiveMessageControls(ring: Ring, fd: number): void {
  setSocketOption(ring.sockets, fd, passCredentials, 1)
}

/** What a socket is told with each message. */
export interface MessageControlOptions {
  /**
   * Tells with each message who sent it: `details.credentials`, on the kernel's word. The sender's part takes the
   * kernel some time for each. An unnamed socket gets an abstract name when it sends. Default false.
   */
  receiveCredentials?: boolean
}

/** Reads the control messages that come with a message. One object serves a socket. */
export class MessageControls {
  readonly #ring: Ring
  readonly #credentials: boolean
  #details: MessageDetails | undefined

  constructor(ring: Ring, options: MessageControlOptions) {
    this.#ring = ring
    this.#credentials = options.receiveCredentials === true
  }

  /** Room that the control messages that were asked for take. */
  get bytesMax(): number {
    return this.#credentials ? credentialsBytes : 0
  }

  /** What makes a Unix socket of a message socket. @param controlBytesMax room that it needs at least. */
  traits(controlBytesMax: number): MessageSocketTraits {
    return {
      share: this.#ring.localMessages,
      controlBytesMax: Math.max(this.bytesMax, controlBytesMax),
      segmentable: false,
      messageBytesMax: limits.localMessageBytesMax,
    }
  }

  read(words: Int32Array, offset: number, lengthBytes: number): MessageDetails | undefined {
    this.#details = undefined
    controlMessages(words, offset, lengthBytes, this.#read)
    return this.#details
  }

  readonly #read = (level: number, type: number, words: Int32Array, at: number): void => {
    if (level !== socketLevel) return
    if (type === credentialsType && this.#credentials) {
      const [pid, uid, gid] = [words[at], words[at + 1] >>> 0, words[at + 2] >>> 0]
      ;(this.#details ??= {}).credentials = { pid, uid, gid }
    }
  }
}
