import { Errno } from '../abi'
import type { SimulatedSocket } from './socket'

/** Above what the real process has open, so that a mix-up shows. */
const firstDescriptor = 1000

/** What descriptors and requests refer to; the socket goes with the last of them. */
export class OpenFile {
  readonly socket: SimulatedSocket
  #references = 0

  constructor(socket: SimulatedSocket) {
    this.socket = socket
  }

  refer(): void {
    this.#references++
  }

  leave(): void {
    if (--this.#references === 0) this.socket.release()
  }
}

/** What `watchRoom` makes: it does not keep the socket open that it watches. */
export class RoomWatch extends OpenFile {
  override leave(): void {
    // The socket goes with its own descriptors.
  }
}

/** The descriptors of a simulated process. As on Linux a new one is the lowest that is free: numbers come back soon. */
export class Descriptors {
  readonly #files: (OpenFile | undefined)[] = []
  readonly #max: number

  /** @param max how many may be open (`RLIMIT_NOFILE`). */
  constructor(max: number) {
    this.#max = max
  }

  /** @returns a descriptor, or `-EMFILE`. */
  open(socket: SimulatedSocket): number {
    return this.install(new OpenFile(socket))
  }

  install(file: OpenFile): number {
    const free = this.#files.indexOf(undefined)
    const index = free === -1 ? this.#files.length : free
    if (index >= this.#max) return -Errno.EMFILE
    file.refer()
    this.#files[index] = file
    return firstDescriptor + index
  }

  get full(): boolean {
    return this.count >= this.#max
  }

  get(fd: number): OpenFile | undefined {
    return this.#files[fd - firstDescriptor]
  }

  close(fd: number): number {
    const file = this.get(fd)
    if (file === undefined) return -Errno.EBADF
    this.#files[fd - firstDescriptor] = undefined
    file.leave()
    return 0
  }

  get count(): number {
    return this.#files.reduce((count, file) => file === undefined ? count : count + 1, 0)
  }
}
