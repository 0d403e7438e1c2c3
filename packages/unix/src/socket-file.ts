import { chmodSync, fchmodSync, linkSync, lstatSync, renameSync, unlinkSync } from 'node:fs'
import { resolve } from 'node:path'
import { openSocket, type Ring } from '@sheaf/ring'
import { bindSocket, unixStreamSocket } from './socket'
import { encodeUnixAddress } from './unix-address'

const nonBlockingType = 0o4000
const refused = -111

/** Which file a path led to: the same numbers mean the same file. */
interface FileIdentity {
  readonly device: bigint
  readonly inode: bigint
}

export function fileIdentity(path: string): FileIdentity & { isSocket: boolean } | undefined {
  const status = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  return status && { device: status.dev, inode: status.ino, isSocket: status.isSocket() }
}

function isSame(one: FileIdentity, other: FileIdentity | undefined): boolean {
  return one.device === other?.device && one.inode === other.inode
}

/** Those that are there. */
const files = new Set<SocketFile>()

process.on('exit', () => {
  for (const file of files) file.remove()
})

/** The file that binding a socket to a path makes. It goes when it is removed, and when the process exits. */
export class SocketFile {
  readonly #path: string
  /** The same, whatever becomes of the working directory. */
  readonly #absolutePath: string
  #identity: FileIdentity | undefined

  constructor(path: string) {
    this.#path = path
    this.#absolutePath = resolve(path)
  }

  /**
   * Binds a socket to the path.
   * @param mode permissions of the file, in force from the beginning; undefined leaves them to the umask.
   * @param removeStale replace a socket file that nobody listens on.
   * @throws SystemError of `listen` as Node has it (`EADDRINUSE`, `EACCES`, …).
   */
  bind(ring: Ring, fd: number, mode: number | undefined, removeStale: boolean): void {
    // The kernel makes the file with the socket's own permissions less the umask: never too many.
    if (mode !== undefined) fchmodSync(fd, mode)
    try {
      bindSocket(ring, fd, this.#path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || !removeStale) throw error
      if (!takeAwayStale(ring, this.#path)) throw error
      bindSocket(ring, fd, this.#path)
    }
    this.made()
    if (mode !== undefined) chmodSync(this.#absolutePath, mode)
  }

  /** The file is there now: this is the one that goes. */
  made(): void {
    this.#identity = fileIdentity(this.#absolutePath)
    files.add(this)
  }

  /**
   * Removes the file, unless it is gone, or another is in its place, or the directory does not let us. Harmless when
   * repeated.
   */
  remove(): void {
    if (!files.delete(this)) return
    try {
      if (this.#identity !== undefined && isSame(this.#identity, fileIdentity(this.#absolutePath))) {
        unlinkSync(this.#absolutePath)
      }
    } catch {
      // A file that nobody listens on is what anybody else leaves behind.
    }
  }
}

/** Removes the socket file at `path` if nobody listens on it. @returns whether the path may be free now. */
function takeAwayStale(ring: Ring, path: string): boolean {
  const tried = fileIdentity(path)
  if (tried === undefined) return true
  return tried.isSocket && refusesConnections(ring, path) && takeAway(path, tried)
}

/**
 * Removes the file at `path` if it is still the one that was tried. Others may be doing the same: what was taken away
 * is put back if it is another. @returns whether the path may be free now.
 */
export function takeAway(path: string, tried: FileIdentity): boolean {
  const aside = `${path}.stale-${process.pid}`
  try {
    renameSync(path, aside)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
  const isStale = isSame(tried, fileIdentity(aside))
  if (!isStale) linkSync(aside, path)
  unlinkSync(aside)
  return isStale
}

function refusesConnections(ring: Ring, path: string): boolean {
  const { domain, type } = unixStreamSocket
  const fd = openSocket(ring, domain, type | nonBlockingType, 0)
  const result = ring.sockets.connect(fd, encodeUnixAddress(path, 'listen'))
  ring.sockets.close(fd)
  return result === refused
}
