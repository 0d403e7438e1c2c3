import type { Duplex } from 'node:stream'
import { type Chunk, isBytes, timers } from '@sheaf/ring'
import { Errno } from '../abi'
import { callError } from './errors'

/** The `onread` option: received bytes go to memory of the application's own, instead of to `data` events. */
export interface OnReadOptions {
  buffer: Uint8Array | (() => Uint8Array)
  /** Told how many bytes are in the buffer. False pauses. */
  callback(bytes: number, buffer: Uint8Array): boolean | undefined
}

export function isOnReadOptions(value: unknown): value is OnReadOptions {
  if (typeof value !== 'object' || value === null) return false
  const { buffer, callback } = value as Partial<OnReadOptions>
  return (isBytes(buffer) || typeof buffer === 'function') && typeof callback === 'function'
}

/** What the bytes come from. */
interface Readable {
  readonly reading: boolean
  readStop(): void
}

/** Fills the buffer of `onread` again and again. */
export class ReadBuffer {
  readonly #options: OnReadOptions
  readonly #socket: Duplex
  #buffer: Uint8Array | undefined
  /** What has arrived and was not wanted yet. */
  #rest: Chunk | undefined
  /** Tells what came after that. */
  #tellEnd: (() => void) | undefined

  /** @param socket what `callback` is called on. */
  constructor(options: OnReadOptions, socket: Duplex) {
    this.#options = options
    this.#socket = socket
    this.#nextBuffer()
  }

  /** Bytes that have arrived and were not handed over. */
  get restBytes(): number {
    return this.#rest?.byteLength ?? 0
  }

  /** There is something for {@link deliverRest}. */
  get hasRest(): boolean {
    return this.#rest !== undefined || this.#tellEnd !== undefined
  }

  /** Has the end told when all that came before it was handed over. */
  end(tell: () => void, handle: Readable): void {
    this.#tellEnd = tell
    this.deliverRest(handle)
  }

  /** Hands over what has arrived, as long as `handle` is reading. */
  deliver(chunk: Chunk, handle: Readable): void {
    this.#rest = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    this.deliverRest(handle)
  }

  /** As {@link deliver}, what was left. What is left when the application throws is handed over afterwards. */
  deliverRest(handle: Readable): void {
    let returned = false
    try {
      this.#deliver(handle)
      returned = true
    } finally {
      if (!returned && this.hasRest) timers.setImmediate(() => this.deliverRest(handle))
    }
  }

  #deliver(handle: Readable): void {
    while (handle.reading && this.#rest !== undefined) {
      const buffer = this.#buffer as Uint8Array
      const rest = this.#rest
      const count = Math.min(rest.byteLength, buffer.byteLength)
      if (count === 0) {
        this.#rest = undefined
        this.#socket.destroy(callError(-Errno.ENOBUFS, 'read'))
        return
      }
      buffer.set(count === rest.byteLength ? rest : rest.subarray(0, count))
      this.#rest = count === rest.byteLength ? undefined : rest.subarray(count)
      try {
        if (this.#options.callback.call(this.#socket, count, buffer) === false) handle.readStop()
      } finally {
        this.#nextBuffer()
      }
    }
    if (!handle.reading || this.#tellEnd === undefined) return
    const tell = this.#tellEnd
    this.#tellEnd = undefined
    tell()
  }

  #nextBuffer(): void {
    const { buffer } = this.#options
    if (typeof buffer !== 'function') {
      this.#buffer = buffer
      return
    }
    const next: unknown = buffer()
    if (isBytes(next)) this.#buffer = next
  }
}
