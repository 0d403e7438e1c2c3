import {
  type BackendOptions, controlMessages, type DetailReader, limits, type MessageSocketTraits, ReceivedDescriptors,
  type ReceivedDetails, rightsType, type Ring, ringFor, setSocketOption, socketLevel, unsupported,
} from '@sheaf/ring'

/** `SO_PASSCRED`: each message comes with a control message that tells who sent it. */
const passCredentials = [socketLevel, 16] as const
const credentialsType = 2
/** `SCM_PIDFD`: comes where somebody has set `SO_PASSPIDFD` on a socket that was adopted. */
const processDescriptorType = 4
/** `CMSG_SPACE(sizeof(struct ucred))`. */
export const credentialsBytes = 32

/** Has the kernel tell with each message of a socket who sent it. */
export function receiveCredentials(ring: Ring, fd: number): void {
  setSocketOption(ring.sockets, fd, passCredentials, 1)
}

/** What a socket is to tell of what it receives. */
export interface DetailOptions {
  /**
   * Receives descriptors that peers send along: `details.fds`, close-on-exec. Those that the handler does not take are
   * closed when it returns. Without this option the kernel closes them before they get here. Default false.
   */
  receiveDescriptors?: boolean
  /**
   * Tells with everything that is received who sent it: `details.credentials`, on the kernel's word. It costs the
   * kernel some time for each message, and an unnamed socket gets an abstract name when it sends. What was sent before
   * a socket was adopted may have come without: process 0, and the user and group 65534. Default false.
   */
  receiveCredentials?: boolean
}

/** As `ringFor`. @throws SheafError `ERR_SHEAF_UNSUPPORTED` if details are wanted, which Node's sockets don't tell. */
export function ringForStream(options: BackendOptions & DetailOptions): Ring | undefined {
  const ring = ringFor(options)
  for (const name of ['receiveDescriptors', 'receiveCredentials'] as const) {
    if (ring === undefined && options[name] === true) throw unsupported(name)
  }
  return ring
}

/** Reads the control messages that come with what a Unix socket receives. One object serves a socket. */
export class Details implements DetailReader {
  readonly #ring: Ring
  readonly share: DetailReader['share']
  readonly #credentials: boolean
  readonly receivesDescriptors: boolean
  readonly controlBytesMax: number
  #details: ReceivedDetails | undefined

  /**
   * @param always room that the socket's credentials need, whether it tells of them or not.
   * @throws SystemError if there is no memory for what it receives into.
   */
  constructor(ring: Ring, options: DetailOptions, always = 0) {
    this.#ring = ring
    this.share = ring.localMessages
    this.#credentials = options.receiveCredentials === true
    this.receivesDescriptors = options.receiveDescriptors === true
    // Where there is no room for descriptors, the kernel lets none in.
    const credentials = this.#credentials ? credentialsBytes : always
    this.controlBytesMax = this.receivesDescriptors ? limits.localMessageControlBytes : credentials
  }

  /** What makes a Unix socket of a message socket. */
  get traits(): MessageSocketTraits {
    return {
      share: this.share,
      controlBytesMax: this.controlBytesMax,
      receivesDescriptors: this.receivesDescriptors,
      segmentable: false,
      messageBytesMax: limits.localMessageBytesMax,
    }
  }

  read(words: Int32Array, offset: number, lengthBytes: number): ReceivedDetails | undefined {
    this.#details = undefined
    controlMessages(words, offset, lengthBytes, this.#read)
    return this.#details
  }

  readonly #read = (level: number, type: number, words: Int32Array, at: number, lengthBytes: number): void => {
    if (level !== socketLevel) return
    if (type === credentialsType && this.#credentials) {
      const [pid, uid, gid] = [words[at], words[at + 1] >>> 0, words[at + 2] >>> 0]
      ;(this.#details ??= {}).credentials = { pid, uid, gid }
    } else if (type === rightsType) {
      (this.#details ??= {}).fds = new ReceivedDescriptors(this.#ring, words, at, lengthBytes / 4)
    } else if (type === processDescriptorType) {
      this.#ring.sockets.close(words[at])
    }
  }
}
