import { guarded, invalidArgumentType, SheafError } from '../errors'
import type { Transport } from '../transport'

/** Told by the connection that a forwarding ends in. */
export interface ForwardingSource {
  /** It is below its low-water mark. */
  targetDrained(): void
  targetClosed(error: Error | undefined): void
}

/** A connection of ours, on whichever backend: it tells those who forward to it how it is. */
export interface ForwardingTarget {
  /** What it closes with, once it does. */
  readonly failure: Error | undefined
  addSource(source: ForwardingSource): void
  forgetSource(source: ForwardingSource): void
}

/** The connection that a forwarding begins in. */
export interface ForwardingOrigin extends Transport {
  /** Receives nothing while `held`. */
  holdBack(held: boolean): void
  /** What this connection forwards to is closed. */
  receiverClosed(error: Error | undefined): void
}

/** @throws TypeError, SheafError `ERR_SHEAF_FORWARDING` if `from` can't forward to `to`. */
export function checkForwarding(from: Transport, to: Transport, current: Forwarding | undefined): void {
  if (typeof (to as Partial<Transport> | undefined)?.write !== 'function') {
    throw invalidArgumentType('to', 'a Transport', to)
  }
  if (to === from) throw new SheafError('ERR_SHEAF_FORWARDING', 'A connection cannot forward to itself')
  if (current !== undefined) throw new SheafError('ERR_SHEAF_FORWARDING', 'The connection forwards already')
}

/**
 * One direction of a proxy: what `from` receives is written to `to`, which may be the application's own. What that
 * throws is an `uncaughtException`; where it was to take bytes, `from` is reset, as they are lost.
 */
export class Forwarding implements ForwardingSource {
  readonly from: ForwardingOrigin
  protected readonly to: Transport
  /** `to`, if it is one of ours. */
  readonly #target: ForwardingTarget | undefined

  constructor(from: ForwardingOrigin, to: Transport) {
    this.from = from
    this.to = to
    this.#target = 'addSource' in to ? to as Transport & ForwardingTarget : undefined
  }

  begin(): void {
    this.#target?.addSource(this)
  }

  /** Passes on bytes that nobody changes. */
  write(chunk: Uint8Array): void {
    const { to } = this
    try {
      if (to.state !== 'open') {
        this.from.reset(this.#target?.failure)
        return
      }
      const accepted = this.#target === undefined ? this.#writeToOther(chunk) : to.write(chunk)
      if (!accepted) this.holdBack()
    } catch (error) {
      this.from.reset(error as Error)
      throw error
    }
  }

  /** The peer of `from` has finished. */
  ended(): void {
    guarded(() => { this.to.end() })
  }

  /** `from` is closed. */
  closed(error: Error | undefined): void {
    this.#target?.forgetSource(this)
    guarded(() => {
      if (error !== undefined || this.to.state === 'open') this.to.reset(error)
    })
  }

  targetDrained(): void {
    this.from.holdBack(false)
  }

  targetClosed(error: Error | undefined): void {
    this.from.receiverClosed(error)
  }

  /** `to` is full. */
  protected holdBack(): void {
    this.from.holdBack(true)
  }

  /** Writes to the application's own, which may call back before it returns. @returns whether more may be written. */
  #writeToOther(chunk: Uint8Array): boolean {
    let written = false
    const accepted = this.to.write(chunk, () => {
      written = true
      this.from.holdBack(false)
    })
    return accepted || written
  }
}
