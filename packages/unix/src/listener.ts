import { type AcceptedSocket, type ListenerHandler, type PathAddress, type Ring, StreamListener } from '@sheaf/ring'
import type { SocketFile } from './socket-file'

/** A listening Unix socket on a ring. */
export class RingUnixListener extends StreamListener {
  declare readonly address: PathAddress
  readonly #file: SocketFile | undefined

  /** @internal Use `listen`. @param file what binding the socket has made. */
  constructor(
    ring: Ring,
    fd: number,
    address: PathAddress,
    handler: Pick<ListenerHandler, 'acceptError'>,
    accept: (fd: number) => AcceptedSocket,
    file: SocketFile | undefined,
  ) {
    super(ring, fd, address, handler, accept)
    this.#file = file
  }

  override close(): Promise<void> {
    // Before the socket is closed: afterwards the file could be another listener's.
    this.#file?.remove()
    return super.close()
  }

  override ringClosed(): void {
    this.#file?.remove()
    super.ringClosed()
  }
}
