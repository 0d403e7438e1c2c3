import { type ListenerHandler, type PathAddress, type Ring, type StreamConnection, StreamListener } from '@sheaf/ring'
import type { UnixConnection } from './connection'
import type { SocketFile } from './socket-file'

const withFile = new Set<UnixListener>()

process.on('exit', () => {
  for (const listener of withFile) listener.removeFile()
})

/** A listening Unix stream socket. Its file, if it made one, goes when it closes, and when the process exits. */
export class UnixListener extends StreamListener {
  declare readonly address: PathAddress
  readonly #file: SocketFile | undefined

  /** @internal Use `listen`. @param file what binding the socket has made. */
  constructor(
    ring: Ring,
    fd: number,
    address: PathAddress,
    handler: ListenerHandler<UnixConnection>,
    accept: (fd: number) => StreamConnection,
    file: SocketFile | undefined,
  ) {
    super(ring, fd, address, handler, accept)
    this.#file = file
    if (file !== undefined) withFile.add(this)
  }

  override close(): Promise<void> {
    // Before the socket is closed: afterwards the file could be another listener's.
    this.removeFile()
    return super.close()
  }

  override ringClosed(): void {
    this.removeFile()
    super.ringClosed()
  }

  /** @internal */
  removeFile(): void {
    if (withFile.delete(this)) this.#file?.remove()
  }
}
