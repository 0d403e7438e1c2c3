import { Errno, shutdownWrite } from '../abi'
import { SheafError, systemError, type SystemError } from '../errors'
import { limits } from '../limits'
import type { Ring } from '../ring'
import { ConnectCall, type ConnectCallOwner } from '../socket/connect-call'
import { setTimeout } from '../timers'
import type { Address, MessageConnectionHandler, MessageConnectionTransport } from '../transport'
import { type MessageSocketTraits, MessageSocket, type MessageSocketOptions } from './socket'

/** How a connection that keeps message boundaries behaves. */
export interface MessageConnectionOptions extends MessageSocketOptions {
  /**
   * Keep sending possible after the peer has ended. Otherwise this side ends by itself, after what is queued. Default
   * false.
   */
  allowHalfOpen?: boolean
}

/** A message that is refused for what it is leaves the connection as it was. Any other failure ends it. */
const messageErrors = new Set<number>([Errno.EMSGSIZE, Errno.ENOBUFS, Errno.ENOMEM, Errno.ETOOMANYREFS])

/**
 * A connected socket that keeps message boundaries: a {@link MessageSocket} with one peer, and the beginning and the
 * ends that a stream has.
 *
 * An empty message and the peer's end are both a receive of nothing. Only a message brings control messages along, so
 * the family must have the socket told something with each (`docs/decisions/0010-unix-messages.md`).
 */
export abstract class MessageConnection<A extends Address, To extends object = A>
  extends MessageSocket<A, To> implements MessageConnectionTransport<A, To>, ConnectCallOwner {
  declare handler: MessageConnectionHandler<MessageConnectionTransport<A, To>, A>
  readonly #allowHalfOpen: boolean
  #connecting: ConnectCall | undefined
  /** The kernel has connected it, of which the owner is told in the turn's advance. */
  #connected = false
  /** The peer has been told of the end. */
  #endSent = false
  /** The owner has ended it, and knows. */
  #endAsked = false
  /** The peer's end has been told. */
  #endTold = false
  /** The owner waits for nothing more. */
  #closing = false
  /** What is known of a peer that has closed: told when everything has been that it had sent. */
  #brokenBy: Error | undefined
  #resetTold = false

  constructor(
    ring: Ring,
    fd: number,
    handler: MessageConnectionHandler<MessageConnectionTransport<A, To>, A>,
    traits: MessageSocketTraits,
    options: MessageConnectionOptions = {},
  ) {
    super(ring, fd, handler, traits, options, 'connecting')
    this.#allowHalfOpen = options.allowHalfOpen ?? false
  }

  /** The socket is connected: tells the handler and begins to receive. */
  begin(): void {
    this.enter('open')
    this.begun = true
    this.ring.turn.schedule(this)
    this.handler.open?.(this)
  }

  /**
   * Connects to `address`, a `sockaddr` as the kernel wants it. Where the backlog of who listens is full it waits for
   * room. The socket is in non-blocking mode.
   */
  connect(address: Uint8Array): void {
    this.#connecting = new ConnectCall(this, address, true)
  }

  /** @internal */
  connectEnded(result: number): void {
    if (result < 0) {
      this.destroy(systemError(result, 'connect'))
    } else {
      this.#connected = true
      this.ring.turn.schedule(this)
    }
  }

  override advance(): void {
    if (this.#connected) this.#tellConnected()
    else super.advance()
  }

  #tellConnected(): void {
    this.#connected = this.scheduled = false
    if (this.state === 'connecting') {
      this.ring.metrics.connected++
      this.begin()
    } else {
      super.advance()
    }
  }

  end(): void {
    this.#endAsked = true
    this.#end()
  }

  #end(): void {
    if (this.state !== 'open') return
    this.enter('ended')
    this.ring.turn.schedule(this)
  }

  override close(): void {
    this.#closing = true
    if (this.state === 'connecting') this.destroy()
    else if (this.state === 'ended') this.ring.turn.schedule(this)
    else super.close()
  }

  override destroy(error?: Error): void {
    this.#connecting?.release()
    super.destroy(error)
  }

  override ringClosed(error: Error): void {
    this.#connecting?.release()
    super.ringClosed(error)
  }

  /** @internal */
  override get receives(): boolean {
    return this.state === 'open' || (this.state === 'ended' && !this.#closing)
  }

  /** @throws SheafError `ERR_SHEAF_WRITE_AFTER_END` */
  protected override accepts(): boolean {
    if (this.state === 'ended' && this.#endAsked) throw new SheafError('ERR_SHEAF_WRITE_AFTER_END', 'send after end')
    return super.accepts()
  }

  /** @internal */
  override receivedNothing(): boolean {
    this.awaitsMessages = false
    return true
  }

  /** @internal */
  override receiveFailed(error: Error): void {
    // The kernel tells that the peer has closed before what it had sent, and only once.
    const isReset = (error as NodeJS.ErrnoException).code === 'ECONNRESET'
    if (isReset && !this.#resetTold) this.#brokenBy ??= error
    else this.destroy(error)
    this.#resetTold ||= isReset
  }

  /** @internal */
  override sendFailed(error: SystemError): void {
    if (messageErrors.has(-error.errno) || this.#brokenBy !== undefined) return
    const isGone = error.errno === -Errno.EPIPE || error.errno === -Errno.ECONNRESET
    if (isGone && this.receives && (this.awaitsMessages || this.holdsMessages)) this.#breakUp(error)
    else this.destroy(error)
  }

  /** Ends the connection when what the peer has sent before it closed has been told. It may also only read no more. */
  #breakUp(error: SystemError): void {
    this.#brokenBy = error
    const messagesBefore = this.messagesRead
    setTimeout(() => {
      if (!this.receives) return
      const more = this.paused || this.holdsMessages || this.messagesRead !== messagesBefore
      if (more) this.#breakUp(error)
      else this.destroy(error)
    }, limits.goneReceiveMs)
  }

  protected override tellEnd(): void {
    if (this.awaitsMessages || this.#endTold || !this.receives || this.paused || this.holdsMessages) return
    if (this.#brokenBy !== undefined) {
      this.destroy(this.#brokenBy)
      return
    }
    this.#endTold = true
    try {
      this.handler.end?.(this)
    } finally {
      if (!this.#allowHalfOpen) this.#end()
    }
  }

  protected override steerEnd(): void {
    if (this.#closing || this.#endTold) {
      // Closing tells the peer of our end.
      this.enter('closing')
    } else if (!this.#endSent) {
      this.#endSent = true
      // By a system call, as of streams. A peer that is gone already (ENOTCONN) needs no end; receiving tells what
      // became of it.
      this.ring.sockets.shutdown(this.fd, shutdownWrite)
    }
  }
}
