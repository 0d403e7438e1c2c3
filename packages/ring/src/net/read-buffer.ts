import type { Chunk } from '@sheaf/ring'

/** The `onread` option: received bytes go to memory of the application's own, instead of to `data` events. */
export interface OnReadOptions {
  buffer: Uint8Array | (() => Uint8Array)
  /** Told how many bytes are in the buffer. False pauses. */
  callback(bytes: number, buffer: Uint8Array): boolean | undefined
}

export function isOnReadOptions(value: unknown): value is OnReadOptions {
  if (typeof value !== 'object' || value === null) return false
  const { buffer, callback } = value as Partial<OnReadOptions>
  return (buffer instanceof Uint8Array || typeof buffer === 'function') && typeof callback === 'function'
}

/** Fills the buffer of `onread` again and again. */
export class ReadBuffer {
  readonly #options: OnReadOptions
  #buffer: Uint8Array | undefined
  /** What has arrived and was not wanted yet. */
  #rest: Chunk | undefined

  constructor(options: OnReadOptions) {
    this.#options = options
    this.#nextBuffer()
  }

  get hasRest(): boolean {
    return this.#rest !== undefined
  }

  /** @returns whether more is wanted. */
  deliver(chunk: Chunk): boolean {
    if (this.#rest === undefined) this.#rest = chunk
    else this.#rest = Buffer.concat([this.#rest, chunk])
    return this.deliverRest()
  }

  /** @returns whether more is wanted. */
  deliverRest(): boolean {
    let wanted = true
    while (wanted && this.#rest !== undefined) {
      const buffer = this.#buffer as Uint8Array
      const rest = this.#rest
      const count = Math.min(rest.byteLength, buffer.byteLength)
      buffer.set(count === rest.byteLength ? rest : rest.subarray(0, count))
      this.#rest = count === rest.byteLength ? undefined : rest.subarray(count)
      wanted = this.#options.callback(count, buffer) !== false
      this.#nextBuffer()
    }
    return wanted
  }

  #nextBuffer(): void {
    const { buffer } = this.#options
    if (typeof buffer !== 'function') {
      this.#buffer = buffer
      return
    }
    const next: unknown = buffer()
    if (next instanceof Uint8Array) this.#buffer = next
  }
}
