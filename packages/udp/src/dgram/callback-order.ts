import type { WriteCallback } from '@sheaf/ring'

interface Sent {
  readonly callback: WriteCallback
  error: Error | undefined
  ended: boolean
  next: Sent | undefined
}

/**
 * Callbacks of what was sent, called in the order of sending, as by libuv: datagrams to different destinations may
 * leave in another.
 */
export class CallbackOrder {
  #first: Sent | undefined
  #last: Sent | undefined

  /** @returns what is to be called when the datagram has left or failed. */
  add(callback: WriteCallback): WriteCallback {
    const sent: Sent = { callback, error: undefined, ended: false, next: undefined }
    if (this.#last === undefined) this.#first = sent
    else this.#last.next = sent
    this.#last = sent
    return (error) => {
      sent.error = error
      sent.ended = true
      if (this.#first === sent) this.#tell()
    }
  }

  #tell(): void {
    for (let sent = this.#first; sent?.ended === true; sent = this.#first) {
      this.#first = sent.next
      if (this.#first === undefined) this.#last = undefined
      sent.callback(sent.error)
    }
  }
}
