import { abortError, throwIfAborted } from '../aborting'
import { Errno } from '../abi'
import { systemError } from '../errors'
import { clearTimeout, setTimeout } from '../timers'
import type { StreamConnectOptions } from './options'

/** What the attempt has to be told of a connection, whatever else its handler is told. */
export interface ConnectHandler<C> {
  open?(connection: C): void
  close?(connection: C, error?: Error): void
}

/** A connection of either backend that is being made. */
interface Connecting {
  handler: object
  onClosed: (() => void) | undefined
  destroy(error?: Error): void
}

/** One call of `connect`: one address is tried, or several in turn, until time is up or it is aborted. */
export class ConnectAttempt<C extends Connecting> {
  readonly #options: StreamConnectOptions
  readonly #handler: ConnectHandler<C>
  #connecting: C | undefined
  #timer: NodeJS.Timeout | undefined
  /** Why no further address is tried. */
  #givenUp: Error | undefined
  #giveUp: (error: Error) => void = () => undefined

  constructor(options: StreamConnectOptions, handler: ConnectHandler<C>) {
    this.#options = options
    this.#handler = handler
  }

  /**
   * Runs `attempt`, which calls {@link establish} for each address.
   * @param address what `ETIMEDOUT` says could not be reached, with `port` where there is one.
   * @returns its connection. Rejects with what it fails with, `ETIMEDOUT`, or an `AbortError`.
   */
  async run(attempt: () => Promise<C>, address: string, port?: number): Promise<C> {
    const { signal, timeout } = this.#options
    throwIfAborted(signal)
    const givenUp = new Promise<never>((_resolve, reject) => {
      this.#giveUp = (error) => {
        this.#givenUp = error
        // A connection under way reports the error itself, once the kernel has let go of it.
        if (this.#connecting === undefined) reject(error)
        else this.#connecting.destroy(error)
      }
    })
    if (timeout !== undefined) {
      this.#timer = setTimeout(() => {
        this.#giveUp(systemError(-Errno.ETIMEDOUT, 'connect', address, port))
      }, timeout)
    }
    signal?.addEventListener('abort', this.#abort, { once: true })
    try {
      return await Promise.race([attempt(), givenUp])
    } finally {
      clearTimeout(this.#timer)
      if (this.#connecting === undefined) signal?.removeEventListener('abort', this.#abort)
    }
  }

  /** @throws what the attempt was given up for. */
  throwIfGivenUp(): void {
    if (this.#givenUp !== undefined) throw this.#givenUp
  }

  /**
   * Connects to one address.
   * @param create makes the connection, with the handler given, and has it connect.
   * @param address what the error says could not be reached, with `port` where there is one.
   */
  establish(
    create: (handler: ConnectHandler<C>) => C,
    address: string,
    port?: number,
  ): Promise<C> {
    return new Promise((resolve, reject) => {
      this.#connecting = create({
        open: (opened) => {
          opened.handler = this.#handler
          opened.onClosed = () => {
            this.#options.signal?.removeEventListener('abort', this.#abort)
          }
          resolve(opened)
          this.#handler.open?.(opened)
        },
        close: (_connection, error) => {
          this.#connecting = undefined
          reject(withTarget(error as NodeJS.ErrnoException, address, port))
        },
      })
    })
  }

  readonly #abort = (): void => {
    this.#giveUp(abortError(this.#options.signal))
  }
}

/** Puts into the error of a refused connection what Node puts there: where it was to go. */
function withTarget(error: NodeJS.ErrnoException, address: string, port: number | undefined): Error {
  if (error.syscall !== 'connect' || error.errno === undefined || 'address' in error) return error
  return systemError(error.errno, 'connect', address, port)
}
