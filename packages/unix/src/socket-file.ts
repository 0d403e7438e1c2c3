import { chmodSync, fchmodSync, linkSync, lstatSync, renameSync, unlinkSync } from 'node:fs'
import { resolve } from 'node:path'
import { openSocket, type Ring, type SocketKind, systemError } from '@sheaf/ring'
import type { FileOptions } from './options'
import { encodeUnixAddress, nonBlockingType, unixFamily } from './unix-address'

const refused = -111
const addressInUse = -98

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

/** The file that binding a socket to a path makes. It goes when it is removed, and when the process or thread ends. */
export class SocketFile {
  readonly #path: string
  /** The same, whatever becomes of the working directory. */
  readonly #absolutePath: string
  #identity: FileIdentity | undefined
  /** Leaves it to itself, as the end of the thread would remove it. */
  #disown: (() => void) | undefined

  constructor(path: string) {
    this.#path = path
    this.#absolutePath = resolve(path)
  }

  /** Binds a socket to the path. @param syscall what errors are to name. @throws SystemError `EADDRINUSE`, … */
  bind(ring: Ring, fd: number, kind: SocketKind, options: FileOptions, syscall: string): void {
    const { keepFile = false, mode, removeStale = false } = options
    const address = encodeUnixAddress(this.#path, syscall)
    // The kernel makes the file with the socket's own permissions less the umask: never too many.
    if (mode !== undefined) fchmodSync(fd, mode)
    let result = ring.sockets.bind(fd, address)
    if (result === addressInUse && removeStale && takeAwayStale(ring, this.#path, kind)) {
      result = ring.sockets.bind(fd, address)
    }
    if (result < 0) throw systemError(result, syscall, this.#path)
    if (!keepFile) this.#madeBy(ring)
    if (mode !== undefined) chmodSync(this.#absolutePath, mode)
  }

  /** Where a worker is terminated, nothing of JavaScript runs any more. */
  #madeBy({ sockets }: Ring): void {
    this.made()
    if (this.#identity === undefined) return
    const file = sockets.ownFile(this.#absolutePath)
    if (file >= 0) this.#disown = () => sockets.disownFile(file)
  }

  /**
   * The file is there now: this is the one that goes. Not if Node's permission model keeps the process from looking at
   * it.
   */
  made(): void {
    try {
      this.#identity = fileIdentity(this.#absolutePath)
      files.add(this)
    } catch {
      // To listen needs no leave of that model's.
    }
  }

  /**
   * Removes the file, unless it is gone, or another is in its place, or the directory does not let us. Harmless when
   * repeated.
   */
  remove(): void {
    if (!files.delete(this)) return
    this.#disown?.()
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
function takeAwayStale(ring: Ring, path: string, kind: SocketKind): boolean {
  const tried = fileIdentity(path)
  if (tried === undefined) return true
  return tried.isSocket && refusesConnections(ring, path, kind) && takeAway(path, tried)
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

function refusesConnections(ring: Ring, path: string, kind: SocketKind): boolean {
  const fd = openSocket(ring, unixFamily, kind.type | nonBlockingType, 0)
  const result = ring.sockets.connect(fd, encodeUnixAddress(path, 'listen'))
  ring.sockets.close(fd)
  return result === refused
}
