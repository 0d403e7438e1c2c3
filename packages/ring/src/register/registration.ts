import { writeSync } from 'node:fs'
import nodeNet from 'node:net'
import { release } from 'node:os'
import { isMainThread } from 'node:worker_threads'
import { whyNoRing } from '@sheaf/ring'
import { Patches } from './patches'
import { replaceEndings } from './replace-endings'
import { replacePerformance } from './replace-performance'
import { deepenStackTraces } from './stack-traces'

const stderr = 2

/** `SHEAF_LOG=1` asks for a line on stderr that says what was replaced, or why not. */
function log(line: string): void {
  const { SHEAF_LOG: wanted } = process.env
  // A worker says nothing that its process has not said.
  if (wanted === undefined || wanted === '' || wanted === '0' || !isMainThread) return
  try {
    // Not process.stderr: to make that is to make a socket, of which there shall be none yet.
    writeSync(stderr, `sheaf: ${line}\n`)
  } catch {
    // Nobody can be told.
  }
}

/** A registration of any copy of Sheaf. */
type AnyRegistration = Pick<Registration, 'module' | 'replace' | 'takeBack'>

/**
 * What stands in for Node's modules now, of all copies of Sheaf in this thread, in the order in which it was put there:
 * each of Jest's files has a copy.
 */
const registered = registeredHere()

function registeredHere(): Set<AnyRegistration> {
  const key = Symbol.for('@sheaf/ring: registered')
  const shared = nodeNet as { [key]?: Set<AnyRegistration> }
  if (shared[key] === undefined) Object.defineProperty(nodeNet, key, { value: new Set() })
  return shared[key] as Set<AnyRegistration>
}

/** Puts an adapter's drop-in in the place of one of Node's modules, for this thread, and takes it out again. */
export class Registration {
  readonly #adapter: string
  /** What it stands in for. */
  readonly module: string
  readonly #install: (patches: Patches) => void
  #patches: Patches | undefined

  /**
   * @param adapter the package: `@sheaf/udp`.
   * @param module what it stands in for: `node:dgram`.
   * @param install makes the changes.
   */
  constructor(adapter: string, module: string, install: (patches: Patches) => void) {
    this.#adapter = adapter
    this.module = module
    this.#install = install
  }

  /**
   * Has everybody in this thread who asks for the module get Sheaf's. Harmless when repeated. Without io_uring, or
   * memory for its ring, nothing is replaced.
   * @returns whether it is replaced.
   */
  register(): boolean {
    if (this.#patches !== undefined) return true
    // What is said must hold: once it stands in, nobody could go back to Node's sockets for want of memory.
    const reason = whyNoRing()
    if (reason !== '') {
      log(`${this.#adapter} leaves ${this.module} as it is: ${reason}`)
      return false
    }
    // Of another copy of Sheaf: what it has put in place of Node's is not to be taken for Node's.
    const others = [...registered].filter((registration) => !(registration instanceof Registration))
    for (const other of [...others].reverse()) other.takeBack()
    try {
      this.replace()
    } finally {
      for (const other of others) if (other.module !== this.module || !registered.has(this)) other.replace()
    }
    log(`${this.#adapter} stands in for ${this.module}, on io_uring of Linux ${release()}`)
    return true
  }

  /** What {@link register} does if it can. */
  replace(): void {
    const patches = new Patches()
    try {
      deepenStackTraces(patches)
      replacePerformance(patches)
      replaceEndings(patches)
      this.#install(patches)
      patches.publish()
    } catch (error) {
      patches.undo()
      throw error
    }
    this.#patches = patches
    registered.add(this)
  }

  /** Puts Node's module back. What was made meanwhile goes on as it is. Harmless when repeated. */
  unregister(): void {
    if (!registered.has(this)) return
    // What is changed by several is put back as it was found: by the last first.
    const all = [...registered]
    const later = all.slice(all.indexOf(this) + 1)
    for (const other of [...later].reverse()) other.takeBack()
    this.takeBack()
    for (const other of later) other.replace()
  }

  /** What {@link unregister} does, if nothing was put there later. */
  takeBack(): void {
    this.#patches?.undo()
    this.#patches = undefined
    registered.delete(this)
  }
}
